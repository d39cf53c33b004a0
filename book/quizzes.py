"""The quizzes on paper, from helpers/exercises/quizzes.toml: `make quizzes`.

_build/quizzes/sheets.pdf has a sheet for each chapter, with room for a name; _build/quizzes/key.pdf says of every
answer whether it is right, and why.
"""

from __future__ import annotations

import html
import sys
from pathlib import Path

import browser
import build
import sources
from pdf import printed, shown
from playwright.sync_api import Browser
from sources import BookError

from helpers.exercises import QUIZZES, read_quizzes
from helpers.exercises.checking import RIGHT, inline
from helpers.exercises.quiz import Quiz

TARGET = build.BUILD / "quizzes"


def chapters() -> list[tuple[str, Quiz]]:
    """The title and the quiz of each chapter that has one, in reading order.

    Raises:
        BookError: a quiz of no chapter.
    """
    quizzes = dict(read_quizzes(QUIZZES))
    found = []
    for path in sources.pages():
        if path.stem in quizzes:
            title = sources.read(path).cells[0].source.partition("\n")[0].lstrip("# ")
            found.append((title, quizzes.pop(path.stem)))
    if quizzes:
        raise BookError(f"{QUIZZES.name} has a quiz for {', '.join(quizzes)}, and no chapter has that name.")
    return found


def sheet(title: str, quiz: Quiz) -> str:
    """The questions, with room for a name and a date."""
    return _paper(title, '<p class="who"><span>Name</span><span>Date</span></p>', quiz, key=False)


def key(title: str, quiz: Quiz) -> str:
    """The same, with what is right and why."""
    return _paper(title, "<p><strong>Key</strong></p>", quiz, key=True)


def _paper(title: str, head: str, quiz: Quiz, key: bool) -> str:
    parts = [f"<h1>{html.escape(title)}</h1>{head}"]
    for number, question in quiz.numbered():
        rows = []
        for letter, answer in question.lettered():
            why = f'<p class="why"><strong>{RIGHT if answer.right else "Wrong"}.</strong> {inline(answer.why)}</p>'
            mark = ' class="right"' if key and answer.right else ""
            rows.append(f"<div{mark}><p>{letter}) {inline(answer.text)}</p>{why if key else ''}</div>")
        parts.append(f"<section><p><strong>{number}.</strong> {inline(question.text)}</p>{''.join(rows)}</section>")
    return f'<article class="sheet">{"".join(parts)}</article>'


def make(chromium: Browser, folder: Path = TARGET) -> list[Path]:
    """Print sheets and key into a folder, and give both files."""
    folder.mkdir(parents=True, exist_ok=True)
    page, written = chromium.new_page(), []
    for name, paper in (("sheets", sheet), ("key", key)):
        body = "".join(paper(title, quiz) for title, quiz in chapters())
        shown(page, f'<html lang="en"><title>Springback: {name}</title><body>{body}')
        written.append(folder / f"{name}.pdf")
        written[-1].write_bytes(printed(page, f"Springback: {name}"))
    page.close()
    return written


def main() -> int:
    try:
        with browser.started() as chromium:
            print(*map(sources.name, make(chromium)), sep="\n")
    except (BookError, browser.NoBrowser) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
