"""What a chapter says of itself at its head."""

import nbformat
import pytest
from metadata import metadata_of
from sources import ROOT, BookError

HERE = ROOT / "chapters/experiments/new.ipynb"  # need not be there
TABLE = """# New: a title?

| | |
| --- | --- |
| **Needs** | {needs} |
| **Takes** | {takes} |
| **Hardware** | any laptop |"""


def of(needs="nothing", takes="20 minutes to read; the last cell prints the rest", text=TABLE):
    cell = nbformat.v4.new_markdown_cell(text.format(needs=needs, takes=takes))
    return metadata_of(HERE, nbformat.v4.new_notebook(cells=[cell]))


@pytest.mark.parametrize(
    ("row", "needs", "helps"),
    [
        ("nothing but curiosity: some Python (any)", [], []),
        ("[A](a.ipynb) (necessary)", ["experiments/a"], []),
        ("[A](a.ipynb)", [], ["experiments/a"]),
        ("[A](a.ipynb) (helpful) · [B](../start/b.md#part-1.2) (necessary)", ["start/b"], ["experiments/a"]),
        (
            "[A](a.ipynb) and [B](b.ipynb) (necessary) · [C](c.ipynb)",
            ["experiments/a", "experiments/b"],
            ["experiments/c"],
        ),
        ("[A](a.ipynb), for its code (helpful) · logarithms (necessary)", [], ["experiments/a"]),
        ("[Python](https://docs.python.org/3/a.md) (necessary) · [A](a.ipynb) (necessary)", ["experiments/a"], []),
    ],
)
def test_a_link_takes_the_first_label_after_it(row, needs, helps):
    said = of(row)
    assert said["needs"] == [f"chapters/{name}" for name in needs]
    assert said["helps"] == [f"chapters/{name}" for name in helps]


def test_minutes_are_the_number_before_to_read():
    assert of(takes="35 minutes to read, 99 seconds to run")["minutes"] == 35
    assert of(takes="1 minute to read")["minutes"] == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"text": "# New"}, "no row Needs; write"),
        ({"text": "# New\n\n| **Needs** | nothing |"}, "no row Takes; write"),
        ({"needs": " "}, "no row Needs"),
        (
            {"needs": "[A](a.ipynb) (neccessary)"},
            r"row Needs: after a link comes \(necessary\) or \(helpful\), not '\(neccessary\)'",
        ),
        ({"takes": "about 20 minutes"}, "row Takes: begin it with '20 minutes to read', and not with 'about 20"),
        ({"takes": "N minutes to read"}, "row Takes: begin it"),
    ],
)
def test_a_bad_table_is_named_with_its_mend(wrong, words):
    with pytest.raises(BookError, match=f"^chapters/experiments/new.ipynb.*{words}"):
        of(**wrong)


def test_a_notebook_that_begins_with_code_is_named():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    with pytest.raises(BookError, match="new.ipynb: the first cell is not Markdown; a chapter begins with its title"):
        metadata_of(HERE, notebook)


def test_the_file_is_read_if_nothing_is_handed_over(tmp_path):
    assert metadata_of(ROOT / "chapters/experiments/rebound.ipynb") == {
        "needs": ["chapters/start/springs_back"],
        "helps": ["chapters/experiments/resistance"],
        "minutes": 40,
    }
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n| **Needs** | nothing |\n| **Takes** | 7 minutes to read |\n")
    assert metadata_of(page) == {"needs": [], "helps": [], "minutes": 7}
