"""The whole book as one PDF, _build/springback.pdf, from the built site: `make pdf`.

Chromium prints each page of _build/html, without a network, and pypdf joins them in reading order, with bookmarks,
page numbers, a title page and links that lead from chapter to chapter. On paper figures show their first view, and
nothing that can be pressed. Hints of exercises are left out, for beside its question a hint is none; of a quiz the
answers are listed, and their explanations are not (`make quizzes` prints a key); what else is folded is unfolded,
except for code that the page hides.
"""

from __future__ import annotations

import html
import io
import json
import sys
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser
import build
import sources
import yaml
from playwright.sync_api import Browser, Page
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, Fit, FloatObject, IndirectObject, NameObject, NullObject
from sources import BookError

import helpers

TARGET = build.BUILD / "springback.pdf"
SITE = build.BUILD / "html"
STYLE = sources.ROOT / "book/print.css"
WIDTH, HEIGHT = 658, 960  # pixels: an A4 page less its margins, and a line

# The article alone, as wide as the paper, with everything unfolded that print.css does not hide, and with what is too
# wide, or a figure too high for a page, made smaller.
ARTICLE = """async (room) => {
  document.documentElement.dataset.theme = "light";
  document.body.replaceChildren(document.querySelector("article"));
  for (const mark of document.querySelectorAll(".headerlink")) mark.remove();
  for (const folded of document.querySelectorAll("details")) folded.open = !folded.closest("[aria-label=Quiz]");
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  for (const figure of document.querySelectorAll(".plotly-graph-div")) await Plotly.Plots.resize(figure);
  for (const large of document.querySelectorAll("table, mjx-container[display], figure, svg.prerequisites")) {
    const {width, height} = large.getBoundingClientRect();
    const fits = Math.min(room[0] / width, large.localName == "table" ? 1 : room[1] / height);
    if (fits < 1) large.style.zoom = fits;
  }
}"""


def contents() -> list[tuple[str, list[str]]]:
    """The parts of _toc.yml in reading order: caption and pages; those before the first part have no caption."""

    def files(entry: dict) -> Iterator[str]:
        yield from (entry[key] for key in ("root", "file") if key in entry)
        for child in (*entry.get("chapters", ()), *entry.get("sections", ())):
            yield from files(child)

    toc = yaml.safe_load((sources.ROOT / "_toc.yml").read_text("utf-8"))
    return [("", list(files(toc))), *((part.get("caption", ""), list(files(part))) for part in toc.get("parts", ()))]


def printed(page: Page, footer: str = "", first: int = 1) -> bytes:
    """Print what a page holds.

    Args:
        footer: stands on the left below each page.
        first: number of the first page.
    """
    left = f"content: {json.dumps(footer, ensure_ascii=False)}; font: 9pt system-ui, sans-serif"
    page.add_style_tag(content=f"@page {{@bottom-left {{{left}}}}} html {{counter-reset: page {first - 1}}}")
    return page.pdf(prefer_css_page_size=True, print_background=True, outline=True, tagged=True)


def shown(page: Page, content: str) -> None:
    """Show HTML in the style of what is printed."""
    page.goto("about:blank")
    page.set_content(content)
    page.add_style_tag(path=STYLE)


def opened(page: Page, address: str) -> str:
    """Go to a page of the site, leave of it what is printed, and give its title."""
    page.goto(address)
    page.wait_for_function(browser.READY)
    page.add_style_tag(path=STYLE)
    page.evaluate(ARTICLE, [WIDTH, HEIGHT])
    page.wait_for_function(browser.READY)
    return page.locator("h1").inner_text()


