"""Slides of the chapters, from their notebooks: `make slides`, or `make slides NAME=rebound` for one.

Each chapter's notebook, in the student edition, becomes _build/slides/<name>.html: a deck of reveal.js that needs no
server and no network, only the folder `shared` beside it. What is on it follows from the one shape of a notebook:

- title and what you will see; the text of 'Predict first', of 'What we saw' (two points a slide) and of 'What next';
- each figure, with the paragraph before it, or else its alt text, and each definition and theorem;
- each output that the text quotes (tag `nbval-check-output`) and that is a table small enough to be read;
- each question of the quiz, and on the next slide its right answer and the reason.

Code is not shown, nor anything of the exercises. The standard cell metadata `slideshow: {slide_type: ...}` overrides:
`skip` leaves a cell out, `slide` shows all of it (a code cell's code, at most ten lines, then its outputs), `fragment`
adds it to the slide before, to appear at the next key, `notes` puts it into the speaker's view (key S).
"""

from __future__ import annotations

import html
import re
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import build
import nbformat
import sources
from edition import student
from slide_blocks import MARKDOWN, ROOM, Block, block, blocks, filled, outputs, prose, sentences
from sources import BookError

from helpers import exercises
from helpers.exercises.checking import inline

SLIDES = build.BUILD / "slides"
CODE = 10, 72  # lines, and characters in a line
SAID = ("Predict first", "What we saw", "What next")  # the sections whose text is on the slides
THEOREM = re.compile(r"^:::\{prf:(\w+)\} *([^\n]*)\n(?::label:[^\n]*\n)?(.*?)^:::$", re.M | re.S)
QUIZ = re.compile(r'exercises\.quiz\("(\w+)"\)')


class Deck:
    """The slides of a notebook, in `slides`: what is inside each, as HTML.

    Raises:
        BookError: a `slide_type` that there is not, or code that is too long for a slide.
    """

    def __init__(self, path: Path) -> None:
        self.slides: list[str] = []
        self.title = self.section = self.heading = ""
        self.lead = ""  # what the text says just before an output
        cells = student(sources.read(path)).cells
        setup = next((cell for cell in cells if cell.cell_type == "code"), None)
        for number, cell in enumerate(cells, 1):
            place = f"{sources.name(path)}, cell {number}"
            kind = cell.metadata.get("slideshow", {}).get("slide_type", "-").removeprefix("sub")
            if kind not in ("-", "slide", "fragment", "skip", "notes"):
                raise BookError(f"{place}: slide_type is {kind!r}; choose slide, subslide, fragment, skip, notes or -.")
            if cell.cell_type == "markdown":
                for part in filter(None, re.split(r"^(?=#+ )", cell.source, flags=re.M)):
                    self._text(part, kind)
            elif cell.cell_type == "code" and cell is not setup:
                if kind == "-":
                    self._code(cell, next(iter(cells[number:]), None))
                else:
                    self._asked([] if kind == "skip" else _whole(cell, place), kind)

    def _text(self, part: str, kind: str) -> None:
        """Some Markdown, with a heading at its beginning or nowhere."""
        if part.startswith("#"):
            head, _, part = part.partition("\n")
            level, _, self.heading = head.partition(" ")
            self.lead = ""
            if level == "#":
                self.title, self.heading = self.heading, self.heading.partition(":")[0]
            elif level == "##":
                self.section = self.heading
        if kind != "-":
            self._asked(blocks(part), kind)
        elif not self.section:
            promise = next((each.html for each in blocks(part)), "")
            self.slides.append(f"<h1>{MARKDOWN.renderInline(self.title)}</h1>{promise}")
        elif self.section.startswith(SAID):
            self.slides += filled(self.heading, blocks(part), 2 if self.section.startswith("What we saw") else 99)
        elif self.section != "Exercises":
            for what, title, statement in THEOREM.findall(part):
                if what != "proof":
                    self.slides += filled(f"{what.capitalize()}: {title}", blocks(statement))
            self.lead = next((sentences(each, before=True) for each in prose(THEOREM.sub("", part))[::-1]), self.lead)

    def _code(self, cell: nbformat.NotebookNode, after: nbformat.NotebookNode | None) -> None:
        """The outputs of a cell, with what the text says of them before or, else, just after; or the quiz."""
        quiz = QUIZ.search(cell.source)
        if quiz:
            self.slides += _questions(quiz[1])
        elif self.section != "Exercises":
            shown = outputs(cell, tables="nbval-check-output" in cell.metadata.get("tags", []))
            if not self.lead and after and after.cell_type == "markdown" and not after.source.startswith("#"):
                self.lead = sentences(next(iter(prose(after.source)), ""))
            if shown:
                said = MARKDOWN.renderInline(self.lead) or html.escape(sentences(shown[0].alt))
                above = block(f"<p>{said}</p>")
                alone = not said or above.lines + shown[0].lines > ROOM
                self.slides += filled(self.heading, shown if alone else [above, *shown])
                self.lead = ""

    def _asked(self, content: list[Block], kind: str) -> None:
        """Content as the metadata ask for it."""
        if kind == "slide":
            self.slides += filled(self.heading, content)
        elif kind != "skip" and self.slides:
            tag, name = ("aside", "notes") if kind == "notes" else ("div", "fragment")
            self.slides[-1] += f'<{tag} class="{name}">{"".join(each.html for each in content)}</{tag}>'


