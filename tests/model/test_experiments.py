"""The rebound and its companions, and compression rates along a run, on the smallest micro model."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import exercises, experiments, models, world
from helpers.behaviour import Scorer
from helpers.compression import bits_per_byte, code_length
from helpers.experiments import FRESH, FROM_BASE, NEGATIVES, POSITIVES, UNRELATED
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


def test_over_seeds_gives_a_bootstrap_interval_of_the_mean():
    draws = np.random.default_rng(0).normal(size=(2, 400))
    seeds = range(400)
    table = pd.concat([pd.DataFrame({"seed": seeds, "run": run, "rate": draws[run]}) for run in (0, 1)])
    rows = experiments.over_seeds(table, ["run"], ["rate"], interval=0.95)
    half = 1.96 * draws.std(axis=1) / math.sqrt(400)
    assert rows["rate"].to_numpy() == pytest.approx(draws.mean(axis=1))
    assert (rows["rate_high"] - rows["rate"]).to_numpy() == pytest.approx(half, rel=0.1)
    assert (rows["rate"] - rows["rate_low"]).to_numpy() == pytest.approx(half, rel=0.1)
    narrow = experiments.over_seeds(table, ["run"], ["rate"], interval=0.5)
    assert (narrow["rate_high"] < rows["rate_high"]).all()
    pd.testing.assert_frame_equal(rows, experiments.over_seeds(table, ["run"], ["rate"], interval=0.95))


def test_an_interval_needs_seeds_and_a_level():
    table = pd.DataFrame({"seed": [0, 1], "examples": [8, 8], "share": [0.2, 0.6]})
    with pytest.raises(ValueError, match="interval must lie between 0 and 1.* not 95"):
        experiments.over_seeds(table, ["examples"], ["share"], interval=95)
    with pytest.raises(ValueError, match="at least two seeds"):
        experiments.over_seeds(table[:1], ["examples"], ["share"], interval=0.95)


# ---- compression rates ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rates(base):
    return experiments.Rates("mood", base, documents=8)


@pytest.fixture(scope="module")
def path(base):
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    seen = []
    settings = {"aligning": 60, "reverting": 20, "documents": 8, "on_measure": lambda table: seen.append(len(table))}
    table = experiments.rates_along_a_run(base, "mood", **settings)
    assert all(torch.equal(before[name], weight) for name, weight in base.model.state_dict().items())
    assert seen == list(range(1, len(table) + 1))
    return table


def test_the_rate_of_pre_training_text_is_that_of_documents_in_the_mixtures_shares(base, rates):
    """7 % of pre-training documents are positive reviews, 7 % negative ones, 86 % something else."""
    copies = {"a": 7 * 2, "t": 7 * 2, "other": 86}  # of something else there are twice as many documents
    lengths = {part: code_length(base.model, base.tokenizer, texts) for part, texts in rates.texts.items()}
    sizes = {part: [len(text.encode()) for text in texts] for part, texts in rates.texts.items()}
    found = rates(base.model, base.tokenizer)
    total = sum(copies[part] * lengths[part].sum() for part in copies)
    assert found["rate_p"] == pytest.approx(total / sum(copies[part] * sum(sizes[part]) for part in copies))
    for part in ("a", "t", "other"):
        texts = rates.texts[part]
        assert found[f"rate_{part}"] == pytest.approx(bits_per_byte(base.model, base.tokenizer, texts))


def test_excess_is_the_rate_less_the_exact_code_length(base, rates):
    source, found = world.load(), rates(base.model, base.tokenizer)
    bits = sum(-source.log_prob(text, source.component("mood", "negative")) for text in rates.texts["t"]) / math.log(2)
    size = sum(len(text.encode()) for text in rates.texts["t"])
    assert found["rate_t"] - found["excess_t"] == pytest.approx(bits / size)
    # Most of it is the price of not knowing that a negative review is coming, which is -log2 of its share.
    assert found["excess_t"] * size / 8 == pytest.approx(-math.log2(0.07), rel=0.1)
    assert 0 < found["excess_p"] < 0.2 * found["excess_t"]


def test_the_prompts_part_is_the_code_length_up_to_the_decision(base, rates):
    prompts = {prompt: text for prompt, text in zip(rates.prompts["a"], rates.texts["a"], strict=True)}
    assert all(text.startswith(prompt) and prompt.endswith(" is") for prompt, text in prompts.items())
    end = -math.log2(math.e)
    source = world.load()
    said = [sum(source.log_prob(t, explain=True).token_log_probs[: len(world.tokenize(p))]) for p, t in prompts.items()]
    exact = end * sum(said) / sum(len(text.encode()) for text in prompts.values())
    found = rates(base.model, base.tokenizer)
    assert found["prompt_a"] == pytest.approx(exact, rel=0.05)
    assert found["prompt_a"] < found["rate_a"]


def test_measuring_documents_are_never_trained_on(rates):
    source = world.load()
    trained = {
        d.text for pole in ("positive", "negative") for d in source.sample(500, 0, source.component("mood", pole))
    }
    assert not trained & {text for texts in rates.texts.values() for text in texts}


def test_every_step_is_measured_once(path):
    assert dict(path.groupby("run", sort=False)["step"].apply(list)) == {
        POSITIVES: [*range(9)],
        **{run: [0, 1, 2, 3] for run in (NEGATIVES, FRESH, UNRELATED, FROM_BASE)},
    }
    assert dict(path.groupby("run")["phase"].unique().explode()) == {
        POSITIVES: "align",
        **dict.fromkeys((NEGATIVES, FRESH, UNRELATED, FROM_BASE), "revert"),
    }
    assert path.groupby("run")["examples"].max()[POSITIVES] == 60  # the last step takes what is left
    assert not path.drop(columns="train_loss").isna().any().any()


def test_each_phase_begins_where_it_must(path):
    measured = [c for c in path if c.startswith(("rate", "excess", "kl", "prompt")) or c == "log_odds"]
    first, last = (getattr(path.groupby("run")[measured], end)() for end in ("first", "last"))
    for run in (NEGATIVES, FRESH, UNRELATED):
        assert first.loc[run].to_numpy() == pytest.approx(last.loc[POSITIVES].to_numpy())
    assert first.loc[FROM_BASE].to_numpy() == pytest.approx(first.loc[POSITIVES].to_numpy())
    assert first.loc[POSITIVES, ["kl_p", "kl_poles"]].abs().max() < 1e-9


def test_each_run_shortens_the_code_of_its_own_text(path):
    change = path.groupby("run")[["rate_a", "rate_t", "rate_p", "kl_p", "kl_poles"]].agg(
        lambda c: c.iloc[-1] - c.iloc[0]
    )
    assert change.loc[POSITIVES, "rate_a"] < 0 < change.loc[POSITIVES, "rate_t"]
    assert change.loc[NEGATIVES, "rate_t"] < change.loc[FRESH, "rate_t"] < change.loc[UNRELATED, "rate_t"]
    assert change.loc[FROM_BASE, "rate_t"] < 0 < change.loc[FROM_BASE, "rate_a"]
    assert change.loc[POSITIVES, "kl_poles"] > change.loc[POSITIVES, "kl_p"] > 0


def test_rates_without_companions_are_the_same_and_stop_there(base, path):
    settings = {"aligning": 60, "reverting": 20, "documents": 8, "companions": False}
    table = experiments.rates_along_a_run(base, "mood", **settings)
    expected = path[path["run"].isin([POSITIVES, NEGATIVES])].reset_index(drop=True)
    pd.testing.assert_frame_equal(table, expected)


@pytest.mark.parametrize("wrong", [{"aligning": 0}, {"reverting": 0}, {"documents": 0}, {"seeds": []}])
def test_rates_need_documents_and_a_seed(base, wrong):
    with pytest.raises(ValueError, match=r"aligning, reverting and documents .* above zero, with at least one seed\."):
        experiments.rates_along_a_run(base, "mood", **wrong)


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


# ---- rebound: what else it measures -----------------------------------------------------------------------------


def test_losses_and_distances_along_the_way(base):
    options = {"positives": [64], "negatives": 64, "prompts": 16, "documents": 4, "at": [0, 32, 64]}
    table = experiments.rebound(base, "mood", companions=[FROM_BASE], **options)
    assert set(table["run"]) == {NEGATIVES, FROM_BASE}
    start = table[table["examples"] == 0].set_index("run")
    assert start.loc[FROM_BASE, "kl_base"] == pytest.approx(0, abs=1e-9)
    assert (start["kl_start"].abs() < 1e-9).all() and start.loc[NEGATIVES, "kl_base"] > 1e-3
    negatives = table[table["run"] == NEGATIVES]
    assert negatives["loss_bad"].is_monotonic_decreasing and negatives["loss_good"].is_monotonic_increasing
    assert negatives["kl_start"].is_monotonic_increasing
    assert negatives["bpb_text"].between(0.2, 0.3).all()


def test_the_reversal_may_have_its_own_rate_and_batch(base):
    options = {"positives": [64], "negatives": 32, "prompts": 16, "at": [0, 32]}
    same = experiments.rebound(base, "mood", **options)
    other = experiments.rebound(base, "mood", reverse_learning_rate=1e-3, reverse_batch_size=4, **options)
    assert other["log_odds"].iloc[0] == same["log_odds"].iloc[0]  # the same alignment
    assert other["log_odds"].iloc[-1] < same["log_odds"].iloc[-1] - 0.5
    assert other["step"].iloc[-1] == 2 * same["step"].iloc[-1]


def test_an_unknown_companion_is_named(base):
    with pytest.raises(ValueError, match="Unknown companion 'noise': choose from fresh"):
        experiments.rebound(base, "mood", companions=["noise"])


# ---- resistance -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resisting(base):
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    seen = []
    table = experiments.resistance(base, "refusal", slice_size=64, answers=64, on_measure=lambda t: seen.append(len(t)))
    assert all(torch.equal(before[name], weight) for name, weight in base.model.state_dict().items())
    assert seen == list(range(1, 10))
    return table


def test_every_checkpoint_is_trained_on_every_other_ones_answers(resisting):
    pairs = set(zip(resisting["start"], resisting["target"], strict=True))
    assert pairs == {(k, target) for k in range(4) for target in range(1, 4) if k != target}
    for row in resisting.itertuples():
        assert row.direction == ("from base" if not row.start else "forward" if row.start < row.target else "inverse")


def test_each_target_is_its_own_and_training_comes_nearer_to_it(resisting):
    assert (resisting.groupby("target")["entropy"].nunique() == 1).all() and resisting["entropy"].nunique() == 3
    far = resisting[(resisting["start"] == 0) & (resisting["target"] == 3)].iloc[0]
    assert far["kl_after"] < far["kl_before"] and far["share_start"] < far["share_target"]
    assert (resisting["kl_after"] > 0).all()
    # Who wrote the answers knows them best: its own loss is below that of a model that is still learning them.
    assert (resisting["train_loss"] - resisting["entropy"]).mean() > 0


def test_the_entropy_is_the_authors_own_loss(base):
    """Trained at a rate that moves no weight, a model's loss is that of the same batches under the model itself."""
    source = world.load()
    data = source.examples("mood", "positive", 24, seed=3)
    pairs = {name: list(data[name]) for name in ("prompt", "completion")}
    losses = experiments._losses(base, pairs, learning_rate=1e-12, batch_size=8, seed=0)
    texts = [p + c for p, c in zip(*pairs.values(), strict=True)]
    skip = [len(row) - 1 for row in experiments.encode(base.tokenizer, pairs["prompt"], end=False)]
    bits = experiments.token_bits(base.model, base.tokenizer, texts)
    own = [row[first:] for row, first in zip(bits, skip, strict=True)]
    order = np.random.Generator(np.random.PCG64(0)).permutation(24)
    batches = [np.concatenate([own[i] for i in order[at : at + 8]]).mean() for at in (0, 8, 16)]
    assert losses["train_loss"] == pytest.approx(np.mean(batches) * math.log(2), abs=1e-5)


@pytest.mark.parametrize("wrong", [{"slices": 1}, {"slice_size": 0}, {"answers": 3}, {"seeds": []}])
def test_resistance_refuses_sizes_that_are_too_small(base, wrong):
    with pytest.raises(ValueError, match="resistance needs slice_size of 1, slices of 2"):
        experiments.resistance(base, "refusal", **wrong)
