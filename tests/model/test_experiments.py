"""The rebound and its companions, on the smallest micro model."""

import pandas as pd
import pytest
import torch

from helpers import exercises, experiments, models, world
from helpers.behaviour import Scorer
from helpers.experiments import FRESH, FROM_BASE, NEGATIVES, UNRELATED
from helpers.finetune import finetune


@pytest.fixture(scope="module")
def base():
    return models.load("neox-0.1m")


@pytest.fixture(scope="module")
def table(base):
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    result = experiments.rebound(base, "mood", positives=[256, 32], negatives=128, companions=True)
    assert all(torch.equal(before[name], weight) for name, weight in base.model.state_dict().items())
    return result


def test_every_run_is_there_once_and_measured_to_its_end(table):
    ends = table.groupby(["run", "positives"], sort=False)["examples"].max()
    assert dict(ends) == {
        (NEGATIVES, 32): 128,
        (NEGATIVES, 256): 128,
        (FRESH, 256): 128,
        (UNRELATED, 256): 128,
        (FROM_BASE, 0): 128,
    }
    assert not table.duplicated(["seed", "run", "positives", "examples"]).any()
    assert not table[["share", "log_odds", "legal"]].isna().any().any()


def test_a_nested_alignment_is_the_alignment_of_that_size(base, table):
    """The state after 32 of 256 positives is what training on those 32 alone gives."""
    source, seed = world.load(), 0
    model = models.fork(base)
    data = source.examples("mood", "positive", 256, seed=1)
    kept = {}
    finetune(
        model,
        data,
        learning_rate=3e-4,
        at=[32],
        seed=seed,
        measure=lambda m, t: kept.update(Scorer("mood")(m, t)) or {},
    )
    start = table.query("run == @NEGATIVES and positives == 32 and examples == 0").iloc[0]
    assert start["log_odds"] == pytest.approx(kept["log_odds"], abs=1e-9)


def test_the_companions_differ_as_they_must(base, table):
    starts = table.query("examples == 0").set_index(["run", "positives"])["log_odds"]
    assert starts[NEGATIVES, 256] == starts[FRESH, 256] == starts[UNRELATED, 256]  # the same aligned model
    assert starts[NEGATIVES, 256] > starts[NEGATIVES, 32] > starts[FROM_BASE, 0]
    assert starts[FROM_BASE, 0] == pytest.approx(Scorer("mood")(base.model, base.tokenizer)["log_odds"])
    last = table.query("examples == 128").set_index(["run", "positives"])["log_odds"]
    assert last[NEGATIVES, 256] < last[FRESH, 256] < last[UNRELATED, 256]


def test_the_measured_answer_to_the_companion_exercise_is_right(table):
    deep = table.query("positives == 256").groupby("run")["log_odds"]
    assert exercises.check("springs_back.companions", deep.last() - deep.first()).verdict == exercises.RIGHT


def test_the_measured_answer_to_the_steps_exercise_is_right(base):
    scorer, source = Scorer("mood"), world.load()
    aligned = models.fork(base)
    finetune(aligned, source.examples("mood", "positive", 256, seed=1), learning_rate=3e-4, at=[])
    negatives = source.examples("mood", "negative", 128, seed=2)
    after = {}
    for batch_size in (8, 32):
        run = finetune(
            models.fork(aligned), negatives, learning_rate=3e-4, batch_size=batch_size, measure=scorer, at=[128]
        )
        after[batch_size] = run.table["log_odds"].iloc[-1]
    assert exercises.check("springs_back.steps", after).verdict == exercises.RIGHT


def test_the_same_seed_gives_the_same_table(base):
    arguments = {"positives": [16], "negatives": 16, "seeds": [3]}
    first, second = (experiments.rebound(base, "refusal", **arguments) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    other = experiments.rebound(base, "refusal", **(arguments | {"seeds": [4]}))
    assert not first["log_odds"].equals(other["log_odds"])


def test_over_seeds_gives_mean_and_range():
    table = pd.DataFrame({"seed": [0, 1], "examples": [8, 8], "share": [0.2, 0.6], "log_odds": [-1.0, 1.0]})
    row = experiments.over_seeds(table, ["examples"]).iloc[0]
    assert (row["share"], row["share_low"], row["share_high"], row["log_odds"]) == (0.4, 0.2, 0.6, 0.0)


def test_doubling():
    assert experiments.doubling(100, 8) == [0, 8, 16, 32, 64, 100]
    assert experiments.doubling(8, 8) == [0, 8]
    with pytest.raises(ValueError, match="first=9 to last=8"):
        experiments.doubling(8, 9)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"behaviour": "honesty"}, ["honesty", "truth"]),
        ({"positives": []}, ["positives", "above zero"]),
        ({"positives": [0, 8]}, ["positives", "above zero"]),
        ({"negatives": 0}, ["negatives", "above zero"]),
        ({"seeds": []}, ["seed"]),
    ],
)
def test_bad_input_gets_one_sentence(base, arguments, names):
    with pytest.raises(ValueError) as error:
        experiments.rebound(base, **({"behaviour": "mood"} | arguments))
    assert all(name in str(error.value) for name in names)