def _whole(cell: nbformat.NotebookNode, place: str) -> list[Block]:
    """A cell's code, unless it is hidden on the page too, and its outputs."""
    if {"hide-input", "remove-input"}.intersection(cell.metadata.get("tags", [])):
        return outputs(cell, tables=True)
    lines = cell.source.split("\n")
    if len(lines) > CODE[0] or max(map(len, lines)) > CODE[1]:
        raise BookError(
            f"{place}: code on a slide has at most {CODE[0]} lines of {CODE[1]} characters; make the cell shorter, "
            "or change its slide_type."
        )
    return [Block(f'<pre class="code">{html.escape(cell.source)}</pre>', len(lines)), *outputs(cell, tables=True)]


def _questions(name: str) -> list[str]:
    """Each question with its answers; on the next slide the right one and the reason."""
    found = []
    for title, question in exercises.quiz(name).numbered():
        asked = block(f"<p>{inline(question.text)}</p>")
        answers = [block(f"<p>{letter}) {inline(answer.text)}</p>") for letter, answer in question.lettered()]
        letter, right = next(each for each in question.lettered() if each[1].right)
        told = [block(f'<p class="right">{letter}) {inline(right.text)}</p>'), block(f"<p>{inline(right.why)}</p>")]
        found += filled(title, [asked, *answers]) + filled(title, [asked, *told])
    return found


def write(path: Path, folder: Path = SLIDES) -> Path:
    """Write the deck of a notebook, beside the files that all decks share."""
    deck = Deck(path)
    page = (sources.ROOT / "book/deck.html").read_text("utf-8")
    parts = {
        "title": html.escape(deck.title),
        "slides": "\n".join(f"<section>{each}</section>" for each in deck.slides),
    }
    written = folder / f"{path.stem}.html"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(re.sub(r"\{\{(\w+)\}\}", lambda part: parts[part[1]], page), "utf-8")
    return written


def share(folder: Path = SLIDES) -> None:
    """Put what all decks need into the folder beside them."""
    for name in ("reveal", "mathjax"):
        shutil.copytree(sources.ROOT / "book/vendor" / name, folder / "shared" / name, dirs_exist_ok=True)
    shutil.copy(files("plotly").joinpath("package_data/plotly.min.js"), folder / "shared")


def main(names: list[str]) -> int:
    chapters = {path.stem: path for path in sources.pages() if path.suffix == ".ipynb"}
    try:
        unknown = next((name for name in names if name not in chapters), None)
        if unknown:
            raise BookError(f"There is no chapter {unknown!r}; NAME is one of {', '.join(chapters)}.")
        share()
        for name in names or chapters:
            print(sources.name(write(chapters[name])))
    except BookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
