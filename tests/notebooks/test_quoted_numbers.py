"""Parts II to IV quote no number that their own compared outputs do not carry; nbval computes those outputs again."""

import re

import build
import pytest

CHAPTERS = [path for path in build.notebooks() if {"experiments", "beyond", "real"} & set(path.parts)]
MEASUREMENT = re.compile(r"[−-]?\d+\.\d+|\d+(?= ?%)|\d+ of \d+")


def text_of(output) -> str:
    data = output.get("data", {})
    return output.get("text", "") + data.get("text/plain", "") + data.get("text/markdown", "")


def quotes(path) -> list[str]:
    """The measurements in the section 'What we saw', code and formulas left out."""
    source = "\n\n".join(c.source for c in build.read(path).cells if c.cell_type == "markdown")
    section = source.split("## What we saw", 1)[1].split("\n## ", 1)[0]
    return MEASUREMENT.findall(re.sub(r"`[^`]*`|\$[^$]*\$", "", section))


@pytest.mark.parametrize("path", CHAPTERS, ids=build.name)
def test_every_number_stands_in_a_compared_output(path):
    compared = [
        text_of(output)
        for cell in build.read(path).cells
        if cell.cell_type == "code" and "nbval-check-output" in cell.metadata.get("tags", [])
        for output in cell.outputs
    ]
    printed = set(MEASUREMENT.findall("\n".join(compared).replace("−", "-")))
    printed |= {number.lstrip("-") for number in printed}  # "falls by 0.3" where -0.3 is printed
    missing = [number for number in quotes(path) if number.replace("−", "-") not in printed]
    assert not missing, f"{missing} stand in 'What we saw' and in no output tagged nbval-check-output"
