"""The printed book, of two chapters, and the printed quizzes."""

import html
import io
import re
import unicodedata

import browser
import pdf
import pytest
import quizzes
from pypdf import PdfReader
from pypdf.generic import ContentStream
from sources import BookError

from helpers import exercises
from helpers.exercises.checking import inline

PARTS = [("", ["chapters/welcome"]), ("II. The experiments", ["chapters/experiments/rebound"])]
# Wide tables, long formulas, high figures, and the widest code.
LARGE = ["back/guide", "experiments/verdict", "beyond/controls", "theorem/elasticity_theorem"]

# What reaches over the right margin, and figures that need more than a page.
OVER = """([width, height]) => [...document.querySelectorAll("article :is(table, pre, figure, svg, div)")]
  .filter((e) => {
    const box = e.getBoundingClientRect();
    return box.right > width + 1 || ["figure", "svg"].includes(e.localName) && box.height > height + 1;
  }).map((e) => e.outerHTML.slice(0, 80))"""


def plain(text):
    """Text without what a line break or a font changes."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


def seen(content):
    """HTML as it is read."""
    return plain(html.unescape(re.sub("<[^>]+>", "", content)))


@pytest.fixture(scope="module")
def book(chromium):
    made = io.BytesIO()
    pdf.make(chromium, PARTS).write(made)
    return PdfReader(made)


@pytest.fixture(scope="module")
def texts(book):
    return [unicodedata.normalize("NFKC", page.extract_text()) for page in book.pages]


def bookmarks(book):
    """Depth, title and page, from 0."""

    def walk(items, depth=0):
        for item in items:
            if isinstance(item, list):
                yield from walk(item, depth + 1)
            else:
                yield depth, item.title, book.get_destination_page_number(item)

    return list(walk(book.outline))


def test_bookmarks_lead_to_parts_chapters_and_sections(book, texts):
    found = {title: (depth, page) for depth, title, page in bookmarks(book)}
    chapter = "Rebound: does a model fall faster, the deeper it was aligned?"
    depth, first = found[chapter]
    assert (depth, found["II. The experiments"]) == (1, (0, first))
    assert plain(f"{chapter} What you will see") in plain(texts[first])
    for title in ("Predict first", "Do the curves cross?", "Exercises", "What next"):
        depth, page = found[title]
        assert depth == 2
        assert page >= first
        assert plain(title) in plain(texts[page])


def test_pages_are_numbered_through_and_listed(book, texts):
    assert 20 < len(texts) < 60
    assert all(text.startswith(str(number)) for number, text in enumerate(texts[1:], 2))  # the footer comes first
    assert "Version" in texts[0]
    first = next(page for _, title, page in bookmarks(book) if title.startswith("Rebound"))
    assert re.search(rf"deeper it was aligned\?\s*{first + 1}\b", texts[1])
    leads = [link.get_object()["/Dest"][0].get_object() for link in book.pages[1]["/Annots"]]
    assert [book.get_page_number(page) for page in leads] == [2, first]


def test_links_lead_into_the_book_or_out_of_it(book):
    links = [link.get_object() for page in book.pages for link in page.get("/Annots", [])]
    out = {link["/A"]["/URI"] for link in links if "/Dest" not in link}
    assert "https://arxiv.org/abs/2406.06144" in out
    assert not [address for address in out if "127.0.0.1" in address]
    assert all(link["/Dest"][0].get_object()["/Type"] == "/Page" for link in links if "/Dest" in link)


def test_a_figure_is_a_drawing_on_one_page(book, texts):
    page = next(i for i, text in enumerate(texts) if "10000 positives" in text)
    for label in ("share called positive", "negative examples", "1000 positives", "2000 positives", "5000 positives"):
        assert plain(label) in plain(texts[page])
    drawn = texts[page].replace("Gemma-2B and Llama2-7B", "")  # so the alt text in the cell's code says
    assert "Gemma-2B" in drawn, "the slider's label says which view is drawn"
    assert "Llama2-7B" not in drawn, "the slider itself is not printed"
    drawing = ContentStream(book.pages[page].get_contents(), book).operations
    assert sum(operator in (b"l", b"c") for _, operator in drawing) > 100
    pictures = book.pages[page]["/Resources"].get("/XObject", {}).values()
    assert [each for each in pictures if each.get_object()["/Subtype"] == "/Image"] == []


def test_quizzes_are_listed_and_neither_hint_nor_explanation_is_there(texts):
    shown = plain("".join(texts))
    for name in ("chapters/welcome", "chapters/experiments/rebound"):
        page = (pdf.SITE / f"{name}.html").read_text("utf-8")
        answers = re.findall(r"<summary style[^>]*>(.*?)</summary>\s*<p[^>]*>.*?</strong>(.*?)</p>", page, re.S)
        assert len(answers) >= 4
        for answer, why in answers:
            assert ")" + seen(answer) in shown
            assert seen(why) not in shown
        hint = re.search(r"<summary>Hint</summary>\s*<p>(.*?)</p>", page, re.S)[1]
        assert seen(hint)[:40] not in shown
        assert plain("Exercise 1.") in shown


@pytest.mark.parametrize("name", LARGE)
def test_nothing_is_larger_than_the_paper(chromium, address, name):
    page = chromium.new_page(viewport={"width": pdf.WIDTH, "height": 900}, color_scheme="light")
    page.emulate_media(media="print")
    pdf.opened(page, f"{address}/chapters/{name}.html")
    assert page.evaluate(OVER, [pdf.WIDTH, pdf.HEIGHT]) == []
    page.close()


def test_a_page_that_is_not_built_is_named(chromium, tmp_path):
    with pytest.raises(BookError, match="no page chapters/welcome.html: 'make book' builds it"):
        pdf.make(chromium, PARTS, tmp_path)


def test_no_browser_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(browser, "find", lambda: None)
    assert quizzes.main() == 1
    assert browser.NONE in capsys.readouterr().err


def test_a_sheet_asks_and_the_key_explains(chromium, tmp_path):
    sheets, key = quizzes.make(chromium, tmp_path)
    sheets, key = PdfReader(sheets), plain("".join(page.extract_text() for page in PdfReader(key).pages))
    chapters = quizzes.chapters()
    assert len(sheets.pages) == len(chapters) == len(exercises.read_quizzes(exercises.QUIZZES))
    for page, (title, quiz) in zip(sheets.pages, chapters, strict=True):
        sheet = plain(page.extract_text())
        assert plain(f"{title} Name Date") in sheet
        for question in quiz.questions:
            for letter, answer in question.lettered():
                asked, why = (seen(inline(text)) for text in (f"{letter}) {answer.text}", answer.why))
                verdict = "Right." if answer.right else "Wrong."
                assert asked in sheet
                assert why not in sheet
                assert f"{asked}{verdict}{why}" in key
