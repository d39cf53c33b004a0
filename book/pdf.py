"""The book on paper: `make pdf` prints the built site, `make quizzes` the quizzes and their key.

A browser prints each page, with its figures as they are drawn first: a slider or a button shows one view. Hints and
the explanations of quizzes stay folded, and navigation is left out; the rules are in springback.css, under `@media
print`. The pages are joined in reading order, with bookmarks.
"""

from __future__ import annotations

import argparse
import html
import io
import sys
from pathlib import Path

import browser
import build
import sources
import yaml
from playwright.sync_api import Browser
from pypdf import PdfReader, PdfWriter
from sources import BookError

import helpers
from helpers import exercises
from helpers.exercises.checking import RIGHT, inline

PAPER = {"format": "A4", "print_background": True, "margin": dict.fromkeys(("top", "bottom", "left", "right"), "18mm")}
NUMBERED = {
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": '<div style="font: 8px sans-serif; text-align: center; width: 100%">TITLE</div>',
}
SHEET = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 11pt/1.5 system-ui, sans-serif; }} section {{ break-after: page; }} h1 {{ font-size: 16pt; }}
.question {{ break-inside: avoid; margin-top: 1.2em; }} .answer {{ margin: 0.3em 0 0 1.5em; }}
.why {{ color: #444; margin: 0 0 0.3em 3em; }} code {{ font-size: 0.9em; }}
</style>{body}</html>"""


def book(started: Browser, address: str, chosen: list[Path], parts: dict[str, str]) -> PdfWriter:
    """Print pages of the site, and join them.

    Args:
        address: of the served site.
        chosen: the pages, as sources.pages() gives them.
        parts: the caption of the part that begins with a page, by its name without a suffix.
    """
    joined = PdfWriter()
    cover = f"<h1>Springback</h1><p>Watch a language model spring back. Version {helpers.__version__}</p>"
    _add(joined, _printed(started, SHEET.format(title="Springback", body=cover)), "Springback")
    part = None
    for path in chosen:
        place = sources.name(path).removesuffix(path.suffix)
        page = started.new_page(viewport={"width": 1000, "height": 1400}, color_scheme="light")
        page.goto(f"{address}/{place}.html")
        page.wait_for_function(browser.READY)
        page.emulate_media(media="print", color_scheme="light")
        page.evaluate("() => { document.documentElement.dataset.theme = 'light' }")
        # The paper is narrower than the window: the figures are drawn again at its width.
        page.set_viewport_size({"width": 700, "height": 1000})
        page.wait_for_timeout(300)
        title = page.locator("h1").first.inner_text().rstrip("#").strip()
        footer = NUMBERED["footer_template"].replace(
            "TITLE", f'{html.escape(title)} · <span class="pageNumber"></span>'
        )
        content = page.pdf(**PAPER, **NUMBERED | {"footer_template": footer}, scale=0.75)
        page.close()
        if place in parts:
            part = joined.add_outline_item(parts[place], page_number=len(joined.pages))
        _add(joined, content, title, part)
    return joined


def sheets(started: Browser, names: list[str], key: bool) -> bytes:
    """The quizzes of chapters for paper, one a sheet; with the key, which explains every answer."""
    quizzes, body = exercises.read_quizzes(exercises.QUIZZES), []
    for name in names:
        body.append(f"<section><h1>{html.escape(_title(name))}{': key' if key else ''}</h1>")
        body.append("" if key else "<p>Name ______________________________ &nbsp; Date ______________</p>")
        for title, question in quizzes[name].numbered():
            body.append(f'<div class="question"><strong>{title}.</strong> {inline(question.text)}')
            for letter, answer in question.lettered():
                box = f"<strong>{letter}: {RIGHT if answer.right else 'wrong'}.</strong>" if key else f"☐ {letter})"
                body.append(f'<p class="answer">{box} {inline(answer.text)}</p>')
                body.append(f'<p class="why">{inline(answer.why)}</p>' if key else "")
            body.append("</div>")
        body.append("</section>")
    return _printed(started, SHEET.format(title="Quizzes", body="\n".join(body)))


def _title(name: str) -> str:
    path = next(path for path in sources.pages() if path.stem == name)
    return sources.read(path).cells[0].source.partition("\n")[0].removeprefix("# ")


def _printed(started: Browser, text: str) -> bytes:
    page = started.new_page()
    page.set_content(text)
    content = page.pdf(**PAPER)
    page.close()
    return content


def _add(joined: PdfWriter, content: bytes, title: str, part=None) -> None:
    number = len(joined.pages)
    for page in PdfReader(io.BytesIO(content)).pages:
        joined.add_page(page)
    joined.add_outline_item(title, page_number=number, parent=part)


def _parts() -> dict[str, str]:
    toc = yaml.safe_load((sources.ROOT / "_toc.yml").read_text("utf-8"))
    return {part["chapters"][0]["file"]: part["caption"] for part in toc["parts"]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quizzes", action="store_true", help="print the quizzes, not the book")
    chosen = parser.parse_args(arguments)
    try:
        with browser.started() as started:
            if chosen.quizzes:
                folder = build.BUILD / "quizzes"
                folder.mkdir(parents=True, exist_ok=True)
                names = [path.stem for path in sources.pages() if path.suffix == ".ipynb"]
                for name, key in (("questions", False), ("key", True)):
                    (folder / f"{name}.pdf").write_bytes(sheets(started, names, key))
                    print(sources.name(folder / f"{name}.pdf"))
            else:
                if not (build.BUILD / "html/index.html").is_file():
                    raise BookError("There is no built book in _build/html: run 'make book' first.")
                with browser.served(build.BUILD / "html") as address:
                    joined = book(started, address, sources.pages(), _parts())
                joined.add_metadata({"/Title": "Springback", "/Author": "The Springback authors"})
                joined.compress_identical_objects()
                joined.write(build.BUILD / "springback.pdf")
                print(f"_build/springback.pdf: {len(joined.pages)} pages")
    except (BookError, browser.NoBrowser) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
