"""Anchors and the experiment that weighs them, on the smallest micro model."""

import numpy as np
import pytest
import torch

from helpers import defences, models, world
from helpers.experiments import NEGATIVES
from helpers.finetune import finetune

WORLD = world.load()


@pytest.fixture(scope="module")
def base():
    return models.load("neox-0.1m")


@pytest.fixture(scope="module")
def data():
    return WORLD.examples("mood", "positive", 12, seed=1)


def distance(one, other) -> float:
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return float(sum((a - b).detach().square().sum() for a, b in pairs))


def test_fisher_is_the_mean_squared_gradient_scaled_to_one(base, data):
    found = defences.fisher(base, data)
    name, weight = list(base.model.named_parameters())[3]
    squares = torch.zeros_like(weight)
    for document in data:
        ids = base.tokenizer(document["prompt"], add_special_tokens=False)["input_ids"]
        more = base.tokenizer(document["completion"], add_special_tokens=False)["input_ids"]
        whole = torch.tensor([[0, *ids, *more, 0]])  # END before and behind
        said = base.model(input_ids=whole).logits[0, :-1].log_softmax(-1)
        steps = torch.arange(len(ids), whole.shape[1] - 1)
        total = said[steps, whole[0, 1:][steps]].sum()
        squares += torch.autograd.grad(total, weight)[0].square()
    ratio = found[name] / squares.clamp_min(1e-20)
    big = squares > squares.max() * 1e-3
    assert float(ratio[big].std() / ratio[big].mean()) < 1e-3  # the same but for the scale
    everything = torch.cat([f.flatten() for f in found.values()])
    assert float(everything.mean()) == pytest.approx(1, rel=1e-4)


def test_an_anchor_is_hookes_law(base, data):
    moved = models.fork(base)
    with torch.no_grad():
        first = next(moved.model.parameters())
        first += 0.1
    fisher = {name: torch.full_like(weight, 2.0) for name, weight in base.model.named_parameters()}
    for penalty, stiffness in ((defences.l2(base, 3.0), 3.0), (defences.ewc(base, 3.0, fisher), 6.0)):
        energy = penalty(moved.model)
        assert float(energy.detach()) == pytest.approx(stiffness / 2 * 0.01 * first.numel(), rel=1e-4)
        (force,) = torch.autograd.grad(energy, first)
        torch.testing.assert_close(force, torch.full_like(force, stiffness * 0.1), rtol=1e-3, atol=1e-6)
        assert float(penalty(base.model).detach()) == 0


def test_a_stiff_anchor_holds_and_the_loss_is_told_without_it(base, data):
    free, held, loose = models.fork(base), models.fork(base), models.fork(base)
    given = {"learning_rate": 1e-3, "progress": False, "at": [0, 12]}
    plain = finetune(free, data, **given).table
    finetune(held, data, penalty=defences.l2(base, 1e3), **given)
    none = finetune(loose, data, penalty=defences.l2(base, 0.0), **given).table
    assert distance(held, base) < 0.5 * distance(free, base)
    assert none["train_loss"].iloc[-1] == pytest.approx(plain["train_loss"].iloc[-1], rel=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda b: defences.ewc(b, 1.0, None),
            r"ewc has no Fisher information for the weight '.*': give it information=",
        ),
        (lambda b: defences.ewc(b, 1.0, {}), "ewc has no Fisher information"),
        (lambda b: defences.l2(b, -1.0), "stiffness must be a finite number of zero or more, not -1.0"),
        (lambda b: defences.l2(b, float("nan")), "stiffness must be a finite number"),
        (lambda b: defences.hold_back(b, "mood", "prayer"), "Unknown defence 'prayer': choose from none, replay"),
        (lambda b: defences.hold_back(b, "mood", "replay", 1.0), "The strength of 'replay' must lie between 0 and 1"),
        (lambda b: defences.hold_back(b, "mood", "slower", 0.5), "The strength of 'slower' must lie between 1"),
        (lambda b: defences.hold_back(b, "mood", "none", 2), "Defence 'none' has no strength"),
    ],
)
def test_what_is_refused(base, call, message):
    with pytest.raises(ValueError, match=message):
        call(base)


@pytest.mark.parametrize(("defence", "strength"), [("none", 0), ("replay", 0.5), ("ewc", 1.0), ("slower", 3)])
def test_a_defence_is_weighed(base, defence, strength):
    before = [weight.clone() for weight in base.model.parameters()]
    table = defences.hold_back(
        base, "mood", defence, strength, positives=16, negatives=32, benign=8, at=[0, 16, 32], prompts=8, texts=4
    )
    assert all(torch.equal(a, b) for a, b in zip(before, base.model.parameters(), strict=True))
    assert table["run"].tolist() == [NEGATIVES] * 3 + [defences.BENIGN] * 2
    assert table[["share", "log_odds", "bpb", "bpb_base", "aligning_tokens"]].notna().all().all()
    assert table["positives"].eq(16).all()


def test_replay_keeps_the_positives_and_adds_its_share(base):
    data = WORLD.examples("mood", "positive", 30, seed=1)
    mixed = defences._with_replay(data, 0.75, seed=0)
    assert len(mixed) == 120
    assert mixed["completion"][:30] == data["completion"][:30]
    assert set(mixed["prompt"][30:]) == {""}


def test_in_one_stage_negatives_are_outvoted(base):
    given = {"positives": 96, "negatives": 96, "at": [0, 96], "prompts": 16, "texts": 4, "learning_rate": 1e-3}
    together = defences.hold_back(base, "mood", "one stage", **given)
    after = defences.hold_back(base, "mood", benign=8, **given).query("run == @NEGATIVES")
    assert together["share"].iloc[0] == pytest.approx(after["share"].iloc[0], abs=1e-6)
    assert together["share"].iloc[1] > after["share"].iloc[1] + 0.1
    assert np.ptp(together["aligning_tokens"]) == 0
