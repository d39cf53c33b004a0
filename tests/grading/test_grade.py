"""Grading without a sandbox: what counts as a submission, how answers travel, what the table says."""

import csv
import json
import math
import os

import grade
import nbformat
import needed_cells
import numpy as np
import pandas as pd
import pytest
import run_submission
import sandbox
import torch

from helpers.exercises import CHECKS, RIGHT, Result

CHECK = 'exercises.check("welcome.steps", steps)'
NAMES = [name for name in CHECKS if name.startswith("welcome.")]


# ---- what a submission is ------------------------------------------------------------------------------------


def test_a_submission_has_the_exercises_of_its_chapter_and_its_code_cells(submit, student):
    names, cells = grade.read(submit(notebook=student, name="welcome/a.ipynb"))
    assert names == NAMES
    assert [student.cells[number - 1].source for number, _ in cells] == [source for _, source in cells]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.pdf", "%PDF", "does not end in .ipynb"),
        ("a.ipynb", "", "no readable notebook"),
        ("a.ipynb", "[" * 100_000, "no readable notebook"),
        ("a.ipynb", '{"cells": [{"cell_type": "code"}], "nbformat": 4, "metadata": {}}', "no readable notebook"),
        ("a.ipynb", " " * (grade.FILE_BYTES + 1), "larger than 20 MB"),
        ("a.ipynb", nbformat.writes(nbformat.v4.new_notebook()), "no cell of it calls exercises.check"),
    ],
)
def test_what_is_no_submission_is_told_in_one_line(folder, name, text, complaint):
    path = folder / name
    path.write_text(text)
    graded = grade.grade(path, name)
    assert (graded.points, len(graded.results)) == (0, 0)
    assert len(graded.notes) == 1 and complaint in graded.notes[0]


def test_a_link_is_not_followed(folder, submit):
    """Else a link to the chapter with the solutions would be graded."""
    (folder / "link.ipynb").symlink_to(submit(CHECK))
    with pytest.raises(grade.Unfit, match="no file of its own"):
        grade.read(folder / "link.ipynb")


def test_a_chapter_in_another_ones_folder_is_told(submit):
    with pytest.raises(grade.Unfit, match="exercises of welcome, not of rebound"):
        grade.read(submit(CHECK, name="rebound/a.ipynb"))


# ---- what the exercises need ---------------------------------------------------------------------------------


def test_quick_keeps_what_the_checks_depend_on_and_all_imports():
    cells = [
        "import math; slow()",
        "%config x",
        "data = read()",
        "data['a'] = 1",
        "table = {}\nfor i in range(3):\n    table[i] = data",
        "table.update(b=2)",
        "shown = draw(table)",
        "steps = other()",
        "def steps(n):\n    return table[n]",
        CHECK,
        "after()",
    ]
    kept = [source for _, source in needed_cells.needed(list(enumerate(cells)))]
    assert kept == ["import math", *cells[1:6], "", "", *cells[8:10], ""]


# ---- how answers travel --------------------------------------------------------------------------------------


def sent(value):
    functions = []
    line = json.dumps(run_submission.encode(value, functions))
    return sandbox.decode(json.loads(line), lambda number, name: functions[number])


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        *(
            (value, value)
            for value in (None, ..., True, 3, 10**40, 0.1, math.inf, "", "a\n\ud800", [1, [2]], (1, (2,)))
        ),
        ({("I", "would"): 0.5, 8: ..., "a": [None]}, {("I", "would"): 0.5, 8: ..., "a": [None]}),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (torch.tensor(2), 2),
        (len, len),
    ],
    ids=repr,
)
def test_an_answer_arrives_as_it_is(value, arrives):
    assert sent(value) == arrives
    assert type(sent(value)) is type(arrives)


def test_arrays_tensors_and_series_arrive_as_such():
    assert math.isnan(sent(math.nan))
    for array in (np.array([[1.0, math.inf]]), torch.tensor([[1.0, math.inf]])):
        assert isinstance(sent(array), np.ndarray) and sent(array).tolist() == [[1.0, math.inf]]
    series = pd.Series({"mean": 0.5, "smallest": 0.25})
    pd.testing.assert_series_equal(sent(series), series)


def test_what_no_exercise_asks_for_arrives_as_its_name():
    assert type(sent(1j)).__name__ == "complex"
    assert type(sent({1, 2})).__name__ == "set"


def test_a_number_that_lies_about_itself_arrives_as_it_is():
    class Lies(float):
        def __eq__(self, other):
            return True

        __hash__ = float.__hash__

        def __float__(self):
            return 7.0

    assert type(sent(Lies(1.0))) is float and sent(Lies(1.0)) == 1.0


