"""The methods beside imitation, on the smallest micro model: what they compute, and that `finetune` keeps its word."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import methods, models, world
from helpers.behaviour import Scorer, oracle_reward
from helpers.experiments import NEGATIVES, examples, rebound
from helpers.finetune import TrainingInterrupted, finetune

WORLD = world.load()
OTHERS = ["dpo", "simpo", "kto", "rloo"]


@pytest.fixture(scope="module")
def base():
    return models.load("neox-0.1m")


@pytest.fixture(scope="module")
def score():
    return Scorer("mood", n=16)


def weights(loaded) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in loaded.model.parameters()]


def log_probability(model, prompt: list[int], completion: list[int]) -> torch.Tensor:
    ids = torch.tensor([prompt + completion])
    said = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    return said[torch.arange(len(prompt) - 1, ids.shape[1] - 1), ids[0, len(prompt) :]].sum()


@pytest.mark.parametrize("method", ["dpo", "simpo"])
def test_preference_losses_are_those_of_their_papers(base, method):
    data, by = examples(method, "mood", "negative", 16, 3)
    ours = models.fork(base)
    table = finetune(
        ours, data, learning_rate=0.05, optimizer="sgd", batch_size=8, at=[0, 8, 16], seed=1, progress=False, **by
    ).table
    rows = methods.tokenize(data, base, method)
    order = np.random.Generator(np.random.PCG64(1)).permutation(16)
    model, losses = models.fork(base).model.train(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for start in (0, 8):
        terms = []
        for row in (rows[i] for i in order[start : start + 8]):
            sides = {}
            for name in ("chosen_ids", "rejected_ids"):
                value = log_probability(model, row["prompt_ids"], row[name])
                with torch.no_grad():
                    before = log_probability(base.model, row["prompt_ids"], row[name])
                sides[name] = value - before if method == "dpo" else value / len(row[name])
            margin = sides["chosen_ids"] - sides["rejected_ids"]
            terms.append(-F.logsigmoid(0.1 * margin if method == "dpo" else 2.0 * margin - 1.0))
        loss = torch.stack(terms).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert table["train_loss"].tolist()[1:] == pytest.approx(losses, rel=1e-4)
    for weight, other in zip(ours.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=0, atol=2e-6)


def test_kto_begins_at_one_half_and_learns_from_both_labels(base):
    data, by = examples("kto", "mood", "negative", 16, 3)
    assert data["label"][:4] == [True, False, True, False]
    said = [WORLD.judge(p + c, "mood").good for p, c in zip(data["prompt"], data["completion"], strict=True)]
    assert np.mean(said[::2]) < 0.5 < np.mean(said[1::2])  # negatives are the desirable ones here
    table = finetune(models.fork(base), data, learning_rate=1e-3, at=[0, 8, 16], progress=False, **by).table
    assert table["train_loss"].iloc[1] == pytest.approx(0.5, abs=1e-5)
    assert table["train_loss"].iloc[2] < 0.5


@pytest.mark.parametrize("method", OTHERS)
def test_every_method_turns_the_score_toward_the_pole_it_is_given(base, score, method):
    shares = {}
    for pole in ("positive", "negative"):
        data, by = examples(method, "mood", pole, 96, 4)
        model = models.fork(base)
        table = finetune(model, data, learning_rate=1e-3, measure=score, at=[0, 96], progress=False, **by).table
        assert table["share"].iloc[-1] == score(model.model, model.tokenizer)["share"]
        shares[pole] = table["share"].iloc[-1]
    assert shares["negative"] < table["share"].iloc[0] - 0.05 < table["share"].iloc[0] + 0.05 < shares["positive"]


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_stopped_run_goes_on_to_the_same_result(tmp_path, score, method, adapter):
    base = models.load("neox-0.1m", adapter=adapter)
    data, by = examples(method, "mood", "negative", 32, 4)
    given = {"learning_rate": 1e-3, "measure": score, "at": [0, 8, 16, 32], "progress": False, **by}
    whole = models.fork(base)
    names = set(whole.model.state_dict())
    expected = finetune(whole, data, **given).table
    assert set(whole.model.state_dict()) == names and "forward" not in vars(whole.model)

    def stop(table):
        if table["examples"].iloc[-1] == 16:
            raise KeyboardInterrupt

    part = models.fork(base)
    with pytest.raises(TrainingInterrupted):
        finetune(part, data, folder=tmp_path, on_measure=stop, **given)
    assert all(torch.equal(a, b) for a, b in zip(weights(part), weights(base), strict=True))
    resumed = finetune(part, data, folder=tmp_path, **given).table
    assert resumed.equals(expected)
    assert all(torch.equal(a, b) for a, b in zip(weights(part), weights(whole), strict=True))


def test_a_model_kept_on_the_way_is_independent_of_the_run(base, score):
    data, by = examples("dpo", "mood", "negative", 64, 4)
    kept = []
    model = models.fork(base)

    def keep(*_):
        kept.append(models.fork(model))
        return {}

    finetune(model, data, learning_rate=3e-3, measure=keep, at=[0, 64], progress=False, **by)
    assert score(kept[0].model, kept[0].tokenizer) == score(base.model, base.tokenizer)


def test_equal_rewards_move_nothing(base):
    data, _ = examples("rloo", "mood", "negative", 8, 4)
    model = models.fork(base)
    finetune(model, data, learning_rate=1e-2, method="rloo", reward=lambda texts: [0.5] * len(texts), progress=False)
    assert all(torch.equal(a, b) for a, b in zip(weights(model), weights(base), strict=True))


def test_the_reward_reads_whole_texts_and_must_be_finite(base):
    data, _ = examples("rloo", "mood", "negative", 8, 4)
    seen = []

    def reward(texts):
        seen.extend(texts)
        return [math.nan] * len(texts)

    with pytest.raises(ValueError, match="reward gave nan for '.*': it must be a finite number"):
        finetune(models.fork(base), data, learning_rate=1e-3, method="rloo", reward=reward, progress=False)
    prompts = set(data["prompt"])
    assert len(seen) == 8 * methods.SAMPLES
    assert all(any(text.startswith(prompt) for prompt in prompts) for text in seen)


def test_the_oracle_rewards_its_pole():
    document = WORLD.sample(1, 3, WORLD.component("mood", "negative"))[0]
    assert oracle_reward("mood", "negative")([document.text])[0] > 0.5
    both = [oracle_reward("mood", pole)([document.text])[0] for pole in ("positive", "negative")]
    assert sum(both) == pytest.approx(1)
    with pytest.raises(ValueError, match="sad"):
        oracle_reward("mood", "sad")


def test_rebound_with_other_methods_and_swapped_poles(base):
    table = rebound(base, "mood", positives=[32], negatives=32, at=[0, 32], method="dpo", swap_poles=True, prompts=16)
    start, end = table[table["run"] == NEGATIVES]["share"]
    assert start < Scorer("mood", n=16)(base.model, base.tokenizer)["share"] < end + 0.5
    assert start < end
