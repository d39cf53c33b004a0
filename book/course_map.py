"""The chapters at a glance, from what each says of itself: the directives `{prerequisites}`, a graph, and `{chapters}`,
a table."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from itertools import count
from textwrap import wrap
from typing import NamedTuple

import sources
import yaml
from docutils import nodes
from metadata import head_of, metadata_of
from sources import BookError
from sphinx.util.docutils import SphinxDirective

BACK_MATTER = "chapters/back/"  # pages that are no chapters


class Chapter(NamedTuple):
    """A chapter, and what its head and its last run say."""

    page: str  # its file, from the book's root
    part: str
    name: str  # its title, up to the question
    question: str  # the rest of the title, with the colon that may stand before it
    needs: list[str]  # keys of chapters()
    helps: list[str]
    minutes: int  # to read
    seconds: int | None  # to run, where the notebook holds them


def chapters() -> dict[str, Chapter]:
    """The chapters of the book, in reading order, by their files without a suffix.

    Raises:
        BookError: if the head of one cannot be read, or leads to a chapter that _toc.yml does not name.
    """
    toc = yaml.safe_load((sources.ROOT / "_toc.yml").read_text("utf-8"))
    parts = {entry["file"]: part["caption"] for part in toc["parts"] for entry in part["chapters"]}
    parts[toc["root"]] = toc["parts"][0]["caption"]
    found = {}
    for path in sources.pages():
        page = sources.name(path)
        if page.startswith(BACK_MATTER):
            continue
        notebook = sources.read(path) if path.suffix == ".ipynb" else None
        title = head_of(path, notebook).partition("\n")[0].removeprefix("# ")
        name, question = re.match(r"([^:?]*\??)(.*)", title).groups()
        file = page.removesuffix(path.suffix)
        if file == toc["root"]:
            name = "Welcome"  # its title is the book's
        run = notebook.metadata.get("springback", {}) if notebook else {}
        said = metadata_of(path, notebook)
        found[file] = Chapter(page, parts[file], name, question, **said, seconds=run.get("seconds"))
    for chapter in found.values():
        for other in (*chapter.needs, *chapter.helps):
            if other not in found:
                raise BookError(f"{chapter.page}, row Needs: _toc.yml has no chapter {other}; mend the link.")
    return found


# The graph, in pixels: one chapter below the other, so that it is as narrow as a telephone. What a chapter needs is
# drawn on its left, what helps on its right. All lines from one chapter share a lane.
WIDTH, HEIGHT, LINE, CAPTION, BETWEEN = 222, 26, 15, 32, 8
LANE, TO_LANES, CORNER, OUT, IN = 8, 14, 5, 5, -5
LETTERS = 30  # of a name, in one line


def draw(found: dict[str, Chapter], address: Callable[[str], str]) -> str:
    """The graph as an SVG element: a link for each chapter, a line for each prerequisite.

    Args:
        found: what chapters() gives.
        address: gives the address of a chapter's page, by the chapter's key.
    """
    names = {file: wrap(chapter.name, LETTERS) for file, chapter in found.items()}
    heights = {file: HEIGHT + LINE * (len(lines) - 1) for file, lines in names.items()}
    middle, captions, bottom = {}, {}, 0
    for file, chapter in found.items():
        if chapter.part not in captions:
            bottom += CAPTION
            captions[chapter.part] = bottom - 8
        middle[file] = bottom + heights[file] / 2
        bottom += heights[file] + BETWEEN
    lanes = {kind: _lanes(found, middle, kind) for kind in ("needs", "helps")}
    margin = {kind: TO_LANES + LANE * max(taken.values(), default=0) + 2 for kind, taken in lanes.items()}
    left, right = margin["needs"], margin["needs"] + WIDTH

    def group(file: str, chapter: Chapter) -> str:
        lines, spoken = [], [chapter.name]
        for kind, words, edge, side in (("needs", "needs", left, -1), ("helps", "is helped by", right, 1)):
            others = getattr(chapter, kind)
            for other in others:
                lane = edge + side * (TO_LANES + LANE * lanes[kind][other])
                lines.append(_line(kind, edge, side, lane, middle[other] + OUT, middle[file] + IN))
            if others:
                spoken.append(f"{words} {', '.join(found[other].name for other in others)}")
        top, first = middle[file] - heights[file] / 2, middle[file] - (heights[file] - HEIGHT) / 2 + 4.5
        texts = "".join(
            f'<text x="{left + WIDTH / 2:g}" y="{first + LINE * i:g}">{escape(text)}</text>'
            for i, text in enumerate(names[file])
        )
        return (
            f'<g class="chapter">{"".join(lines)}'
            f'<a href="{escape(address(file))}" aria-label="{escape("; ".join(spoken))}">'
            f'<rect x="{left}" y="{top:g}" width="{WIDTH}" height="{heights[file]}" rx="4"/>'
            f"{texts}</a></g>"
        )

    return (
        f'<svg class="prerequisites" viewBox="0 0 {right + margin["helps"]} {bottom}" role="group" '
        'aria-label="The chapters, and what each needs. The table says the same in words.">'
        + "".join(f'<text class="part" x="{left}" y="{y}">{escape(part)}</text>' for part, y in captions.items())
        + "".join(group(file, chapter) for file, chapter in found.items())
        + "</svg>"
    )


def _lanes(found: dict[str, Chapter], middle: dict[str, float], kind: str) -> dict[str, int]:
    """A lane for each chapter where lines of this kind begin: no two overlap in a lane, and short ones are nearest."""
    ends = {}
    for file, chapter in found.items():
        for other in getattr(chapter, kind):
            ends.setdefault(other, [middle[other] + OUT]).append(middle[file] + IN)
    spans = {file: (min(ys) - 1, max(ys) + 1) for file, ys in ends.items()}
    lanes = {}
    for file, (top, bottom) in sorted(spans.items(), key=lambda item: item[1][1] - item[1][0]):
        taken = {lanes[other] for other in lanes if top < spans[other][1] and spans[other][0] < bottom}
        lanes[file] = next(lane for lane in count() if lane not in taken)
    return lanes


def _line(kind: str, edge: float, side: int, lane: float, start: float, end: float) -> str:
    """A way from a box's edge out to a lane and back to another box, with round corners, and the head of an arrow."""
    turn, bend = lane - side * CORNER, CORNER if end > start else -CORNER
    way = (
        f"M{edge},{start:g}H{turn}Q{lane},{start:g} {lane},{start + bend:g}"
        f"V{end - bend:g}Q{lane},{end:g} {turn},{end:g}H{edge}"
    )
    head = f"M{edge + 6 * side},{end - 3.5:g}L{edge + side},{end:g}L{edge + 6 * side},{end + 3.5:g}"
    return f'<path class="{kind}" d="{way}"/><path d="{head}"/>'