@pytest.mark.parametrize(
    "made_up",
    [
        {},
        {"tuple": 3},
        {"dict": [[[1], 2]]},
        {"dict": [[1]]},
        {"array": [[1], [1, 2]]},
        {"function": "0", "name": "f"},
        {"other": "a\0b"},
        {"unpickle": "gASVCAAAAAAAAACMBHRlc3SULg=="},
        json.loads("[" * 900 + "]" * 900),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_made_up_answer_ends_the_submission(made_up):
    line = sandbox.Sandbox.__new__(sandbox.Sandbox)
    with pytest.raises(sandbox.Stopped, match="what is no answer"):
        line.answer(made_up)


# ---- the verdict is the grader's -----------------------------------------------------------------------------


@pytest.fixture
def scripted(monkeypatch):
    """Put messages in the place of a submission; give what the grader sent."""

    def replace(*messages):
        said, heard = iter(messages), []

        class Scripted(sandbox.Sandbox):
            def __init__(self, *_):
                pass

            def __exit__(self, *_):
                pass

            def send(self, message):
                heard.append(message)

            def receive(self, seconds):
                return next(said)

        monkeypatch.setattr(grade, "Sandbox", Scripted)
        return heard

    return replace


def steps(number, value):
    return {"check": "welcome.steps", "answer": {"function": number, "name": "steps"}}, {"value": value}


def test_the_last_answer_counts_and_a_verdict_goes_back(scripted, submit):
    heard = scripted(*steps(0, 512), *steps(1, 8), {"value": 8}, {"value": {"...": True}}, {"done": True})
    graded = grade.grade(submit(CHECK), "a")
    assert [m["verdict"] for m in heard if "verdict" in m] == ["Not yet", "Not answered yet"]
    assert graded.results["welcome.steps"].verdict == "Not answered yet"


@pytest.mark.parametrize(
    "forged",
    [
        {"verdict": "Right", "message": "forged"},
        {"check": "welcome.steps", "answer": 1, "verdict": "Right"},
        {"check": ["welcome.steps"], "answer": 1},
        {"check": "verdict.in_part", "answer": 1},
        {"result": {"welcome.steps": "Right"}},
        {"value": 8},
    ],
)
def test_a_forged_message_earns_nothing(scripted, submit, forged):
    scripted(forged, {"done": True})
    graded = grade.grade(submit(CHECK), "a")
    assert graded.points == 0 and list(graded.results) == NAMES


def test_an_answer_that_breaks_a_check_is_not_yet_right(scripted, submit):
    scripted(*steps(0, 10**400), {"done": True})
    assert "cannot be checked" in grade.grade(submit(CHECK), "a").results["welcome.steps"].message


# ---- the table -----------------------------------------------------------------------------------------------


def test_the_table_has_a_row_a_submission_and_a_column_an_exercise(tmp_path):
    first = grade.Grade("a.ipynb", {"welcome.steps": Result(RIGHT, "So.")})
    second = grade.Grade("=1+1.ipynb", notes=["cell 2 stopped with E: \n=HYPERLINK(1)\ud800.", "Cell 3."])
    grade.write(tmp_path / "grades.csv", grade.table([first, second]).to_csv(index=False))
    with open(tmp_path / "grades.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"file": "a.ipynb", "points": "1", "of": "1", "welcome.steps": "Right", "notes": ""}
    assert rows[1] == {
        "file": "'=1+1.ipynb",  # no formula
        "points": "0",
        "of": "0",
        "welcome.steps": "",
        "notes": "Cell 2 stopped with E: =HYPERLINK(1) . Cell 3.",
    }
    assert os.listdir(tmp_path) == ["grades.csv"]


def test_feedback_says_what_each_check_said_and_holds_no_html():
    graded = grade.Grade(
        "a.ipynb", {"welcome.steps": Result("Not yet", "`<b>`.")}, ["cell 1 stopped with E: <script>."]
    )
    assert "0 of 1" in grade.feedback(graded)
    assert "**welcome.steps: Not yet.** `&lt;b&gt;`." in grade.feedback(graded)
    assert "<" not in grade.feedback(graded)


# ---- what the command refuses --------------------------------------------------------------------------------


def test_without_a_sandbox_nothing_is_graded(monkeypatch, capsys, submit, folder, tmp_path):
    submit(CHECK)
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: None)
    assert grade.main([str(folder), "--to", str(tmp_path / "grades.csv")]) == 1
    assert "install it ('apt-get install bubblewrap'" in capsys.readouterr().err
    assert not (tmp_path / "grades.csv").exists()


def test_a_sandbox_that_would_show_submissions_or_solutions_is_refused(monkeypatch, capsys, submit, folder, tmp_path):
    submit(CHECK)
    for place in (folder, sandbox.INSIDE.parents[1]):
        monkeypatch.setattr(sandbox.sys, "base_prefix", str(place))
        assert grade.main([str(folder), "--to", str(tmp_path / "grades.csv")]) == 1
        assert f"Submissions see {place}, and " in capsys.readouterr().err


def test_hidden_files_are_no_submissions(monkeypatch, submit, folder, tmp_path, capsys):
    submit(CHECK, name=".ipynb_checkpoints/a-checkpoint.ipynb")
    assert grade.main([str(folder), "--to", str(tmp_path / "grades.csv")]) == 1
    assert "holds no submission" in capsys.readouterr().err


def test_a_machine_where_bubblewrap_may_not_work_is_told(monkeypatch, capsys, submit, folder, tmp_path):
    submit(CHECK)
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: str(program))
    assert grade.main([str(folder), "--to", str(tmp_path / "grades.csv")]) == 1
    assert "(bwrap: No permissions to create new namespace). Where" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("submissions", "to", "complaint"),
    [
        ("nowhere", "grades.csv", "is no folder"),
        ("", "grades.csv", "'' is no folder: make grade SUBMISSIONS=folder"),
        ("empty", "grades.csv", "holds no submission"),
        ("submissions", "submissions/grades.csv", "lies among the submissions"),
    ],
)
def test_a_wrong_folder_is_told(capsys, submit, tmp_path, submissions, to, complaint):
    submit(CHECK)
    (tmp_path / "empty").mkdir()
    submissions = str(tmp_path / submissions) if submissions else ""
    assert grade.main([submissions, "--to", str(tmp_path / to)]) == 1
    assert complaint in capsys.readouterr().err
