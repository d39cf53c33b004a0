"""The book's settings, its set-up cell and what stands in the repository for its pages."""

import hashlib
import re
import tomllib

import build
import nbformat
import pytest
import yaml

VENDOR = build.ROOT / "book/vendor"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book with one page besides the template, elsewhere."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: chapters/one")
    for path in ("chapters/one.ipynb", "book/template.ipynb"):
        (tmp_path / path).parent.mkdir()
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One")])
        nbformat.write(notebook, tmp_path / path)
    return tmp_path


def source_of(path, index):
    return nbformat.read(path, as_version=4).cells[index].source


def test_every_notebook_begins_with_the_set_up_cell():
    build.check_setup_cells()


def test_the_set_up_cell_is_three_lines_from_the_one_address():
    address = yaml.safe_load((build.ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    assert re.fullmatch(r"https://\S+[^/]", address)
    lines = build.setup_cell().split("\n")
    assert len(lines) == 3
    assert lines[1].endswith(f"git+{address}")


def test_a_missing_or_older_set_up_cell_is_found_and_mended(book):
    with pytest.raises(build.BookError, match="chapters/one.ipynb: the first code cell is not the set-up cell"):
        build.check_setup_cells()
    build.write_setup_cells()
    build.check_setup_cells()
    (book / "_config.yml").write_text("repository: {url: https://example.org/c/d}")
    with pytest.raises(build.BookError):
        build.check_setup_cells()
    build.write_setup_cells()
    assert "git+https://example.org/c/d" in source_of(book / "chapters/one.ipynb", 1)
    assert len(nbformat.read(book / "chapters/one.ipynb", as_version=4).cells) == 2


def test_every_notebook_is_a_page_and_every_page_exists():
    chapters = [path for path in build.notebooks() if "chapters" in path.parts]
    assert sorted(path for path in build.pages() if path.suffix == ".ipynb") == chapters


def test_a_page_that_is_not_there_is_named(book):
    (book / "_toc.yml").write_text("format: jb-book\nroot: chapters/one\nparts: [{chapters: [{file: chapters/two}]}]")
    with pytest.raises(build.BookError, match="chapters/two"):
        build.pages()


def test_a_failing_cell_is_named_and_nothing_is_written(book, monkeypatch, capsys):
    for path in ("data/MANIFEST.json", "constraints.txt"):
        (book / path).parent.mkdir(exist_ok=True)
        (book / path).write_text("")
    monkeypatch.setattr(build, "EXECUTED", book / "_build/executed")
    monkeypatch.setattr(build, "setup_cell", lambda: "x = 1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1"), nbformat.v4.new_code_cell("x / 0")])
    for path in build.notebooks():
        nbformat.write(notebook, path)
    assert build.main([]) == 1
    assert "chapters/one.ipynb, cell 2: ZeroDivisionError: division by zero" in capsys.readouterr().err
    assert not [path for path in (book / "_build").rglob("*") if path.is_file()]


def test_a_notebook_is_run_again_when_what_it_depends_on_changes(book, monkeypatch, capsys):
    helper = book / "src/helpers/world.py"
    for path in (helper, book / "data/MANIFEST.json", book / "constraints.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.setattr(build, "EXECUTED", book / "_build/executed")
    runs = []
    monkeypatch.setattr(build, "execute", lambda path: runs.append(path) or build.read(path))
    paths = [book / "chapters/one.ipynb"]

    def is_run_again():
        before = len(runs)
        build.run_changed(paths, write_outputs=False)
        return len(runs) > before

    assert is_run_again()
    assert not is_run_again()
    assert re.search(r"\[1/1\] chapters/one.ipynb +unchanged", capsys.readouterr().out)
    for path in (helper, book / "data/MANIFEST.json", book / "constraints.txt"):
        path.write_text("changed")
        assert is_run_again()
    build.write_setup_cells()
    assert is_run_again()
    assert not is_run_again()


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
    project = tomllib.loads((build.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["book"], *extras["test"]]
    pins = (build.ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in pins if "==" in line}
    assert {re.match(r"[\w-]+", line)[0].lower() for line in asked} <= pinned