def table(found: dict[str, Chapter]) -> list[str]:
    """The lines of a Markdown table with a row for each chapter."""

    def links(files: list[str]) -> str:
        return " · ".join(f"[{found[file].name}](/{found[file].page})" for file in files) or "–"

    lines = ["| chapter | needs | helped by | minutes to read | seconds to run |", "| --- | --- | --- | --: | --: |"]
    for file, chapter in found.items():
        seconds = "–" if chapter.seconds is None else chapter.seconds
        cells = [links([file]) + chapter.question, links(chapter.needs), links(chapter.helps)]
        lines.append(f"| {' | '.join(cells)} | {chapter.minutes} | {seconds} |")
    return lines


class OfChapters(SphinxDirective):
    """What both directives share: they read the chapters, and their page is made again when one of these changes."""

    def run(self):
        try:
            found = chapters()
        except BookError as error:
            raise self.error(str(error)) from error
        for chapter in found.values():
            self.env.note_dependency(str(sources.ROOT / chapter.page))
        return self.show(found)


class Prerequisites(OfChapters):
    def show(self, found: dict[str, Chapter]) -> list[nodes.Node]:
        def address(file: str) -> str:
            return self.env.app.builder.get_relative_uri(self.env.docname, file)

        figure = '<figure class="springback" aria-label="Which chapter needs which">'
        return [nodes.raw("", f"{figure}{draw(found, address)}</figure>", format="html")]


class Chapters(OfChapters):
    def show(self, found: dict[str, Chapter]) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(table(found)))


def setup(app):
    app.add_directive("prerequisites", Prerequisites)
    app.add_directive("chapters", Chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
