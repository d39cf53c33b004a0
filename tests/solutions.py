"""What must not be seen in the student edition: lines of the solutions that stand nowhere else in the chapters."""

import functools

import sources

CHAPTERS = [path for path in sources.notebooks() if "chapters" in path.parts]
LEAST = 25  # characters: shorter lines, such as `return math.inf`, give nothing away


def parts(path):
    """The text of a notebook that everybody sees, and its solutions."""
    shown, hidden = [], []
    for cell in sources.read(path).cells:
        before, _, after = cell.source.partition("\n# solution\n")
        if "solution" in cell.metadata.get("tags", []):
            before, after = "", cell.source
        shown.append(before)
        hidden.append(after)
    return "\n".join(shown), "\n".join(hidden)


@functools.cache
def everybodys():
    return "\n".join(parts(path)[0] for path in CHAPTERS)


@functools.cache
def secrets(path):
    """The lines of a notebook's solutions that give something away."""
    lines = {line.strip() for line in parts(path)[1].split("\n")}
    return sorted(line for line in lines if len(line) > LEAST and line not in everybodys())
