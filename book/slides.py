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
import json
import math
import re
import shutil
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import build
import nbformat
from build import BookError
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from mdit_py_plugins.dollarmath import dollarmath_plugin

from helpers import exercises
from helpers.exercises.checking import inline

try:
    from edition import student
except ModuleNotFoundError:  # REPLACE by the import alone once book/edition.py is there

    def student(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
        edition = nbformat.from_dict(notebook)
        edition.cells = [cell for cell in edition.cells if "solution" not in cell.metadata.get("tags", [])]
        for cell in edition.cells:
            cell.source = cell.source.split("\n# solution\n")[0]
        return edition


SLIDES = build.BUILD / "slides"
ROOM, WIDTH = 13, 76  # lines below a slide's title and characters in a line, at 28 pixels
CODE_LINES, TABLE_LINES, TABLE_WIDTH = 10, 12, 72
FIGURE_LINES, LEAD = 9, 230  # lines that a figure takes at least, characters above it at most
FIGURE_FONT, INK = 24, "#1b1f24"
SAID = ("Predict first", "What we saw", "What next")  # sections whose text is on the slides
EXERCISES = "Exercises"
THEOREM = re.compile(r"^:::\{prf:(\w+)\} *(.*)\n(?::label:.*\n)?(.*?)^:::$", re.M | re.S)
QUIZ = re.compile(r'exercises\.quiz\("(\w+)"\)')


@dataclass(frozen=True)
class Block:
    """A piece of a slide, and how many lines it takes."""

    html: str
    lines: float
    alt: str = ""  # of a figure


def _markdown() -> MarkdownIt:
    """Markdown as in the chapters, without links to other pages: on a slide they lead nowhere."""
    markdown = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)
    away = []

    def link_open(self, tokens, i, options, env):
        away.append(tokens[i].attrs["href"].startswith("http"))
        return self.renderToken(tokens, i, options, env) if away[-1] else ""

    def math(left, right):
        return lambda self, tokens, i, options, env: f"{left}{html.escape(tokens[i].content)}{right}"

    markdown.add_render_rule("link_open", link_open)
    markdown.add_render_rule("link_close", lambda *_: "</a>" if away.pop() else "")
    markdown.add_render_rule("math_inline", math(r"\(", r"\)"))
    for name in ("math_inline_double", "math_block", "math_block_label"):
        markdown.add_render_rule(name, math(r"<div>\[", r"\]</div>"))
    return markdown


MARKDOWN = _markdown()


def blocks(text: str) -> list[Block]:
    """Markdown as blocks: its paragraphs, formulas, tables and the single points of its lists; no raw HTML."""
    found = []
    for node in SyntaxTreeNode(MARKDOWN.parse(text)).children:
        if node.type.endswith("_list"):
            for number, item in enumerate(node.children, node.attrs.get("start", 1)):
                start, end = (f'<ol start="{number}">', "</ol>") if node.type[0] == "o" else ("<ul>", "</ul>")
                found.append(_block(start + _render(item) + end))
        elif node.type not in ("html_block", "heading", "hr", "fence"):
            found.append(_block(_render(node)))
    return found


def _render(node: SyntaxTreeNode) -> str:
    return MARKDOWN.renderer.render(node.to_tokens(), MARKDOWN.options, {})


def _block(content: str) -> Block:
    shown = len(html.unescape(re.sub("<[^>]+>", "", content)))
    formulas = 2 * content.count(r"\[") + content.count(r"\\")
    return Block(content, 1.15 * content.count("<tr") or math.ceil(shown / WIDTH) + 0.5 + formulas)


def filled(title: str, content: list[Block], most: int = 99) -> list[str]:
    """As many slides as the blocks need, with at most so many blocks on one."""
    slides, taken = [[]], 0.0
    for block in content:
        if slides[-1] and (taken + block.lines > ROOM or len(slides[-1]) == most):
            slides, taken = [*slides, []], 0.0
        slides[-1].append(block.html)
        taken += block.lines
    return [f"<h2>{MARKDOWN.renderInline(title)}</h2>{''.join(each)}" for each in slides if each]


