"""What of a notebook is on its slides, and what never is."""

import nbformat
import pytest
import slides
import sources
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

TABLE = "group  needed  ratio\nmood   107.6   1.2\ntruth  191.1   21.8\n"
QUOTED = {"tags": ["nbval-check-output"]}
SHAPE = [
    new_markdown_cell("# Rebound: does it fall?\n\n*What you will see: it falls.*\n\n| | |\n| --- | --- |\n| a | b |"),
    new_code_cell(
        "import helpers; helpers.setup()", metadata=QUOTED, outputs=[new_output("stream", text="one\ntwo\nthree")]
    ),
    new_markdown_cell("## The run\n\nFirst some words. The figure shows a line. Then it shows more."),
    new_code_cell("draw()"),
    new_code_cell(
        "print(table)", metadata={"tags": ["nbval-check-output"]}, outputs=[new_output("stream", text=TABLE)]
    ),
    new_markdown_cell("## What we saw, and what it does not show\n\n- One.\n- Two.\n- Three.\n\nAll this is small."),
    new_markdown_cell("## Exercises\n\n**Exercise 1.** A task."),
    new_code_cell('answer = ...\n# solution\nanswer = "forty-two"'),
    new_code_cell('exercises.check("rebound.it", answer)', outputs=[new_output("stream", text="a\nb\nc\nd")]),
    new_markdown_cell("Only for teachers.", metadata={"tags": ["solution"]}),
    new_code_cell('exercises.quiz("welcome")'),
    new_markdown_cell("## What next\n\n- [Another chapter](other.ipynb), and [a source](https://example.org)."),
]


@pytest.fixture
def deck(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ROOT", tmp_path)

    def deck(cells=SHAPE, **kinds):
        """The slides, with a `slide_type` for some cells: c3="slide" for the fourth."""
        cells = [cell.copy() for cell in cells]
        for cell, kind in kinds.items():
            cells[int(cell[1:])].metadata = {**cells[int(cell[1:])].metadata, "slideshow": {"slide_type": kind}}
        nbformat.write(new_notebook(cells=cells), tmp_path / "one.ipynb")
        return slides.Deck(tmp_path / "one.ipynb").slides

    return deck


def with_text(made, text):
    return [number for number, slide in enumerate(made) if text in slide]


def test_the_shape_of_a_notebook_is_the_order_of_its_slides(deck):
    made = deck()
    assert "<h1>Rebound: does it fall?</h1>" in made[0]
    assert "What you will see" in made[0]
    assert "<h2>The run</h2>" in made[1]
    assert "191.1" in made[1]
    assert "The figure shows a line. Then it shows more." in made[1]
    assert with_text(made, "Two.") == [2]
    assert with_text(made, "Three.") == [3], "two points a slide"
    assert "<h2>What next</h2>" in made[-1]
    assert "Another chapter, and" in made[-1]
    assert 'href="https://example.org"' in made[-1]


def test_an_answer_of_the_quiz_comes_after_its_question(deck):
    made = deck()
    asked, told = with_text(made, "What does it mean in this book that a model is elastic?")
    assert told == asked + 1
    assert "It can be fine-tuned for many" in made[asked]
    assert "Both halves matter" not in made[asked]
    assert "Both halves matter" in made[told]


def test_no_set_up_no_exercise_and_no_solution(deck):
    assert not with_text(deck(), "three")
    shown = "".join(deck(**{f"c{number}": "slide" for number in range(1, len(SHAPE))}))
    assert "print(table)" in shown
    assert "helpers.setup" not in shown
    assert "forty-two" not in shown
    assert "Only for teachers" not in shown
    assert "A task" not in "".join(deck())


def test_slideshow_metadata_override_the_rule(deck):
    made = deck(c4="skip", c6="subslide", c3="fragment")
    assert not with_text(made, "191.1")
    assert '<div class="fragment"><pre class="code">draw()</pre></div>' in made[0]
    assert with_text(made, "A task.")
    assert '<aside class="notes"><p>First some words.' in deck(c2="notes")[0]


def test_a_table_that_is_too_large_is_left_out(deck):
    cells = SHAPE.copy()
    cells[4] = new_code_cell("print(table)", metadata=QUOTED, outputs=[new_output("stream", text="a  1\n" * 40)])
    assert not with_text(deck(cells), "a  1")


def test_a_statement_is_a_slide_and_its_proof_is_none(deck):
    theorem = ":::{prf:theorem} Kraft\n:label: kraft\n\nIt is $x < 1$.\n:::\n\n:::{prf:proof}\nClear.\n:::"
    made = deck([*SHAPE[:2], new_markdown_cell(f"## Codes\n\n{theorem}")])
    assert "<h2>Theorem: Kraft</h2>" in made[1]
    assert r"\(x &lt; 1\)" in made[1]
    assert not with_text(made, "Clear.")


def test_what_cannot_be_a_slide_is_named(deck):
    with pytest.raises(sources.BookError, match=r"one.ipynb, cell 4: slide_type is 'slid'; choose slide"):
        deck(c3="slid")
    long = [*SHAPE[:2], new_code_cell("x = 1\n" * 11)]
    with pytest.raises(sources.BookError, match="one.ipynb, cell 3: code on a slide has at most 10 lines"):
        deck(long, c2="slide")


def test_an_unknown_chapter_is_named(capsys):
    assert slides.main(["rebond"]) == 1
    assert "There is no chapter 'rebond'; NAME is one of welcome, " in capsys.readouterr().err