class Book:
    """Chapters joined into one PDF, in `writer`."""

    def __init__(self) -> None:
        self.writer = PdfWriter()
        self.part: tuple[str, IndirectObject | None] = ("", None)  # the current one's caption and bookmark
        self.firsts: dict[str, int] = {}  # page of the site -> its first page here, from 0
        self.places: dict[str, dict[str, tuple]] = {}  # page of the site -> place in it -> page here, left, top

    def add(self, name: str, title: str, content: bytes, part: str = "") -> None:
        """Append what was printed of a page of the site, with bookmarks of its part, of it and of its sections."""
        reader, first = PdfReader(io.BytesIO(content)), len(self.writer.pages)
        self.writer.append(reader, import_outline=False)
        self.firsts[name] = first
        self.places[name] = {
            place: (first + reader.get_destination_page_number(to), to.left, to.top)
            for place, to in reader.named_destinations.items()
        }
        if part != self.part[0]:
            self.part = part, self.writer.add_outline_item(title=part, page_number=first)
        chapter = self.writer.add_outline_item(title=title, page_number=first, parent=self.part[1], is_open=False)
        for sections in reader.outline:
            for section in sections if isinstance(sections, list) else ():
                if not isinstance(section, list):
                    half = section.title[: len(section.title) // 2]  # one moved to the next page is there twice
                    name = half if half * 2 == section.title else section.title
                    page, place = first + reader.get_destination_page_number(section), Fit.xyz(0, section.top)
                    self.writer.add_outline_item(title=name, page_number=page, parent=chapter, fit=place)

    def link(self, address: str) -> None:
        """Turn the links to pages of the site into links within the PDF; those that leave the book go."""
        ends = [*list(self.firsts.values())[1:], len(self.writer.pages)]
        for (name, first), end in zip(self.firsts.items(), ends, strict=True):
            for page in self.writer.pages[first:end]:
                kept = [each for each in page.get("/Annots", []) if self._led(each.get_object(), name, address)]
                page[NameObject("/Annots")] = ArrayObject(kept)

    def _led(self, link: DictionaryObject, name: str, address: str) -> bool:
        """Lead a link to its place, and say whether there is one."""
        to = link.get("/A", {}).get("/URI", "")
        if "/Dest" in link:
            place = self.places[name].get(link["/Dest"])
        elif to.startswith(address):
            first = self.firsts.get(unquote(urlsplit(to).path).removeprefix("/").removesuffix(".html"))
            place = None if first is None else (first, 0, 2000)
        else:
            return True
        if place:
            page, left, top = place
            fit = [FloatObject(left), FloatObject(top), NullObject()]
            link.pop("/A", None)
            link[NameObject("/Dest")] = ArrayObject(
                [self.writer.pages[page].indirect_reference, NameObject("/XYZ"), *fit]
            )
        return place is not None


def _config() -> dict:
    return yaml.safe_load((sources.ROOT / "_config.yml").read_text("utf-8"))


def front(parts: list[tuple[str, list[tuple[str, str, int]]]], address: str) -> str:
    """Title page and contents as HTML; of a page of the site: name, title, page number."""
    config = _config()
    rows = []
    for caption, pages in parts:
        rows.append(f"<h3>{html.escape(caption)}</h3>" if caption else "")
        rows += (
            f'<p><a href="{address}/{name}.html">{html.escape(title)}</a><span>{number}</span></p>'
            for name, title, number in pages
        )
    return (
        f'<html lang="en"><title>{config["title"]}</title><article class="title"><h1>{config["title"]}</h1>'
        f"<p>{metadata('springback')['Summary'].partition(':')[0]}</p><p>{config['author']}</p>"
        f"<p>Version {helpers.__version__}</p><p>Text and figures: CC BY 4.0. Code: Apache License 2.0.<br>"
        f"{config['repository']['url']}</p></article>"
        f'<article class="contents"><h2>Contents</h2>{"".join(rows)}</article>'
    )


def make(chromium: Browser, parts: list[tuple[str, list[str]]], site: Path = SITE) -> PdfWriter:
    """Print pages of the site and join them.

    Args:
        parts: captions and pages, as `contents` gives them.

    Raises:
        BookError: a page that is not built.
    """
    missing = next((name for _, names in parts for name in names if not (site / f"{name}.html").is_file()), None)
    if missing:
        raise BookError(f"The site has no page {missing}.html: 'make book' builds it.")
    with browser.served(site) as address:
        page = chromium.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.emulate_media(media="print")

        def printed_front(parts):
            shown(page, front(parts, address))
            return printed(page)

        blank = [(caption, [(name, "-", 0) for name in names]) for caption, names in parts]
        number = len(PdfReader(io.BytesIO(printed_front(blank))).pages) + 1
        listed, chapters = [], []
        for caption, names in parts:
            listed.append((caption, []))
            for name in names:
                title = opened(page, f"{address}/{name}.html")
                content = printed(page, title, number)
                print(f"{number:4} {title}", flush=True)
                listed[-1][1].append((name, title, number))
                chapters.append((name, title, content, caption))
                number += len(PdfReader(io.BytesIO(content)).pages)
        book = Book()
        book.add("", "Contents", printed_front(listed))
        for chapter in chapters:
            book.add(*chapter)
        book.link(address)
    page.close()
    book.writer.add_metadata({"/Title": _config()["title"], "/Author": _config()["author"]})
    book.writer.compress_identical_objects()
    return book.writer


def main() -> int:
    try:
        with browser.started() as chromium:
            make(chromium, contents()).write(TARGET)
    except (BookError, browser.NoBrowser) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(f"The book is in {sources.name(TARGET)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
