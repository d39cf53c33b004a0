"""The book's settings, its set-up cell and what stands in the repository for its pages."""

import hashlib
import re
import tomllib

import build
import nbformat
import pytest
import sources
import yaml

VENDOR = sources.ROOT / "book/vendor"
HEAD = "# One\n\n| **Needs** | nothing |\n| **Takes** | 5 minutes to read |\n| **Hardware** | any |"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book with one page besides the template, elsewhere."""
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(build.lint, "check_all", lambda pages: None)
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: chapters/one")
    for path in ("chapters/one.ipynb", "book/template.ipynb"):
        (tmp_path / path).parent.mkdir()
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(HEAD)])
        nbformat.write(notebook, tmp_path / path)
    return tmp_path


def source_of(path, index):
    return nbformat.read(path, as_version=4).cells[index].source


def test_every_notebook_begins_with_the_set_up_cell():
    build.check_setup_cells()


def test_the_set_up_cell_is_three_lines_from_the_one_address():
    address = yaml.safe_load((sources.ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    assert re.fullmatch(r"https://\S+[^/]", address)
    lines = build.setup_cell().split("\n")
    assert len(lines) == 3
    assert lines[1].endswith(f"git+{address}@student")


def test_a_missing_or_older_set_up_cell_is_found_and_mended(book):
    with pytest.raises(build.BookError, match="chapters/one.ipynb: the first code cell is not the set-up cell"):
        build.check_setup_cells()
    build.write_setup_cells()
    build.check_setup_cells()
    (book / "_config.yml").write_text("repository: {url: https://example.org/c/d}")
    with pytest.raises(build.BookError):
        build.check_setup_cells()
    build.write_setup_cells()
    assert "git+https://example.org/c/d@student" in source_of(book / "chapters/one.ipynb", 1)
    assert len(nbformat.read(book / "chapters/one.ipynb", as_version=4).cells) == 2


def test_every_notebook_is_a_page_and_every_page_exists():
    chapters = [path for path in build.notebooks() if "chapters" in path.parts]
    assert sorted(path for path in build.pages() if path.suffix == ".ipynb") == chapters


def test_a_page_that_is_not_there_is_named(book):
    (book / "_toc.yml").write_text("format: jb-book\nroot: chapters/one\nparts: [{chapters: [{file: chapters/two}]}]")
    with pytest.raises(build.BookError, match="chapters/two"):
        build.pages()


@pytest.fixture
def parts(book, monkeypatch):
    """What a notebook depends on, and a folder for executed copies."""
    monkeypatch.setattr(build, "EXECUTED", book / "_build/executed")
    found = [book / name for name in ("src/helpers/world.py", "data/MANIFEST.json", "constraints.txt")]
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return found


def test_a_failing_cell_is_named_and_nothing_is_written(book, parts, monkeypatch, capsys):
    monkeypatch.setattr(build, "setup_cell", lambda: "x = 1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1"), nbformat.v4.new_code_cell("x / 0")])
    for path in build.notebooks():
        nbformat.write(notebook, path)
    assert build.main([]) == 1
    assert "chapters/one.ipynb, cell 2: ZeroDivisionError: division by zero" in capsys.readouterr().err
    assert not [path for path in (book / "_build").rglob("*") if path.is_file()]


@pytest.mark.parametrize("stored", [False, True], ids=["run", "stored"])
def test_a_notebook_is_run_again_only_when_what_it_depends_on_changes(book, parts, monkeypatch, capsys, stored):
    runs = []
    monkeypatch.setattr(build, "execute", lambda path: runs.append(path) or build.read(path))
    paths = [book / "chapters/one.ipynb"]

    def is_run_again():
        before = len(runs)
        build.run_changed(paths)
        if stored:
            build.write_outputs(paths)
            assert build.stale(paths) == []
        return len(runs) > before

    assert build.stale(paths) == ["chapters/one.ipynb"]
    assert is_run_again()
    assert not is_run_again()
    assert re.search(r"\[1/1\] chapters/one.ipynb +unchanged", capsys.readouterr().out)
    for path in parts:
        path.write_text("changed")
        assert build.stale(paths)
        assert is_run_again()
    build.write_setup_cells()
    assert is_run_again()
    for own in (f"{build.CHECKS}/one.py", build.QUIZZES):
        (book / own).parent.mkdir(parents=True, exist_ok=True)
        (book / own).write_text("[[one]]")
        assert is_run_again()
    (book / build.CHECKS / "two.py").write_text("another notebook's")
    (book / build.QUIZZES).write_text("[[one]]\n[[two]]")
    assert not is_run_again()


def test_a_notebook_remembers_when_it_was_run_and_what_it_needs(book, parts, monkeypatch):
    monkeypatch.setattr(build, "execute", build.read)
    paths = [book / "chapters/one.ipynb"]
    build.run_changed(paths)
    build.write_outputs(paths)
    kept = build.read(paths[0]).metadata["springback"]
    assert kept.keys() == {"needs", "helps", "minutes", "executed", "seconds", "state"}
    assert (kept["minutes"], kept["seconds"]) == (5, 0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", kept["executed"])


def test_pages_leave_widgets_out_and_keep_the_figure():
    def output(**data):
        return nbformat.v4.new_output("display_data", data=data)

    widget = output(**{build.WIDGET_MIME: {}, "text/plain": "IntSlider()"})
    figure = output(**{build.PLOTLY_MIME: {}, "text/html": "<figure>"})
    cell = nbformat.v4.new_code_cell("x", outputs=[widget, figure])
    notebook = build.for_the_page(nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": {}}}))
    assert [dict(one.data) for one in notebook.cells[0].outputs] == [{"text/html": "<figure>"}]
    assert "widgets" not in notebook.metadata


def test_vendored_files_are_the_ones_listed_and_small():
    listed = dict(reversed(line.split("  ")) for line in (VENDOR / "SHA256SUMS").read_text("utf-8").splitlines())
    found = {path.relative_to(VENDOR).as_posix(): path for path in VENDOR.rglob("*") if path.is_file()}
    assert set(found) == set(listed) | {"SHA256SUMS", "README.md"}
    for name, digest in listed.items():
        assert hashlib.sha256(found[name].read_bytes()).hexdigest() == digest, name
    assert sum(path.stat().st_size for path in found.values()) < 3_000_000
    assert "mathjax/LICENSE" in listed


def test_the_package_and_the_pins_agree():
    project = tomllib.loads((sources.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["book"], *extras["test"]]
    pins = (sources.ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in pins if "==" in line}
    assert {re.match(r"[\w-]+", line)[0].lower() for line in asked} <= pinned
