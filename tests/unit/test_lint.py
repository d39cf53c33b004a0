"""Bad input: a page that is wrong is refused, with its file, its cell and the mend; a good one passes."""

import re

import build
import glossary
import lint
import nbformat
import pytest
import sources

from helpers import exercises

HEAD = """# One: does it pass?

| | |
| --- | --- |
| **Needs** | [Another chapter](two.md) (necessary) |
| **Takes** | 15 minutes to read |
| **Hardware** | any laptop |
"""
CARD = """<div class="exercise sd-card sd-card-body sd-mb-3">

**Exercise {number}. A task.**{open}\\
difficulty <span role="img" aria-label="1 of 5">●○○○○</span> ·
importance <span role="img" aria-label="4 of 5">●●●●○</span> · 5 minutes

What to do.

<details>
<summary>{folded}</summary>

A step.

</details>
</div>"""
FIGURE = {"application/vnd.plotly.v1+json": {}, "text/html": '<figure aria-label="A line that falls.">'}


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one good notebook and one good page; gives the notebook, and a call that says what is wrong."""
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(glossary, "SOURCE", tmp_path / "chapters/back/glossary.md")
    (tmp_path / "chapters/back").mkdir(parents=True)
    (tmp_path / "chapters/back/glossary.md").write_text(":::{glossary}\nlog-odds\n  The logarithm of the odds.\n:::\n")
    (tmp_path / "chapters/two.md").write_text("# Two\n\n## What else?\n")
    (tmp_path / "chapters/a.svg").write_text("<svg/>")
    return Book(tmp_path / "chapters/token_trees.ipynb")


class Book:
    def __init__(self, path):
        self.path = path
        new = nbformat.v4
        self.cells = [new.new_markdown_cell(HEAD), new.new_code_cell("import helpers; helpers.setup()")]
        for number in (1, 2, 3):
            self.cells += [
                new.new_markdown_cell(CARD.format(number=number, open="", folded="Hint")),
                new.new_code_cell(f"def f{number}(): ...\n\n\n# solution\ndef f{number}():\n    return {number}"),
                new.new_code_cell(f'exercises.check("welcome.steps", f{number})'),
            ]
        text = f" {lint.OPEN}."
        self.cells += [
            new.new_markdown_cell(CARD.format(number=4, open=text, folded="What a good answer contains")),
            new.new_code_cell('exercises.quiz("token_trees")'),
            new.new_markdown_cell(
                "See [two](two.md#what-else), [odds](back/glossary.md#term-log-odds), ![A line](a.svg)."
            ),
            new.new_code_cell("figure", outputs=[new.new_output("display_data", data=dict(FIGURE))]),
        ]

    def complaints(self):
        nbformat.write(nbformat.v4.new_notebook(cells=self.cells), self.path)
        return list(lint.of_page(self.path))

    def cell(self, start):
        """The first cell that has a text in it."""
        return next(cell for cell in self.cells if start in cell.source)


def test_a_good_notebook_passes(book):
    assert book.complaints() == []
    assert list(lint.of_page(sources.ROOT / "chapters/two.md")) == []


def replace(cell, old, new):
    assert old in cell.source
    cell.source = cell.source.replace(old, new)


WRONG = {
    "no table": (lambda b: replace(b.cells[0], "| **Takes** | 15 minutes to read |\n", ""), "no row Takes"),
    "no minutes": (lambda b: replace(b.cells[0], "15 minutes", "a while"), "Takes: begin it with '20 minutes to read'"),
    "no check": (lambda b: b.cells.remove(b.cell('"welcome.steps", f2')), "cell 6: after the exercise's card"),
    "no card": (lambda b: b.cells.remove(b.cell("Exercise 2")), "cell 7: the check has no exercise's card"),
    "no hint": (
        lambda b: replace(b.cell("Exercise 2"), "Hint", "More"),
        "cell 6: the exercise's card lacks a folded part",
    ),
    "no title": (lambda b: replace(b.cell("Exercise 2"), "**Exercise 2. A", "**A"), "cell 6: .* lacks a title"),
    "no difficulty": (lambda b: replace(b.cell("Exercise 2"), "●○○○○", "●"), "cell 6: .* lacks its difficulty"),
    "no importance": (lambda b: replace(b.cell("Exercise 2"), "importance ", ""), "cell 6: .* lacks its importance"),
    "no time": (lambda b: replace(b.cell("Exercise 2"), " · 5 minutes", ""), "cell 6: .* lacks its minutes"),
    "few exercises": (lambda b: b.cells.remove(b.cell("Exercise 4")), "the notebook needs 4 exercises and has 3"),
    "marker left open": (lambda b: replace(b.cell("def f1"), "def f1():\n    return 1", ""), "cell 4: .* is left open"),
    "marker first": (lambda b: replace(b.cell("def f1"), "def f1(): ...\n\n\n", ""), "cell 4: nothing stands before"),
    "marker unread": (lambda b: replace(b.cell("def f1"), "# solution", "# Solution:"), "cell 4: .* hides nothing"),
    "marker elsewhere": (
        lambda b: setattr(b.cells[1], "source", "x = ...\n\n# solution\nx = 1"),
        "cell 2: after a cell with '# solution' its check must follow",
    ),
    "name from a solution": (
        lambda b: (
            replace(b.cell("def f1"), "return 1", "return math.pi\n\n\nimport math"),
            replace(b.cells[-1], "figure", "math.e"),
        ),
        "cell 15: 'math' is defined only by the solution in chapters/token_trees.ipynb, cell 4",
    ),
    "no quiz": (
        lambda b: b.cells.remove(b.cell("exercises.quiz")),
        r'no cell shows the quiz; `exercises.quiz\("token_trees"\)`',
    ),
    "unknown term": (
        lambda b: replace(b.cells[-2], "log-odds)", "odds)"),
        "cell 14: the glossary has no term 'term-odds'",
    ),
    "image": (lambda b: replace(b.cells[-2], "![A line]", "![]"), "cell 14: the image a.svg has no alt text"),
    "image in HTML": (
        lambda b: replace(b.cells[-2], "![A line](a.svg)", '<img src="a.svg">'),
        "cell 14: <img .* no alt text",
    ),
    "figure": (
        lambda b: b.cells[-1].outputs[0].data.update({"text/html": "<figure>"}),
        "cell 15: a figure has no alt text",
    ),
    "picture": (
        lambda b: b.cells[-1].outputs[0].data.update({"image/png": "aaaa"}),
        "cell 15: an output is an image without alt text",
    ),
    "dead page": (
        lambda b: replace(b.cells[-2], "two.md#", "three.md#"),
        "cell 14: the link to three.md.* is dead: there is no",
    ),
    "dead section": (
        lambda b: replace(b.cells[-2], "#what-else", "#nothing"),
        "cell 14: .* chapters/two.md has no section 'nothing'",
    ),
    "dead image": (lambda b: replace(b.cells[-2], "a.svg", "b.svg"), "cell 14: the link to b.svg is dead"),
}


@pytest.mark.parametrize("spoil, complaint", WRONG.values(), ids=WRONG)
def test_a_wrong_notebook_is_refused_with_file_cell_and_mend(book, spoil, complaint):
    spoil(book)
    found = book.complaints()
    assert re.search(complaint, "\n".join(found)), found
    assert all(line.startswith("chapters/token_trees.ipynb") for line in found)


@pytest.mark.parametrize(
    ("quiz", "complaint"),
    [
        (
            '[[token_trees]]\ntext = "a"\nanswers = [{ text = "b", right = true }]',
            "token_trees, question 1: .* under 'why'",
        ),
        (
            '[[token_trees]]\ntext = "a"\nanswers = [{ text = "b", why = "c", right = true }]',
            "token_trees: a quiz needs 3 questions",
        ),
    ],
)
def test_a_wrong_quiz_is_refused(book, quiz, complaint, tmp_path, monkeypatch):
    path = tmp_path / "quizzes.toml"
    path.write_text(quiz)
    monkeypatch.setattr(exercises, "QUIZZES", path)
    (found,) = book.complaints()
    assert re.search(f"quizzes.toml, {complaint}", found)


def test_the_build_stops_and_names_all_that_is_wrong(book, monkeypatch, capsys):
    book.cells[-2].source += " ![](a.svg) [x](y.md)"
    book.complaints()
    (sources.ROOT / "_toc.yml").write_text("format: jb-book\nroot: chapters/token_trees")
    monkeypatch.setattr(build, "check_setup_cells", lambda: None)
    assert build.main(["--stored"]) == 1
    assert len(capsys.readouterr().err.strip().split("\n")) == 2


def test_the_book_itself_passes():
    lint.check_all(sources.pages())
