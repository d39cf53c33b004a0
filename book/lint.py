"""What a page must have and must not have, checked before anything is built.

Each complaint names the file and the cell, and says what would be right. Dead links to pages, files and sections are
found here as well, for Sphinx names only a line of a notebook's Markdown.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import edition
import glossary
import metadata
import nbformat
import sources
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.anchors.index import slugify
from sources import BookError

MARKDOWN = MarkdownIt("commonmark").enable("table")
EXERCISE = '<div class="exercise'
CARD = {  # what a card must have: how it is found, and how it is written
    "a title": (r"^\*\*Exercise \d+\. [^*]+[.?!]\*\*", "**Exercise 1. A task in a few words.**"),
    "its difficulty": (r"^difficulty <span [^>]*>[●○]{5}</span>", "difficulty, in five dots"),
    "its importance": (r"^importance <span [^>]*>[●○]{5}</span>", "importance, in five dots"),
    "its minutes": (r" · \d+ minutes", "· 5 minutes"),
    "a folded part": (r"<summary>(Hint|What a good answer contains)</summary>", "a hint in <details>"),
}
OPEN = "An open question: there is no check"
LEAST_EXERCISES, LEAST_QUESTIONS = 4, 3


def check_all(pages: list[Path]) -> None:
    """Check every page.

    Raises:
        BookError: with a line for each thing that is wrong.
    """
    complaints = [complaint for page in pages for complaint in of_page(page)]
    if complaints:
        raise BookError("\n".join(complaints))


def of_page(path: Path) -> Iterator[str]:
    """What is wrong with a page."""
    if path.suffix == ".md":
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(path.read_text("utf-8"))])
        places = [f"{sources.name(path)}:"]
    else:
        notebook = sources.read(path)
        places = [f"{sources.name(path)}, cell {number}:" for number in range(1, len(notebook.cells) + 1)]
        try:
            metadata.metadata_of(path, notebook)
        except BookError as error:
            yield str(error)
        yield from _exercises(notebook, places)
        yield from _solutions(notebook, places)
        yield from _quiz(notebook, sources.name(path))
    for cell, place in zip(notebook.cells, places, strict=True):
        if cell.cell_type == "markdown":
            yield from (f"{place} {complaint}" for complaint in _markdown(cell.source, path))
        elif cell.cell_type == "code":
            yield from (f"{place} {complaint}" for complaint in _outputs(cell))


def _exercises(notebook: nbformat.NotebookNode, places: list[str]) -> Iterator[str]:
    """Cards without a part of theirs, checks without a card."""
    cells = notebook.cells
    cards = [number for number, cell in enumerate(cells) if cell.cell_type == "markdown" and EXERCISE in cell.source]
    for number in cards:
        for what, (pattern, shown) in CARD.items():
            if not re.search(pattern, cells[number].source, re.MULTILINE):
                yield f"{places[number]} the exercise's card lacks {what}; write it as: {shown}"
        if OPEN not in cells[number].source:
            follow = [cell.source if cell.cell_type == "code" else "" for cell in cells[number + 1 : number + 3]]
            if len(follow) < 2 or not follow[0] or not edition.is_check(follow[1]):
                yield (
                    f"{places[number]} after the exercise's card must come its stub and its check, "
                    f"`exercises.check(...)`; or the card says '{OPEN}.'"
                )
    for number, cell in enumerate(cells):
        if cell.cell_type == "code" and edition.is_check(cell.source) and number - 2 not in cards:
            yield f"{places[number]} the check has no exercise's card two cells before it."
    if len(cards) < LEAST_EXERCISES and places[0].startswith("chapters/"):
        yield f"{places[0]} the notebook needs {LEAST_EXERCISES} exercises and has {len(cards)}."


def _solutions(notebook: nbformat.NotebookNode, places: list[str]) -> Iterator[str]:
    """Markers left open, and names that a reader of the student edition would miss."""
    cells = [cell for cell in notebook.cells]
    hidden: dict[str, str] = {}  # names that only a solution defines, and where
    shown: set[str] = set()  # names that the student edition defines
    for number, (cell, place) in enumerate(zip(cells, places, strict=True)):
        if edition.TAG in cell.metadata.get("tags", []):
            continue
        if cell.cell_type != "code":
            continue
        for line in cell.source.split("\n"):
            if re.fullmatch(r"\s*#+\s*solutions?\W*", line, re.IGNORECASE) and line != edition.MARKER:
                yield f"{place} the line {line.strip()!r} hides nothing; the marker is '{edition.MARKER}', unindented."
        if edition.MARKER in cell.source.split("\n"):
            if not edition.solution(cell.source).strip():
                yield f"{place} the marker '{edition.MARKER}' is left open: no solution follows it."
            if not edition.stub(cell.source):
                yield f"{place} nothing stands before '{edition.MARKER}': a stub is needed there."
            if number + 1 == len(cells) or not edition.is_check(cells[number + 1].source):
                yield f"{place} after a cell with '{edition.MARKER}' its check must follow, `exercises.check(...)`."
        defined, used = _names(edition.stub(cell.source))
        for name in sorted(used & hidden.keys() - shown):
            yield f"{place} {name!r} is defined only by the solution in {hidden[name]}: a student has no such name."
        shown |= defined
        if edition.solution(cell.source):
            hidden |= dict.fromkeys(_names(edition.solution(cell.source))[0], place.rstrip(":"))


def _names(source: str) -> tuple[set[str], set[str]]:
    """Names that a cell defines, and those that it uses."""
    plain = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.split("\n"))
    try:
        tree = ast.parse(plain)
    except SyntaxError:  # the set-up cell, once its magic is taken out
        return set(), set()
    defined, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else defined).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.alias):
            defined.add((node.asname or node.name).split(".")[0])
    return defined, used - defined


def _quiz(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    from helpers import exercises

    try:
        quizzes = exercises.read_quizzes(exercises.QUIZZES)
    except ValueError as error:
        yield str(error)
        return
    stem = Path(name).stem
    shown = f'exercises.quiz("{stem}")'
    if name.startswith("chapters/") and not any(shown in cell.source for cell in notebook.cells):
        yield f"{name}: no cell shows the quiz; `{shown}` does."
    elif name.startswith("chapters/") and (stem not in quizzes or len(quizzes[stem].questions) < LEAST_QUESTIONS):
        yield f"{exercises.QUIZZES.name}, {stem}: a quiz needs {LEAST_QUESTIONS} questions."


def _markdown(source: str, path: Path) -> Iterator[str]:
    """Images without alt text, and links that lead nowhere."""
    for token in _tokens(MARKDOWN.parse(source)):
        if token.type == "image" and not token.content.strip():
            yield f"the image {token.attrs['src']} has no alt text: say in the brackets what is to be seen."
        elif token.type in ("html_inline", "html_block"):
            for tag in re.findall(r"<img\b[^>]*>", token.content):
                if not re.search(r'\balt="[^"]+"', tag):
                    yield f'{tag} has no alt text: add alt="..." with what is to be seen.'
        if token.type in ("link_open", "image"):
            complaint = dead(str(token.attrs["href" if token.type == "link_open" else "src"]), path)
            if complaint:
                yield complaint


def _tokens(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _tokens(token.children or [])


def dead(link: str, path: Path) -> str | None:
    """What is wrong with a link of a page, if anything; addresses of other servers are not asked."""
    place, _, anchor = link.partition("#")
    if re.match(r"[a-z]+:", link):
        return None
    target = path if not place else (path.parent / place).resolve()
    if not target.is_file():
        return f"the link to {link} is dead: there is no file {posixpath.normpath(place)} beside the page."
    if anchor and target == glossary.SOURCE:
        if anchor not in glossary.terms(glossary.SOURCE):
            return f"the glossary has no term {anchor!r}; {glossary.PAGE}.md lists what there is."
    elif anchor and target.suffix in (".ipynb", ".md") and anchor not in anchors(target):
        return f"the link to {link} is dead: {sources.name(target)} has no section {anchor!r}."
    return None


def anchors(path: Path) -> set[str]:
    """The sections of a page, as links name them."""
    if path.suffix == ".md":
        text = path.read_text("utf-8")
    else:
        text = "\n\n".join(cell.source for cell in sources.read(path).cells if cell.cell_type == "markdown")
    tokens = MARKDOWN.parse(text)
    headings = [after.content for token, after in zip(tokens, tokens[1:], strict=False) if token.type == "heading_open"]
    return {slugify(heading) for heading in headings} | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


def _outputs(cell: nbformat.NotebookNode) -> Iterator[str]:
    """Figures and images of outputs without alt text."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if any(kind.startswith("image/") for kind in data):
            yield "an output is an image without alt text: show figures with helpers.figures.present(..., alt=...)."
        elif "application/vnd.plotly.v1+json" in data and not re.search(
            r'aria-label="[^"]+"', data.get("text/html", "")
        ):
            yield "a figure has no alt text: show it with helpers.figures.present(..., alt=...)."
