"""Submissions to grade, made from the chapter Welcome."""

from pathlib import Path

import edition
import nbformat
import pytest

CHAPTER = Path(__file__).parents[2] / "chapters/welcome.ipynb"


@pytest.fixture
def folder(tmp_path):
    """Where submissions lie; what the tests write besides lies next to it."""
    folder = tmp_path / "submissions"
    folder.mkdir()
    return folder


@pytest.fixture
def submit(folder):
    """Write a submission of some code cells, or of a whole notebook; give its path."""

    def write(*cells, notebook=None, name="student.ipynb"):
        notebook = notebook or nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture(scope="session")
def source():
    return nbformat.read(CHAPTER, as_version=4)


@pytest.fixture(scope="session")
def student(source):
    return edition.student(source)
