"""The student edition: two rules, nothing of a solution, and a tree that stands alone."""

import edition
import nbformat
import pytest
import sources
from solutions import CHAPTERS, secrets


def notebook(*cells):
    made = nbformat.v4.new_notebook()
    for kind, source, tags in cells:
        make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
        made.cells.append(make(source, metadata={"tags": tags} if tags else {}))
        if kind == "code":
            made.cells[-1].outputs = [nbformat.v4.new_output("stream", text="seen")]
            made.cells[-1].execution_count = 1
    return made


def test_the_two_rules():
    source = notebook(
        ("markdown", "# One", []),
        ("code", "x = 1", []),
        ("code", "y = ...\n\n\n# solution\ny = 2\n", ["hide-input"]),
        ("code", 'exercises.check("one.y", y)', ["nbval-check-output"]),
        ("markdown", "For instructors", ["solution"]),
        ("code", "print('also for instructors')", ["solution"]),
    )
    before = nbformat.writes(source)
    made = edition.student(source)
    assert [cell.source for cell in made.cells] == ["# One", "x = 1", "y = ...", 'exercises.check("one.y", y)']
    plain, cut, check = made.cells[1:]
    assert plain.outputs and plain.execution_count == 1
    for cell in (cut, check):
        assert (cell.outputs, cell.execution_count) == ([], None)
    assert cut.metadata == {"tags": ["hide-input"]}
    assert check.metadata == {}
    assert nbformat.writes(source) == before, "the source was changed"


@pytest.mark.parametrize("line", ["x = 1  # solution", "  # solution", "# solutions are unique", "# Solution"])
def test_only_the_line_itself_is_the_marker(line):
    assert edition.stub(f"a\n{line}\nb") == f"a\n{line}\nb"


@pytest.mark.parametrize("path", CHAPTERS, ids=sources.name)
class TestChapter:
    def test_nothing_is_left_of_its_solutions(self, path):
        made = edition.student(sources.read(path))
        text = "\n".join(cell.source for cell in made.cells) + nbformat.writes(made)
        assert len(secrets(path)) >= 3
        assert [line for line in secrets(path) if line in text] == []
        assert edition.MARKER not in text

    def test_everything_else_is_as_it_was(self, path):
        source = [cell for cell in sources.read(path).cells if edition.TAG not in cell.metadata.get("tags", [])]
        made = edition.student(sources.read(path)).cells
        assert len(source) == len(made)
        for old, new in zip(source, made, strict=True):
            assert old == new or edition.is_check(old.source) or edition.solution(old.source)

    def test_the_solutions_were_found_right(self, path):
        for cell in sources.read(path).cells:
            if cell.cell_type == "code" and edition.is_check(cell.source):
                assert [output.data["text/plain"][:6] for output in cell.outputs] == ["Right."]
                assert "nbval-check-output" in cell.metadata["tags"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    (folder / "old.txt").write_text("from an earlier edition")
    edition.write(folder)
    return folder


def test_the_tree_holds_what_is_needed_and_no_solution(tree):
    made = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    for wanted in ("README.md", "requirements.txt", "pyproject.toml", "src/helpers/__init__.py", "data/MANIFEST.json"):
        assert wanted in made
    assert {sources.name(path) for path in CHAPTERS} <= made
    assert not [name for name in made if name.startswith("tests/") or name in ("old.txt", edition.GUIDE)]
    for name in made:
        if name.endswith((".py", ".ipynb", ".md", ".txt", ".toml")):
            text = (tree / name).read_text("utf-8")
            if name.endswith(".ipynb"):
                text += "\n".join(cell.source for cell in sources.read(sources.ROOT / tree / name).cells)
            assert [line for path in CHAPTERS for line in secrets(path) if line in text] == [], name
