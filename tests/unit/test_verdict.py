"""The statistics that decide the claims, on tables whose answer is known, and the words that follow from them."""

import html

import numpy as np
import pandas as pd
import pytest

from helpers import statistics, verdict
from helpers.experiments import FRESH, FROM_BASE, NEGATIVES, UNRELATED

AT = [0, 8, 16, 32, 64, 128, 256]


def fall(run, start, end, positives=128, seed=0, level="log_odds", **labels):
    """A straight line from start to end over AT."""
    rows = pd.DataFrame({"examples": AT, "step": [a // 8 for a in AT]})
    rows[level] = start + (end - start) * rows["examples"] / AT[-1]
    return rows.assign(run=run, positives=positives, seed=seed, **({"model": "m", "behaviour": "b"} | labels))


def one(series: pd.Series) -> float:
    assert len(series) == 1
    return series.iloc[0]


# ---- the claims --------------------------------------------------------------------------------------------------


CHAPTERS = {
    "experiments": ("resistance", "rebound", "model_size", "pretraining_volume"),
    "beyond": ("algorithms", "adapters", "controls", "defences"),
}


def test_every_claim_can_be_decided():
    claims = verdict.claims()
    for name, claim in claims.items():
        assert claim["of"] in ("paper", "control", "ours")
        part, chapter = claim["chapter"].split("/")
        assert chapter in CHAPTERS[part]
        assert claim["of"] != "paper" or claim["published"], name
        if "untestable" not in claim:
            assert claim["statistic"] in statistics.STATISTICS, name
            assert claim["side"] in ("above", "below", "within") and claim["unit"]


def claim(side="above", threshold=0.0, **more):
    given = {
        "id": "c",
        "experiment": "none",
        "statistic": "given",
        "arguments": {},
        "side": side,
        "threshold": threshold,
    }
    return given | more


@pytest.mark.parametrize(
    ("means", "side", "word", "counts"),
    [
        ((1.0, 2.0), "above", verdict.HOLDS, (2, 0)),
        ((1.0, -2.0), "above", verdict.IN_PART, (1, 1)),
        ((0.0, -2.0), "above", verdict.NOT_SEEN, (0, 1)),
        ((-1.0, -2.0), "below", verdict.HOLDS, (2, 0)),
        ((0.0, 0.0), "below", verdict.NOT_SEEN, (0, 0)),
    ],
)
def test_the_groups_intervals_decide(monkeypatch, means, side, word, counts):
    noise = np.linspace(-0.2, 0.2, 10)
    index = pd.MultiIndex.from_product([["g1", "g2"], range(10)], names=["group", "seed"])
    series = pd.Series(np.concatenate([mean + noise for mean in means]), index)
    monkeypatch.setitem(statistics.STATISTICS, "given", lambda table: series)
    found = verdict.verdict(claim(side), pd.DataFrame())
    assert (found["verdict"], (found["for"], found["against"])) == (word, counts)
    assert found["mean"] == pytest.approx(np.mean(means)) and found["seeds"] == 10 and found["groups"] == 2
    assert found["low"] < found["mean"] < found["high"]


def test_the_threshold_counts(monkeypatch):
    index = pd.MultiIndex.from_product([["g"], range(10)], names=["group", "seed"])
    monkeypatch.setitem(statistics.STATISTICS, "given", lambda table: pd.Series(np.linspace(4, 6, 10), index))
    assert verdict.verdict(claim(threshold=3), pd.DataFrame())["verdict"] == verdict.HOLDS
    assert verdict.verdict(claim(threshold=5), pd.DataFrame())["verdict"] == verdict.NOT_SEEN
    assert verdict.verdict(claim(threshold=7), pd.DataFrame())["against"] == 1


def test_what_cannot_be_tested_says_so():
    untestable = {"id": "c", "untestable": "our largest model is small"}
    assert verdict.verdict(untestable) == {"verdict": verdict.UNTESTABLE}
    with pytest.raises(ValueError, match="'c' cannot be tested here: our largest model is small"):
        verdict.values(untestable)


def test_a_claim_whose_sweep_was_not_run_is_pending(monkeypatch, tmp_path):
    monkeypatch.setenv("SPRINGBACK_DATA", str(tmp_path))
    assert verdict.verdict(claim()) == {"verdict": verdict.PENDING}


def test_a_report_has_every_claim_and_becomes_a_table():
    report = verdict.report()
    assert list(report.index) == list(verdict.claims())
    words = {verdict.HOLDS, verdict.IN_PART, verdict.NOT_SEEN, verdict.UNTESTABLE, verdict.PENDING}
    assert set(report["verdict"]) <= words
    table = verdict.as_html(report, links=True)
    assert table.count("<tr") == len(report) + 1 and '<a href="../experiments/rebound.html">' in table
    assert all(html.escape(claim["claim"]) in table for claim in verdict.claims().values())  # whole, not cut off


def test_an_unknown_statistic_is_named():
    with pytest.raises(ValueError, match="'c' names the statistic 'vibes': choose from .*trend"):
        verdict.values(claim(statistic="vibes"), pd.DataFrame())


# ---- resistance --------------------------------------------------------------------------------------------------


def resistance_rows():
    """Forward costs 1 + distance more than inverse in loss; of that, all but 1 is the target's entropy."""
    rows = []
    for start in range(4):
        for target in range(1, 4):
            if start != target:
                direction = "from base" if not start else "forward" if start < target else "inverse"
                extra = 1 + abs(target - start) if direction == "forward" else 0.0
                rows.append((0, direction, start, target, 5 + extra, 2 + max(extra - 1, 0)))
    columns = ["seed", "direction", "start", "target", "train_loss", "entropy"]
    return pd.DataFrame(rows, columns=columns).assign(model="m", behaviour="b")


def test_forward_minus_inverse_compares_the_same_pair():
    rows = resistance_rows()
    assert one(statistics.forward_minus_inverse(rows, "train_loss")) == pytest.approx(np.mean([2, 2, 3]))
    assert one(statistics.forward_minus_inverse(rows, "train_loss", minus="entropy")) == pytest.approx(1)
    assert one(statistics.widening(rows, "train_loss")) == pytest.approx(1)


# ---- rebound -----------------------------------------------------------------------------------------------------


def test_trend_is_what_a_doubling_adds():
    table = pd.concat([fall(NEGATIVES, 3 * np.log2(n), np.log2(n), positives=n) for n in (2, 4, 16)])
    assert one(statistics.trend(table, "positives", "log_odds", 0)) == pytest.approx(3)
    assert one(statistics.trend(table, "positives", "log_odds", 256)) == pytest.approx(1)
    assert one(statistics.trend(table, "positives", "log_odds", 128, lost=True)) == pytest.approx(1)
    with pytest.raises(ValueError, match="nothing was measured at 100 examples; choose from 0, 8"):
        statistics.trend(table, "positives", "log_odds", 100)


def test_sizes_are_compared_within_a_behaviour_and_seed():
    table = pd.concat(
        [
            fall(NEGATIVES, 0, -p * s - (b == "x"), model=f"m{p}", parameters=2**p, seed=s, behaviour=b)
            for p in (1, 2, 3)
            for s in (1, 2)
            for b in ("x", "y")
        ]
    )
    found = statistics.trend(table, "parameters", "log_odds", 256)
    assert dict(found) == pytest.approx({("x", 1): -1, ("x", 2): -2, ("y", 1): -1, ("y", 2): -2})


def test_crossings_are_interpolated_and_may_not_happen():
    table = pd.concat(
        [
            fall(NEGATIVES, 1.0, -1.0, positives=1, level="share"),
            fall(NEGATIVES, 1.0, 0.5, positives=2, level="share"),
            fall(NEGATIVES, -1.0, -2.0, positives=3, level="share"),
            fall(FROM_BASE, 0.25, -1.0, positives=0, level="share"),
        ]
    )
    runs = statistics.crossings(table, "share").set_index("positives")
    assert runs["needed"].tolist() == pytest.approx([96, np.nan, 0], nan_ok=True)
    assert (runs["level"] == 0.25).all()
    assert statistics.crossings(table, "share", 0.0).set_index("positives")["needed"][1] == pytest.approx(128)


def test_slowing_and_leverage():
    down = fall(NEGATIVES, 2.0, -2.0, positives=1280, level="share")
    late = down["examples"] > 128
    down.loc[late, "share"] = -(down.loc[late, "examples"] - 128) / 256  # a quarter of the speed after zero
    table = pd.concat([down, fall(FROM_BASE, 0.0, -1.0, positives=0, level="share")])
    assert one(statistics.slowing(table, "share")) == pytest.approx(-2)
    assert one(statistics.leverage(table, 1280)) == pytest.approx(10)


def test_returning_to_base():
    def path(low, positives):
        kl = fall(NEGATIVES, 0.0, 0.0, positives=positives, level="kl_base")
        return kl.assign(kl_base=np.interp(kl["examples"], [0, 128, 256], [1.0, low, 1.0]))

    base = fall(FROM_BASE, 0.0, 0.0, positives=0, level="kl_base")
    table = pd.concat([path(0.0, 1), path(0.2, 2), path(0.5, 4), base])
    assert [one(statistics.returned(table, 0.3, n)) for n in (1, 2, 4)] == [1, 1, 0]
    assert one(statistics.return_rank(table, 0.3)) == pytest.approx(1)  # later with more positives, or never
    assert one(statistics.return_rank(table, 0.1)) == pytest.approx(0.866, abs=1e-3)  # two share the last rank
    assert one(statistics.return_rank(table, 2.0)) == 0  # none ever left


def test_companions_are_compared_after_the_most_positives():
    table = pd.concat(
        [
            fall(NEGATIVES, 9.0, 9.0, positives=64),
            fall(NEGATIVES, 4.0, -6.0, positives=128),
            fall(UNRELATED, 4.0, 3.0, positives=128),
            fall(FRESH, 4.0, 1.0, positives=128),
            fall(FROM_BASE, 0.5, -6.0, positives=0),
        ]
    )
    assert one(statistics.lost_beside(table, UNRELATED, 256)) == pytest.approx(0.1)
    assert one(statistics.fresh_against_unrelated(table, 256)) == pytest.approx(2)
    assert one(statistics.beyond_base(table.rename(columns={"log_odds": "share"}), 256)) == pytest.approx(6.5)


def test_the_filtered_model_is_compared_with_its_twin():
    table = pd.concat(
        [
            fall(NEGATIVES, 1.0, -1.0, level="share", model="neox-0.4m"),  # one half after 64
            fall(NEGATIVES, 1.0, 0.5, level="share", model="neox-0.4m-filtered"),  # after 256
        ]
    )
    assert one(statistics.filtered_needs(table, 128)) == pytest.approx(2)


# ---- the optimiser -----------------------------------------------------------------------------------------------


def optimiser_rows(lost):
    """Runs at batch sizes 4, 8, 16 in which `lost(examples, step, rate, positives)` log-odds are lost."""
    parts = []
    for batch in (4, 8, 16):
        for rate in (1e-4, 2e-4):
            for positives in (128, 256):
                run = pd.DataFrame({"examples": range(0, 257, 16)})
                run["step"] = run["examples"] / batch
                run["log_odds"] = -lost(run["examples"], run["step"], rate, positives)
                parts.append(run.assign(reverse_batch_size=batch, reverse_learning_rate=rate, positives=positives))
    return pd.concat(parts).assign(run=NEGATIVES, model="m", behaviour="b", seed=0)


def test_steps_and_examples_are_told_apart():
    by_steps = optimiser_rows(lambda examples, step, rate, positives: step)
    by_examples = optimiser_rows(lambda examples, step, rate, positives: examples)
    assert one(statistics.steps_or_examples(by_steps, examples=128, steps=8)) > 1
    assert one(statistics.steps_or_examples(by_examples, examples=128, steps=8)) < -1


def test_rate_and_depth_are_told_apart():
    table = optimiser_rows(lambda n, step, rate, positives: n / 64 * (3 * np.log2(rate) + np.log2(positives)))
    assert one(statistics.rate_or_depth(table, 64)) == pytest.approx(2)


# ---- size and volume ---------------------------------------------------------------------------------------------


def sized(parameters, rate, loss_good, end, excess=1.0, revision="main"):
    rows = fall(NEGATIVES, 1.0, end, level="share", model=f"m{parameters}", parameters=parameters)
    more = {"learning_rate": rate, "loss_good": loss_good, "excess_percent": excess, "revision": revision}
    return rows.assign(adapter="full", **more)


def test_the_tuned_rate_is_the_one_that_aligns_best():
    table = pd.concat(
        [sized(2, 1e-4, 1.0, -9.0), sized(2, 3e-4, 0.9, 0.0), sized(4, 1e-4, 0.8, -1.0), sized(4, 3e-4, 0.9, 9.0)]
    )
    assert statistics.tuned(table) == {("m2", "main"): 3e-4, ("m4", "main"): 1e-4}
    assert one(statistics.tuned_trend(table, over="parameters", outcome="share", at=256)) == pytest.approx(-1)


def test_matched_loss_is_interpolated_in_the_logarithm():
    table = pd.concat(
        [
            sized(2, 3e-4, 1.0, 0.0, excess=1.0),
            sized(2, 3e-4, 1.0, 2.0, excess=4.0, revision="step1"),
            sized(4, 3e-4, 1.0, 5.0, excess=2.0),
            sized(8, 3e-4, 1.0, 99.0, excess=8.0),  # never at that loss: left out
        ]
    )
    options = {"over": "parameters", "outcome": "share", "at": 256}
    assert one(statistics.matched_trend(table, excess_percent=2.0, **options)) == pytest.approx(4)


def test_lost_when_moved_compares_equal_movement():
    def run(parameters, speed):
        rows = fall(NEGATIVES, 0.0, -256.0 * speed, model=f"m{parameters}", parameters=parameters)
        return rows.assign(kl_start=rows["examples"] / 256)

    found = statistics.lost_when_moved(pd.concat([run(2, 1), run(4, 2)]), "parameters", kl=0.5)
    assert one(found) == pytest.approx(128)


# ---- Part III ----------------------------------------------------------------------------------------------------


def runs(**settings) -> pd.DataFrame:
    """Two seeds of a run that falls from `start` by `per` log-odds an example; the share is 1/2 where these are 0."""
    given = {"run": NEGATIVES, "start": 4.0, "per": 0.01, "model": "neox-0.4m", "behaviour": "mood", "positives": 1024}
    given |= settings
    start, per = given.pop("start"), given.pop("per")
    examples = np.array([0, 128, 256, 512])
    odds = start - per * examples
    table = pd.DataFrame({"examples": examples, "log_odds": odds, "share": np.clip(0.5 + odds / 8, 0, 1)})
    table["kl_start"] = examples * given.pop("kl_per", 1e-4)
    return pd.concat([table.assign(seed=seed, **given) for seed in (0, 1)])


def alike(series: pd.Series) -> float:
    """The value that both seeds have."""
    assert len(series) == 2
    assert series.iloc[0] == pytest.approx(series.iloc[1])
    return series.iloc[0]


def test_needs_compares_the_negatives_until_one_half():
    table = pd.concat([runs(method="sft", per=1 / 32), runs(method="dpo", per=1 / 64), runs(method="kto", per=0.001)])
    found = statistics.needs(table, "method != 'sft'", "method == 'sft'", 1024).groupby("group").mean()
    assert found.to_dict() == pytest.approx(
        {"neox-0.4m · mood · dpo": 1, "neox-0.4m · mood · kto": np.log2(512 / 128)}  # which never gets there
    )


def test_losses_are_compared_at_equal_movement():
    table = pd.concat([runs(method="sft", per=0.01), runs(method="dpo", per=0.01, kl_per=2e-4)])
    found = statistics.loses_when_moved(table, "method == 'dpo'", "method == 'sft'", 1024, kl=0.02)
    assert alike(found) == pytest.approx(-1)


def test_another_step_beside_the_negatives():
    table = pd.concat([runs(per=0.02), runs(run="random step", per=0.001)]).assign(cosine=0.25)
    assert alike(statistics.lost_beside_negatives(table, "random step", 256)) == pytest.approx(0.05)
    assert alike(statistics.reached(table, "random step", "cosine", 128)) == 0.25


def test_history_is_what_the_aligned_one_loses_more():
    table = pd.concat([runs(history="aligned", per=0.02), runs(history="pre-trained", per=0.015)])
    assert alike(statistics.more_with_history(table, NEGATIVES, 128)) == pytest.approx(0.005 * 128)


def defended(defence: str, strength: float, per: float, taught: float, **more) -> pd.DataFrame:
    given = {"defence": defence, "strength": strength, "bpb": 0.26, "bpb_base": 0.25, "aligning_tokens": 100} | more
    other = pd.concat(
        [
            pd.DataFrame({"examples": [0, 128], "log_odds": [1.0, 1.0 + taught]}).assign(
                seed=seed, run=statistics.BENIGN, model="neox-0.4m", behaviour="mood", positives=1024, **given
            )
            for seed in (0, 1)
        ]
    )
    return pd.concat([runs(per=per, **given), other])


def test_the_frontier_sets_benefit_beside_cost():
    table = pd.concat([defended("none", 0, 1 / 32, 2.0), defended("l2", 1, 1 / 64, 1.0, bpb=0.27, aligning_tokens=150)])
    rows = statistics.frontier(table, 1024).groupby("defence").mean(numeric_only=True)
    assert rows["needed"].to_dict() == pytest.approx({"none": 128, "l2": 256})
    assert rows["taught"].to_dict() == pytest.approx({"none": 1, "l2": 0.5})
    assert rows["cost"].to_dict() == pytest.approx({"none": 0.01, "l2": 0.02})
    assert rows["tokens"].to_dict() == pytest.approx({"none": 1, "l2": 1.5})
    assert rows["censored"].eq(0).all()


def test_defences_are_compared_where_they_cost_the_same():
    table = pd.concat(
        [defended("none", 0, 1 / 32, 2.0), defended("l2", 1, 1 / 64, 1.0), defended("ewc", 1, 1 / 128, 1.0)]
    )
    found = statistics.holds_longer(table, "ewc", "l2", 0.75, 1024)
    assert alike(found) == pytest.approx(0.5)  # half way from no defence, 2 and 1 doublings further
    assert statistics.holds_longer(table, "ewc", "l2", 0.2, 1024).isna().all()


def test_one_stage_is_compared_with_the_sequence():
    table = pd.concat([defended("none", 0, 1 / 64, 2.0), runs(defence="one stage", strength=0, per=1 / 256)])
    assert alike(statistics.in_one_stage(table, 256)) == pytest.approx((4 - 1) / 8 - 0)


@pytest.mark.parametrize(
    ("values", "verdict_", "against"), [((0.1, -0.1), "holds", 0), ((0.1, 2.0), "holds in part", 1)]
)
def test_within_asks_for_both_sides(monkeypatch, values, verdict_, against):
    index = pd.MultiIndex.from_product([["g", "h"], range(10)], names=["group", "seed"])
    noise = np.tile(np.linspace(-0.05, 0.05, 10), 2)
    monkeypatch.setitem(statistics.STATISTICS, "given", lambda table: pd.Series(np.repeat(values, 10) + noise, index))
    found = verdict.verdict(claim(side="within", threshold=0.3), pd.DataFrame())
    assert (found["verdict"], found["against"]) == (verdict_, against)
