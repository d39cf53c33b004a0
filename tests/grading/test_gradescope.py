"""The archive for Gradescope: what it holds, and what its script makes of submissions on a machine like theirs."""

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import gradescope
import nbformat
import pytest

PYTHON = Path(sys.base_prefix)


@pytest.fixture(scope="module")
def source_folder(tmp_path_factory):
    """/autograder/source after setup.sh: its install is replaced by the packages that are here already."""
    folder = tmp_path_factory.mktemp("source")
    with zipfile.ZipFile(gradescope.pack("welcome", folder / "archive")) as archive:
        archive.extractall(folder)
        for info in archive.infolist():
            (folder / info.filename).chmod(info.external_attr >> 16)
    (folder / ".venv").symlink_to(sys.prefix)
    folder.chmod(0o755)  # as there; pytest lets only its own user in
    return folder


def test_the_archive_holds_two_scripts_the_grader_and_no_solution(source_folder):
    for script in ("setup.sh", "run_autograder"):
        assert os.stat(source_folder / script).st_mode & stat.S_IXUSR
        subprocess.run(["bash", "-n", source_folder / script], check=True)
    files = [path for path in source_folder.rglob("*") if path.is_file() and ".venv" not in path.parts]
    assert source_folder / "src/helpers/exercises/checks/welcome.py" in files
    assert not [
        path for path in files if path.suffix == ".ipynb" or "answers" in path.parts or "chapters" in path.parts
    ]
    assert not [path for path in files if path.suffix == ".py" and "\n# solution\n" in path.read_text("utf-8")]


def test_a_chapter_that_does_not_exist_is_told():
    with pytest.raises(ValueError, match="There is no chapter 'intro' with exercises"):
        gradescope.pack("intro")


@pytest.fixture
def graded(source_folder, tmp_path):
    """Run the archive's script in a machine whose /autograder is as on Gradescope: as root, without bubblewrap."""
    if not shutil.which("bwrap") or os.geteuid() != 0:
        pytest.skip("the machine is imitated by bubblewrap, as root")
    for name in ("submission", "results"):
        (tmp_path / name).mkdir()

    def run(notebook, name="student.ipynb"):
        nbformat.write(notebook, tmp_path / "submission" / name)
        command = ["bwrap", "--unshare-pid"]
        for place in {*Path("/").iterdir()} - {Path("/root"), Path("/autograder")}:
            command += ["--dev-bind", place, place] if place.is_dir() else []
        for above in [Path("/autograder"), *[*PYTHON.parents][-2::-1]]:
            command += ["--perms", "755", "--dir", above]
        command += ["--ro-bind", PYTHON, PYTHON, "--proc", "/proc"]
        command += ["--setenv", "PYTHONPATH", "/autograder/source/src", "--bind", source_folder, "/autograder/source"]
        for place in ("submission", "results"):
            command += ["--bind", tmp_path / place, f"/autograder/{place}"]
        subprocess.run([*command, "/autograder/source/run_autograder"], check=True)
        return json.loads((tmp_path / "results/results.json").read_text())

    return run


def of(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def test_right_and_wrong(graded):
    checks = [f'exercises.check("welcome.{name}", {name})' for name in ("steps", "log_odds")]
    right = "def steps(examples, batch_size):\n    return -(-examples // batch_size)"
    told = graded(of("from helpers import exercises", right, "def log_odds(share):\n    return share - 0.5", *checks))
    assert (told["score"], [test["score"] for test in told["tests"]]) == (1, [0, 0, 1])
    assert [test["max_score"] for test in told["tests"]] == [1, 1, 1]
    assert "the size is not" in told["tests"][1]["output"]


def test_malicious(graded):
    forge = """
import glob, json, os
from helpers import exercises
exercises.check = lambda *_: exercises.Result('Right', 'forged')
wrote = []
for path in ['/autograder/results/results.json', *glob.glob('/autograder/source/**', recursive=True)]:
    try:
        open(path, 'a').close(); wrote.append(path)
    except OSError: pass
raise RuntimeError(f'wrote {wrote}, uid {os.getuid()}')
"""
    told = graded(of(forge, 'exercises.check("welcome.steps", 1)'))
    assert told["score"] == 0
    assert "RuntimeError: wrote [], uid 1073" in told["output"]


def test_another_chapter_and_two_notebooks(graded):
    assert "not of welcome" in graded(of('exercises.check("rebound.needed", needed)'))["output"]
    assert "hand in one notebook (.ipynb), not 2" in graded(of(), name="second.ipynb")["output"]