def lead(text: str) -> str:
    """The first sentence, and as many more as fit above a figure."""
    ends = [stop.end() for stop in re.finditer(r"[.?!](?=\s|$)", text)] or [len(text)]
    return text[: max([ends[0], *(end for end in ends if end <= LEAD)])]


def outputs(cell: nbformat.NotebookNode, tables: bool) -> list[Block]:
    """What a cell shows that can be read from afar: its figures and, if asked for, its tables."""
    figures, small = [], []
    for output in cell.outputs:
        data = output.get("data", {})
        if build.PLOTLY_MIME in data:
            figures.append(Block(_plot(data[build.PLOTLY_MIME], data["text/plain"]), FIGURE_LINES, data["text/plain"]))
        elif '<figure class="springback' in data.get("text/html", ""):
            figures.append(Block(data["text/html"], FIGURE_LINES, data["text/plain"]))
        elif "<table" in data.get("text/html", ""):
            rows = [re.findall(r"<t[dh].*?</t[dh]>", row, re.S) for row in data["text/html"].split("<tr")]
            width = max(sum(len(re.sub("<[^>]+>", "", each)) + 2 for each in row) for row in rows)
            start, end = data["text/html"].index("<table"), data["text/html"].index("</table>")
            small.append((_block(data["text/html"][start:end] + "</table>"), len(rows) - 1, width))
        elif output.output_type == "stream":
            # Several tables printed one below the other may stand on several slides: each begins with a plain line.
            for part in re.split(r"\n(?=\S+(?: \S+)*\n)", output.text.rstrip()):
                rows = part.split("\n")
                small.append((Block(f"<pre>{html.escape(part)}</pre>", len(rows)), len(rows), max(map(len, rows))))
    fit = all(rows <= TABLE_LINES and width <= TABLE_WIDTH for _, rows, width in small)
    if not tables or not fit or sum(rows for _, rows, _ in small) < 3:  # one or two lines are no table
        small = []
    return figures + [block for block, _, _ in small]


def _plot(stored: dict, alt: str) -> str:
    layout = {**_enlarged(stored["layout"]), "autosize": True, "height": None}
    data = json.dumps({"data": stored["data"], "layout": layout}, ensure_ascii=False).replace("<", "\\u003c")
    return (
        f'<figure class="plot" role="img" aria-label="{html.escape(alt)}"><div></div>'
        f'<script type="application/json">{data}</script></figure>'
    )


