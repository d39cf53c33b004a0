"""The graph and the table of the chapters."""

import itertools
import re
import xml.etree.ElementTree as ET

import nbformat
import pytest
import sources
from course_map import chapters, draw, table


@pytest.fixture(scope="module")
def book():
    return chapters()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Writes a book of four chapters, of which b needs what it is told, and gives its chapters."""

    monkeypatch.setattr(sources, "ROOT", tmp_path)

    def write(needs="[A](a.ipynb) (necessary)", title="# B: is it?", **metadata):
        (tmp_path / "_toc.yml").write_text(
            "root: chapters/a\nparts:\n"
            "  - {caption: One & two, chapters: [{file: chapters/b}]}\n"
            "  - {caption: Three, chapters: [{file: chapters/c}, {file: chapters/d}]}\n"
            "  - {caption: Back matter, chapters: [{file: chapters/back/guide}]}\n"
        )
        (tmp_path / "chapters/back").mkdir(parents=True, exist_ok=True)
        (tmp_path / "chapters/back/guide.md").write_text("# A guide")
        rows = {"a": "nothing", "b": needs, "c": "[D](d.ipynb) (helpful)", "d": "[A](a.ipynb) (necessary)"}
        for name, row in rows.items():
            head = (
                f"{title if name == 'b' else '# ' + name}\n\n| **Needs** | {row} |\n| **Takes** | 5 minutes to read |"
            )
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(head)], metadata=metadata)
            nbformat.write(notebook, tmp_path / f"chapters/{name}.ipynb")
        return chapters()

    return write


def drawn(found):
    """The graph, read again: for each chapter's key its box (top, bottom), and the lines to it, as numbers."""
    groups = ET.fromstring(draw(found, lambda file: f"{file}.html")).findall("g")
    boxes, lines = {}, []
    for group in groups:
        file = group.find("a").get("href").removesuffix(".html")
        box = group.find("a/rect")
        boxes[file] = float(box.get("y")), float(box.get("y")) + float(box.get("height"))
        for path in group.findall("path[@class]"):
            numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d"))]
            start, lane, end = numbers[1], numbers[3], numbers[9]
            lines.append((path.get("class"), file, start, lane, end))
    return boxes, lines


def test_every_chapter_is_there_and_nothing_else(book):
    pages = [sources.name(path) for path in sources.pages()]
    assert [chapter.page for chapter in book.values()] == [page for page in pages if "chapters/back/" not in page]
    assert list(drawn(book)[0]) == list(book)
    assert len(table(book)) == 2 + len(book)
    assert len({chapter.name for chapter in book.values()}) == len(book)


def test_every_prerequisite_is_a_line_between_the_two_boxes(book):
    boxes, lines = drawn(book)

    def at(y):
        return next(file for file, (top, bottom) in boxes.items() if top < y < bottom)

    found = sorted((kind, at(end), at(start)) for kind, _, start, _, end in lines)
    asked = [
        (kind, file, other)
        for file, chapter in book.items()
        for kind in ("needs", "helps")
        for other in getattr(chapter, kind)
    ]
    assert found == sorted(asked)
    assert ("needs", "chapters/experiments/rebound", "chapters/start/springs_back") in found
    assert all(at(end) == file for _, file, _, _, end in lines)


def test_boxes_stand_one_below_the_other(book):
    assert all(one[1] < other[0] for one, other in itertools.pairwise(drawn(book)[0].values()))


def test_lines_from_two_chapters_never_lie_on_each_other(book):
    for one, other in itertools.combinations(drawn(book)[1], 2):
        if one[3] == other[3] and one[2] != other[2]:
            assert max(one[2], one[4]) < min(other[2], other[4]) or max(other[2], other[4]) < min(one[2], one[4])


def test_a_line_may_lead_upwards(small):
    boxes, lines = drawn(small())
    (up,) = [line for line in lines if line[0] == "helps"]
    assert boxes["chapters/d"][0] < up[2] < boxes["chapters/d"][1]
    assert up[4] < up[2]


def test_the_graph_speaks(small):
    text = draw(small("[A](a.ipynb) (necessary) · [C](c.ipynb)"), lambda file: f"../{file}.html")
    assert '<a href="../chapters/b.html" aria-label="B; needs Welcome; is helped by c">' in text
    assert ">One &amp; two</text>" in text
    assert 'role="img"' not in text


def test_a_long_name_takes_two_lines_and_a_higher_box(small):
    boxes, lines = drawn(small(title="# A name that is too long to stand in one line of a box: is it?"))
    heights = {file: bottom - top for file, (top, bottom) in boxes.items()}
    assert heights["chapters/b"] > heights["chapters/a"]
    assert boxes["chapters/b"][1] < boxes["chapters/c"][0]


def test_the_table_says_the_same(small):
    row = "| [B](/chapters/b.ipynb): is it? | [Welcome](/chapters/a.ipynb) | – | 5 | {} |"
    assert row.format("–") in table(small())
    assert row.format(42) in table(small(springback={"seconds": 42, "state": "x"}))


def test_a_title_that_begins_with_its_question_keeps_it(small):
    chapter = small(title="# Is it? The rivals get their turn")["chapters/b"]
    assert (chapter.name, chapter.question) == ("Is it?", " The rivals get their turn")


def test_what_does_not_fit_together_is_named(small, tmp_path):
    with pytest.raises(
        sources.BookError, match="chapters/b.ipynb, row Needs: _toc.yml has no chapter chapters/e; mend"
    ):
        small("[E](e.ipynb) (necessary)")
    small()
    (tmp_path / "chapters/c.ipynb").unlink()
    with pytest.raises(sources.BookError, match="_toc.yml names chapters/c, but there is no chapters/c.ipynb"):
        chapters()
