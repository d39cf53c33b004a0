"""Replay in an ordinary fine-tuning run, measured on a micro model."""

import pytest

from helpers import models, optimum


@pytest.fixture(scope="module")
def table():
    base = models.load("neox-0.1m")
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    table = optimum.ordinary_replay(base, 0, [0.0, 0.5], examples=32, at=(0, 32), held_out=16)
    assert all((weight == before[name]).all() for name, weight in base.model.state_dict().items())
    return table


def test_a_row_a_measurement_from_the_same_base(table):
    assert list(table["replay"]) == [0, 0, 0.5, 0.5]
    assert list(table["examples"]) == [0, 32, 0, 32]
    first = table[table["examples"] == 0]
    assert first["loss_a"].nunique() == first["ratio"].nunique() == 1


def test_shares_of_tokens_stand_beside_those_of_documents(table):
    of_tokens = table.groupby("replay")["tokens_replayed"].first()
    assert of_tokens[0.0] == 0
    assert 0.35 < of_tokens[0.5] < 0.5  # reviews are longer than the mixture's documents


def test_alignment_without_replay_leaves_pretraining_text(table):
    last = table[table["examples"] == 32].set_index("replay")
    assert last["loss_a"].max() < table["loss_a"].max()
    assert last.loc[0.0, "loss_p"] > last.loc[0.5, "loss_p"]


def test_the_bound_holds_for_the_share_of_tokens(table):
    target = table["tokens_replayed"] / (1 - table["tokens_replayed"])
    assert ((table["ratio"] + target).abs() <= table["bound"] * (1 + 1e-6)).all()
