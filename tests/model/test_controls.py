"""The controls of elasticity, on the smallest micro model."""

import math

import pytest
import torch

from helpers import controls, models
from helpers.experiments import FRESH, NEGATIVES, UNRELATED


@pytest.fixture(scope="module")
def base():
    return models.load("neox-0.1m")


def test_the_coin_goes_up_by_a_logarithm_and_down_by_a_line():
    table = controls.coin([1000], 80, learning_rate=0.01)
    start = table["log_odds"].iloc[0]
    assert start + math.exp(start) == pytest.approx(1 + 0.01 * 1000, rel=0.01)  # in continuous time, exactly
    steps = -table["log_odds"].diff().iloc[1:]
    assert steps.iloc[0] == pytest.approx(0.01 / (1 + math.exp(-start)))
    assert (steps.diff().dropna() < 0).all()
    with pytest.raises(ValueError, match="coin needs"):
        controls.coin([0], 10)


def test_steps_in_weight_space_have_the_lengths_and_angles_they_should(base):
    given = {"positives": 64, "negatives": 32, "at": [0, 16, 32], "draws": 2, "prompts": 8, "documents": 2}
    before = [weight.clone() for weight in base.model.parameters()]
    table = controls.in_weight_space(base, "mood", learning_rate=1e-3, **given)
    assert all(torch.equal(a, b) for a, b in zip(before, base.model.parameters(), strict=True))
    wide = table.pivot(index="examples", columns="run", values="length")
    assert set(wide) == {NEGATIVES, FRESH, UNRELATED, controls.RANDOM, controls.STRAIGHT_BACK}
    for run in (controls.RANDOM, controls.STRAIGHT_BACK):
        assert wide[run].tolist() == pytest.approx(wide[NEGATIVES].tolist(), rel=1e-4)
    last = table[table["examples"] == 32].set_index("run")
    assert last.loc[controls.STRAIGHT_BACK, "cosine"] == pytest.approx(1, abs=1e-6)
    assert abs(last.loc[controls.RANDOM, "cosine"]) < 0.05
    assert last.loc[controls.STRAIGHT_BACK, "kl_base"] < last.loc[controls.RANDOM, "kl_base"]
    zero = table[table["examples"] == 0]
    assert zero["share"].nunique() == 1 and zero["length"].eq(0).all()


def test_two_models_start_from_one_score(base):
    tilted = models.load("neox-0.4m-tilted")
    table = controls.same_score(
        base, tilted, "mood", most=128, negatives=16, at=[0, 16], prompts=16, documents=2, learning_rate=1e-3
    )
    start = table[(table["examples"] == 0) & (table["run"] == NEGATIVES)].set_index("history")
    assert start.loc[controls.ALIGNED, "log_odds"] == pytest.approx(start.loc[controls.PRETRAINED, "log_odds"], abs=1)
    assert start.loc[controls.ALIGNED, "positives"] > 0 == start.loc[controls.PRETRAINED, "positives"]
    assert start.loc[controls.PRETRAINED, "kl_base"] == 0 < start.loc[controls.ALIGNED, "kl_base"]
    with pytest.raises(ValueError, match="must have a higher score in 'mood'"):
        controls.same_score(tilted, base, "mood")