def _enlarged(part: Any) -> Any:
    """A Plotly layout with every font made large and dark, and without a height: a figure fills its slide."""
    if isinstance(part, list):
        return [_enlarged(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: {**value, "size": FIGURE_FONT, "color": INK} if key.endswith("font") else _enlarged(value)
        for key, value in part.items()
        if key != "height"
    }


def questions(name: str) -> list[str]:
    """Each question with its answers; on the next slide the right one and the reason."""
    found = []
    for title, question in exercises.quiz(name).numbered():
        asked = f"<h2>{title}</h2><p>{inline(question.text)}</p>"
        found.append(asked + "".join(f"<p>{letter}) {inline(each.text)}</p>" for letter, each in question.lettered()))
        letter, right = next(pair for pair in question.lettered() if pair[1].right)
        found.append(f'{asked}<p class="right">{letter}) {inline(right.text)}</p><p>{inline(right.why)}</p>')
    return found


class Deck:
    """The slides of a notebook, in `slides`: what is inside each, as HTML.

    Raises:
        BookError: a `slide_type` that there is not, or code that is too long for a slide.
    """

    def __init__(self, path: Path) -> None:
        self.slides: list[str] = []
        self.title = self.section = self.heading = self.lead = ""  # lead: the paragraph before a figure
        notebook = student(build.read(path))
        setup = build.first_code_cell(notebook)
        for number, cell in enumerate(notebook.cells, 1):
            place = f"{build.name(path)}, cell {number}"
            kind = cell.metadata.get("slideshow", {}).get("slide_type", "").strip("-").removeprefix("sub")
            if kind not in ("", "slide", "fragment", "skip", "notes"):
                raise BookError(f"{place}: slide_type is {kind!r}; choose slide, subslide, fragment, skip or notes.")
            if cell.cell_type == "markdown":
                self._text(cell.source, kind)
            elif cell.cell_type == "code" and cell is not setup:
                self._code(cell, kind, place)

    def _text(self, source: str, kind: str) -> None:
        for part in filter(None, re.split(r"^(?=#+ )", source, flags=re.M)):
            if part.startswith("#"):
                head, _, part = part.partition("\n")
                level, _, self.heading = head.partition(" ")
                self.lead = ""
                if level == "#":
                    self.title, self.heading = self.heading, self.heading.partition(":")[0]
                elif level == "##":
                    self.section = self.heading
            if kind:
                self._asked(blocks(part), kind)
            elif not self.section:
                self.slides.append(f"<h1>{MARKDOWN.renderInline(self.title)}</h1>{blocks(part)[0].html}")
            elif self.section.startswith(SAID):
                self.slides += filled(self.heading, blocks(part), 2 if self.section.startswith("What we saw") else 99)
            else:
                for what, title, statement in THEOREM.findall(part):
                    if what != "proof":
                        self.slides += filled(f"{what.capitalize()}: {title}", blocks(statement))
                paragraphs = [text for text in THEOREM.sub("", part).split("\n\n") if re.match(r"\s*[\w*`$]", text)]
                self.lead = lead(" ".join(paragraphs[-1].split())) if paragraphs else self.lead

    def _code(self, cell: nbformat.NotebookNode, kind: str, place: str) -> None:
        tags = cell.metadata.get("tags", [])
        quiz = QUIZ.search(cell.source)
        if quiz and not kind:
            self.slides += questions(quiz[1])
        elif not kind and self.section != EXERCISES:
            shown = outputs(cell, tables="nbval-check-output" in tags)
            if shown:
                said = MARKDOWN.renderInline(self.lead) or html.escape(lead(shown[0].alt))
                above = [_block(f"<p>{said}</p>")] if said else []
                self.slides += filled(self.heading, above + shown)
                self.lead = ""
        elif kind:
            lines = cell.source.split("\n")
            if len(lines) > CODE_LINES or max(map(len, lines)) > TABLE_WIDTH:
                raise BookError(
                    f"{place}: a slide has room for {CODE_LINES} lines of code, and this cell has {len(lines)}."
                )
            code = Block(f'<pre class="code">{html.escape(cell.source)}</pre>', len(lines))
            hidden = {"hide-input", "remove-input"}.intersection(tags)
            self._asked([*([] if hidden else [code]), *outputs(cell, tables=True)], kind)

    def _asked(self, content: list[Block], kind: str) -> None:
        """Content that the metadata asks for."""
        if kind == "slide":
            self.slides += filled(self.heading, content)
        elif kind != "skip" and self.slides:
            start, end = (
                ('<aside class="notes">', "</aside>") if kind == "notes" else ('<div class="fragment">', "</div>")
            )
            self.slides[-1] += start + "".join(block.html for block in content) + end


def write(path: Path) -> Path:
    """Write the deck of a notebook, beside the files that all decks share."""
    deck = Deck(path)
    page = (build.ROOT / "book/deck.html").read_text("utf-8")
    parts = {
        "title": html.escape(deck.title),
        "slides": "\n".join(f"<section>{each}</section>" for each in deck.slides),
    }
    written = SLIDES / f"{path.stem}.html"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(re.sub(r"\{\{(\w+)\}\}", lambda part: parts[part[1]], page), "utf-8")
    return written


def share() -> None:
    """Put what all decks need into the folder beside them."""
    for name in ("reveal", "mathjax"):
        shutil.copytree(build.ROOT / "book/vendor" / name, SLIDES / "shared" / name, dirs_exist_ok=True)
    shutil.copy(files("plotly").joinpath("package_data/plotly.min.js"), SLIDES / "shared")


def main(names: list[str]) -> int:
    chapters = {path.stem: path for path in build.pages() if path.suffix == ".ipynb"}
    try:
        unknown = next((name for name in names if name not in chapters), None)
        if unknown:
            raise BookError(f"There is no chapter {unknown!r}; NAME is one of {', '.join(chapters)}.")
        share()
        for name in names or chapters:
            print(build.name(write(chapters[name])))
    except BookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
