"""Contributed results: what is admitted, and what the message says of what is not."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from helpers import contributions, models

TABLE = pd.DataFrame(
    {"seed": 0, "run": "negatives", "positives": 128, "step": [0, 1], "examples": [0, 8]}
    | {"tokens": [0, 99], "train_loss": [float("nan"), 2.0], "share": [0.9, 0.7], "log_odds": [2.2, 0.8]}
)
BASE = models.load("neox-0.1m", adapter="lora", rank=4)._replace(name="Qwen/Qwen2.5-0.5B")
BASE.model.config._commit_hash = "c" * 40


@pytest.fixture
def file(tmp_path):
    return contributions.save(TABLE, BASE, "mood", learning_rate=3e-4, minutes=2.5, folder=tmp_path)


def test_what_is_saved_is_admitted_and_read(file, tmp_path):
    content = contributions.check(file)
    assert content["revision"] == "c" * 40  # the commit, not "main"
    assert (content["adapter"], content["rank"], content["scored_by"]) == ("lora", 4, "exact posterior")
    assert content["device"].startswith("CPU ")
    assert file.name.startswith("Qwen2.5-0.5B-main-mood-")
    folder = tmp_path / contributions.FOLDER
    folder.mkdir(parents=True)
    file.rename(folder / file.name)
    read = contributions.read(tmp_path)
    pd.testing.assert_frame_equal(read[list(contributions.ROW)], TABLE[list(contributions.ROW)])
    assert set(read["model"]) == {BASE.name}


def test_without_contributions_there_is_an_empty_table(tmp_path):
    assert contributions.read(tmp_path).empty
    assert set(contributions.ROW) < set(contributions.read(tmp_path).columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("device"), "at top, 'device' is a required property"),
        (lambda c: c.update(learning_rate=0), "at learning_rate, 0 is less than or equal to the minimum of 0"),
        (lambda c: c["rows"][1].update(share=1.2), "at rows/1/share, 1.2 is greater than the maximum of 1"),
        (lambda c: c["rows"][0].update(mood="good"), "at rows/0, Additional properties are not allowed"),
        (lambda c: c.update(rows=[]), "at rows, "),
        (lambda c: c.update(date="yesterday"), "at date, 'yesterday' does not match"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(file, change, message):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"{file.name} cannot be contributed: {message}"):
        contributions.check(file)


def test_the_command_says_it_in_one_line(file):
    command = [sys.executable, "-m", "helpers.contributions", "check"]
    fine = subprocess.run([*command, str(file)], capture_output=True, text=True)
    assert fine.returncode == 0 and fine.stdout.startswith(f"{file} is fine: 2 rows of {BASE.name} on ")
    file.write_text("{")
    wrong = subprocess.run([*command, str(file)], capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr.startswith(f"{file} is no JSON file: ")
    gone = subprocess.run([*command, str(file) + "x"], capture_output=True, text=True)
    assert gone.stderr.strip() == f"There is no file {file}x."


def test_a_table_of_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="This result cannot be contributed: at rows/[01]/share, 90.0 is greater"):
        contributions.save(TABLE.assign(share=90.0), BASE, "mood", learning_rate=3e-4, folder=tmp_path)


def test_another_experiments_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="The table has no column 'run': give the one that `experiments.rebound` gave"):
        contributions.save(TABLE.drop(columns="run"), BASE, "mood", learning_rate=3e-4, folder=tmp_path)


def test_another_run_is_another_file(file, tmp_path):
    other = contributions.save(TABLE, BASE, "mood", learning_rate=1e-3, minutes=2.5, folder=tmp_path)
    assert other != file and file.exists()


def test_all_contributed_results_of_the_book_are_admitted():
    contributions.read()
