"""The book's sources: its pages and notebooks, found, read and written."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent


class BookError(Exception):
    """What is wrong and where, in one sentence for the person at the keyboard."""


def pages() -> list[Path]:
    """The files that _toc.yml names, in reading order.

    Raises:
        BookError: if one of them does not exist.
    """

    def walk(entry):
        if isinstance(entry, list):
            for item in entry:
                yield from walk(item)
        elif isinstance(entry, dict):
            yield from (entry[key] for key in ("root", "file") if key in entry)
            for key in ("parts", "subtrees", "chapters", "sections", "entries"):
                yield from walk(entry.get(key))

    found = []
    for page in walk(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))):
        path = next((ROOT / f"{page}{end}" for end in (".ipynb", ".md", "") if (ROOT / f"{page}{end}").is_file()), None)
        if path is None:
            raise BookError(f"_toc.yml names {page}, but there is no {page}.ipynb and no {page}.md.")
        found.append(path)
    return found


def notebooks() -> list[Path]:
    """Every notebook that keeps the one shape: the chapters' and the template."""
    return [*sorted(ROOT.glob("chapters/**/[!.]*.ipynb")), ROOT / "book/template.ipynb"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise BookError(f"{name(path)} is not a readable notebook: {error}") from error


def write(path: Path, notebook: nbformat.NotebookNode) -> None:
    """Write a notebook at once: either the whole new file stands there or the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        nbformat.write(notebook, half)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
