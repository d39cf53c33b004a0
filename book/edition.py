"""The student edition: the book without its solutions, by two rules only.

1. A line `# solution` in a code cell cuts the rest of that cell.
2. A cell with the tag `solution` disappears.

Outputs that a solution made go with it: those of the cut cells and of the checks. The site shows this edition; the
branch `student`, which the Colab buttons open and the set-up cells install, holds it with all that it needs to run.
"""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from sources import ROOT

BRANCH = "student"
MARKER = "# solution"
TAG = "solution"

GUIDE = "chapters/back/guide.md"  # is for teachers, and of commands that the branch has not
# What the branch holds besides the chapters: enough to install the helpers and to read.
ALONG = ("src", "data", "pyproject.toml", "constraints.txt", "book/wheel.py", "CITATION.cff", "LICENSE", "LICENSE-TEXT")


def student(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy of a source notebook by the two rules."""
    edition = copy.deepcopy(notebook)
    edition.cells = [cell for cell in edition.cells if TAG not in cell.metadata.get("tags", [])]
    for cell in edition.cells:
        if cell.cell_type == "code" and (solution(cell.source) or is_check(cell.source)):
            cell.source = stub(cell.source)
            cell.outputs, cell.execution_count = [], None
            tags = [tag for tag in cell.metadata.get("tags", []) if tag != "nbval-check-output"]
            cell.metadata.pop("tags", None)
            if tags:
                cell.metadata["tags"] = tags
    return edition


def stub(source: str) -> str:
    """What rule 1 leaves of a code cell."""
    return _cut(source)[0]


def solution(source: str) -> str:
    """What rule 1 cuts from a code cell; empty without the marker."""
    return _cut(source)[1]


def is_check(source: str) -> bool:
    """Whether a code cell checks an answer."""
    return "exercises.check(" in source


def _cut(source: str) -> tuple[str, str]:
    lines = source.split("\n")
    if MARKER not in lines:
        return source, ""
    at = lines.index(MARKER)
    return "\n".join(lines[:at]).rstrip(), "\n".join(lines[at + 1 :])


def write(folder: Path) -> None:
    """Write the tree of the branch `student` into a folder, which is emptied first.

    Files that git does not know are left out.
    """
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "chapters", *ALONG], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if name == GUIDE:
            continue
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".ipynb"):
            nbformat.write(student(nbformat.read(ROOT / name, as_version=4)), place)
        else:
            shutil.copyfile(ROOT / name, place)
    shutil.copyfile(ROOT / "book/student/README.md", folder / "README.md")
    shutil.copyfile(ROOT / "book/student/requirements.txt", folder / "requirements.txt")


if __name__ == "__main__":
    write(ROOT / "_build" / BRANCH)
    sys.exit(print(f"The student edition is in _build/{BRANCH}."))
