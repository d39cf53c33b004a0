"""What a chapter says of itself in the table at its head: what it needs, and how long it takes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
from book_error import BookError

ROOT = Path(__file__).resolve().parent.parent
NECESSARY, HELPFUL = "necessary", "helpful"

LINK_OR_LABEL = re.compile(r"\[[^\]]*\]\(([^)]*)\)|\(([^()]*)\)")


def head_of(path: Path, notebook: nbformat.NotebookNode | None = None, root: Path = ROOT) -> str:
    """The Markdown with which a chapter begins: a notebook's first cell, or a whole Markdown page.

    Raises:
        BookError: if the first cell of the notebook is not Markdown.
    """
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    name = _from_root(path, root)
    cells = (notebook or nbformat.read(path, as_version=4)).cells
    if not cells or cells[0].cell_type != "markdown":
        raise BookError(f"{name}: the first cell is not Markdown; begin with the title and the table.")
    return cells[0].source


def metadata_of(
    path: Path, notebook: nbformat.NotebookNode | None = None, root: Path = ROOT
) -> dict[str, list[str] | int]:
    """What the table at a chapter's head says.

    Args:
        path: the chapter, a notebook or a Markdown page in the book. Its links are relative to it.
        notebook: what is in it, if it has been read already.
        root: the book's folder.

    Returns:
        `needs` and `helps`, the chapters linked in the row Needs, as paths from the book's root without a suffix;
        `minutes`, to read it. A link belongs to the first label in brackets after it; without one it is helpful.

    Raises:
        BookError: if the table or one of its rows is missing, or cannot be read.
    """
    name, head = _from_root(path, root), head_of(path, notebook, root)
    found = {NECESSARY: [], HELPFUL: []}
    waiting = []
    for target, label in LINK_OR_LABEL.findall(_row(name, head, "Needs")):
        if _is_chapter(target):
            file = (path.parent / target.partition("#")[0]).with_suffix("")
            waiting.append(_from_root(file, root))
        elif label and waiting:
            if label not in found:
                raise BookError(
                    f"{name}, row Needs: '({label})' stands after a link where (necessary) or (helpful) belongs."
                )
            found[label] += waiting
            waiting = []
    found[HELPFUL] += waiting
    minutes = re.match(r"(\d+) minutes? to read\b", takes := _row(name, head, "Takes"))
    if minutes is None:
        raise BookError(f"{name}, row Takes: begin it with '20 minutes to read', and not with '{takes[:30]}'.")
    return {"needs": found[NECESSARY], "helps": found[HELPFUL], "minutes": int(minutes[1])}


def _row(name: str, head: str, of: str) -> str:
    row = re.search(rf"^\| \*\*{of}\*\* \|(.*)\|\s*$", head, re.MULTILINE)
    if row is None or not row[1].strip():
        raise BookError(
            f"{name}: the table at its head has no row {of}; write '| **{of}** | ... |' there, "
            "as in book/template.ipynb."
        )
    return row[1].strip()


def _is_chapter(target: str) -> bool:
    return ":" not in target and target.partition("#")[0].endswith((".ipynb", ".md"))


def _from_root(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()
