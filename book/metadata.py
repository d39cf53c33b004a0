"""What a chapter says of itself in the table at its head: what it needs, and how long it takes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import sources
from sources import BookError

NECESSARY, HELPFUL = "necessary", "helpful"

LINK_OR_LABEL = re.compile(r"\[[^\]]*\]\(([^)]*)\)|\(([^()]*)\)")


def head_of(path: Path, notebook: nbformat.NotebookNode | None = None) -> str:
    """The Markdown with which a chapter begins: a notebook's first cell, or a whole Markdown page.

    Raises:
        BookError: if the first cell of the notebook is not Markdown.
    """
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    cells = (notebook or sources.read(path)).cells
    if not cells or cells[0].cell_type != "markdown":
        raise BookError(
            f"{sources.name(path)}: the first cell is not Markdown; a chapter begins with its title and its table."
        )
    return cells[0].source


def metadata_of(path: Path, notebook: nbformat.NotebookNode | None = None) -> dict[str, list[str] | int]:
    """What the table at a chapter's head says.

    Args:
        path: the chapter, a notebook or a Markdown page in the book. Its links are relative to it.
        notebook: what is in it, if it has been read already.

    Returns:
        `needs` and `helps`, the chapters linked in the row Needs, as paths from the book's root without a suffix;
        `minutes`, to read it. A link belongs to the first label in brackets after it; without one it is helpful.

    Raises:
        BookError: if the table or one of its rows is missing, or cannot be read.
    """
    head = head_of(path, notebook)
    found = {NECESSARY: [], HELPFUL: []}
    waiting = []
    for target, label in LINK_OR_LABEL.findall(_row(path, head, "Needs")):
        if target:
            waiting += _chapter(path, target)
        elif waiting:
            if label not in found:
                raise BookError(
                    f"{sources.name(path)}, row Needs: after a link comes (necessary) or (helpful), not '({label})'."
                )
            found[label] += waiting
            waiting = []
    found[HELPFUL] += waiting
    minutes = re.match(r"(\d+) minutes? to read\b", takes := _row(path, head, "Takes"))
    if minutes is None:
        raise BookError(
            f"{sources.name(path)}, row Takes: begin it with '20 minutes to read', and not with '{takes[:30]}'."
        )
    return {"needs": found[NECESSARY], "helps": found[HELPFUL], "minutes": int(minutes[1])}


def _row(path: Path, head: str, name: str) -> str:
    row = re.search(rf"^\| \*\*{name}\*\* \|(.*)\|\s*$", head, re.MULTILINE)
    if row is None or not row[1].strip():
        raise BookError(
            f"{sources.name(path)}: the table at its head has no row {name}; write '| **{name}** | ... |' there, "
            "as in book/template.ipynb."
        )
    return row[1].strip()


def _chapter(path: Path, target: str) -> list[str]:
    """The chapter that a link leads to, or nothing if it leads elsewhere."""
    file = target.partition("#")[0]
    if ":" in file or not file.endswith((".ipynb", ".md")):
        return []
    return [Path(os.path.relpath(path.parent / file, sources.ROOT)).with_suffix("").as_posix()]
