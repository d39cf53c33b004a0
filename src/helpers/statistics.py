"""Statistics of stored tables, one a function: each gives one value for each group and seed.

A group is a model and a behaviour, and whatever else differs among the rows that a claim is about. The values are a
Series indexed by (group, seed).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from helpers.controls import ALIGNED, PRETRAINED
from helpers.defences import BENIGN
from helpers.experiments import FORWARD, FRESH, FROM_BASE, INVERSE, NEGATIVES, UNRELATED


def _group(table: pd.DataFrame, over: str | None = None) -> pd.Series:
    """The name of each row's group: its model and behaviour, and what else differs, but for what varies in a group."""
    names = [name for name in ("model", "behaviour") if name in table and not (name == "model" and over in _OF_MODEL)]
    names += [name for name in _SETTINGS if name in table and name != over and table[name].nunique() > 1]
    return table[names].astype(str).agg(" · ".join, axis=1)


_OF_MODEL = ("parameters",)
_SETTINGS = ("method", "reverse_method")


def _by_group(table: pd.DataFrame, function: Callable[[pd.DataFrame], float], over: str | None = None) -> pd.Series:
    keys = [_group(table, over).rename("group"), table["seed"]]
    return table.groupby(keys).apply(function, include_groups=False).astype(float)


def _log2_slope(x, y) -> float:
    """Least-squares slope of y over log2(x): what a doubling of x adds."""
    x, y = np.log2(np.asarray(x, float)), np.asarray(y, float)
    if len(x) < 2 or np.ptp(x) == 0 or not np.isfinite(y).all():
        return np.nan
    return float(np.polyfit(x, y, 1)[0])


def forward_minus_inverse(table: pd.DataFrame, column: str, minus: str | None = None) -> pd.Series:
    """Forward theta_k -> D_l less inverse theta_l -> D_k, mean over the pairs k < l."""
    gaps = _pair_gaps(table, column, minus)
    return gaps.groupby(["group", "seed"]).mean()


def widening(table: pd.DataFrame, column: str) -> pd.Series:
    """Forward less inverse between the first and the last checkpoint, less its mean between neighbours."""
    gaps = _pair_gaps(table, column, None).unstack("pair")
    distance = np.array([last - first for first, last in gaps.columns])
    return gaps.loc[:, distance == distance.max()].mean(axis=1) - gaps.loc[:, distance == 1].mean(axis=1)


def _pair_gaps(table: pd.DataFrame, column: str, minus: str | None) -> pd.Series:
    value = table[column] - (table[minus] if minus else 0.0)
    table = table.assign(group=_group(table), value=value)
    table["pair"] = list(
        zip(table[["start", "target"]].min(axis=1), table[["start", "target"]].max(axis=1), strict=True)
    )
    wide = table.pivot_table(index=["group", "seed", "pair"], columns="direction", values="value")
    return (wide[FORWARD] - wide[INVERSE]).dropna()


def _negatives(table: pd.DataFrame, where: str | None = None) -> pd.DataFrame:
    table = table[table["run"] == NEGATIVES]
    return table.query(where) if where else table


def _outcome(table: pd.DataFrame, outcome: str, at: int, lost: bool) -> pd.Series:
    """The outcome after `at` negatives, or what has been lost by then; one value a run, indexed by its labels."""
    labels = [name for name in _LABELS if name in table]
    wide = table.pivot_table(index=labels, columns="examples", values=outcome, dropna=False, observed=True)
    if at not in wide:
        raise ValueError(f"at: nothing was measured at {at} examples; choose from {', '.join(map(str, wide))}.")
    value = wide[0] - wide[at] if lost else wide[at]
    return value.dropna().rename("value")


_LABELS = (
    "model",
    "revision",
    "behaviour",
    "adapter",
    "rank",
    "method",
    "reverse_method",
    "learning_rate",
    "reverse_learning_rate",
    "reverse_batch_size",
    "parameters",
    "pretraining_tokens",
    "excess_percent",
    "positives",
    "seed",
)


def trend(
    table: pd.DataFrame, over: str, outcome: str, at: int, lost: bool = False, where: str | None = None
) -> pd.Series:
    """Slope of the outcome after `at` negatives (or of what was lost by then) over log2 of a setting."""
    rows = _outcome(_negatives(table, where), outcome, at, lost).reset_index()
    return _by_group(rows, lambda part: _log2_slope(part[over], part["value"]), over)


def lost(table: pd.DataFrame, outcome: str, at: int, where: str | None = None) -> pd.Series:
    """What `at` negatives take, mean over the positives."""
    rows = _outcome(_negatives(table, where), outcome, at, True).reset_index()
    return _by_group(rows, lambda part: part["value"].mean())


def _base_level(table: pd.DataFrame, outcome: str) -> pd.Series:
    """The base model's value, indexed by (group, seed)."""
    start = table[(table["run"] == FROM_BASE) & (table["examples"] == 0)]
    return start.assign(group=_group(start)).groupby(["group", "seed"])[outcome].first()


def _first_below(examples, curve, level: float) -> float:
    """The number of examples at which a curve first comes down to a level, straight between measurements; else NaN."""
    examples, curve = np.asarray(examples, float), np.asarray(curve, float)
    below = np.flatnonzero(curve <= level)
    if not len(below):
        return np.nan
    i = below[0]
    if i == 0:
        return float(examples[0])
    share = (curve[i - 1] - level) / (curve[i - 1] - curve[i])
    return float(examples[i - 1] + share * (examples[i] - examples[i - 1]))


def crossings(
    table: pd.DataFrame, column: str, level: float | pd.Series | None = None, where: str | None = None
) -> pd.DataFrame:
    """For every run of negatives, the number of them at which a column first comes down to a level.

    Args:
        level: a number, or None for the base model's own value.
        where: a query that chooses rows.

    Returns:
        one row a run: group, seed, positives, needed (interpolated between measurements; NaN: not by the last), last
        (examples of the run), and the column at first, at the level and at last.
    """
    base = _base_level(table, column) if level is None else None
    rows = _negatives(table, where)
    found = []
    for (group, seed, positives), part in rows.assign(group=_group(rows)).groupby(["group", "seed", "positives"]):
        part = part.sort_values("examples")
        at = level if base is None else base[group, seed]
        needed = _first_below(part["examples"], part[column], at)
        ends = part[column].iloc[[0, -1]].tolist()
        found.append((group, seed, positives, needed, part["examples"].iloc[-1], ends[0], at, ends[1]))
    return pd.DataFrame(found, columns=["group", "seed", "positives", "needed", "last", "first", "level", "end"])


def slowing(table: pd.DataFrame, outcome: str) -> pd.Series:
    """log2 of the speed of decline after the base model's level is reached over that before, mean over positives.

    A speed is what is lost an example, from the start to the level and from there to the end. Runs that never reach
    the level have no value.
    """
    runs = crossings(table, outcome)
    before = (runs["first"] - runs["level"]) / runs["needed"]
    after = (runs["level"] - runs["end"]) / (runs["last"] - runs["needed"])
    runs["value"] = np.log2(after / before)
    return runs.groupby(["group", "seed"])["value"].mean()


def leverage(table: pd.DataFrame, positives: int) -> pd.Series:
    """Positives over the negatives that bring the share down to the base model's."""
    runs = crossings(table, "share")
    runs = runs[runs["positives"] == positives].assign(value=lambda r: positives / r["needed"].fillna(np.inf))
    return runs.groupby(["group", "seed"])["value"].mean()


def returned(table: pd.DataFrame, epsilon: float, positives: int) -> pd.Series:
    """1 for a run whose KL divergence from base falls under epsilon, 0 for one whose does not."""
    runs = crossings(table, "kl_base", epsilon)
    runs = runs[runs["positives"] == positives].assign(value=lambda r: r["needed"].notna().astype(float))
    return runs.groupby(["group", "seed"])["value"].mean()


def return_rank(table: pd.DataFrame, epsilon: float) -> pd.Series:
    """Spearman's rank correlation of positives with the negatives needed until KL to base is under epsilon.

    Runs that do not return (censored) share the last rank. Runs that never left count as 0.
    """
    from scipy.stats import spearmanr

    runs = crossings(table, "kl_base", epsilon)
    runs["needed"] = runs["needed"].fillna(np.inf)

    def correlation(part: pd.DataFrame) -> float:
        if part["needed"].nunique() < 2:
            return 0.0
        return float(spearmanr(part["positives"], part["needed"].rank()).statistic)

    return runs.groupby(["group", "seed"])[["positives", "needed"]].apply(correlation)


def _ends(table: pd.DataFrame, outcome: str, at: int) -> pd.DataFrame:
    """Start and value after `at` examples of each run at the most positives: columns (run, "start" or "end")."""
    table = table[(table["positives"] == table["positives"].max()) | (table["run"] == FROM_BASE)]
    table = table[table["examples"].isin([0, at])]
    table = table.assign(group=_group(table), when=np.where(table["examples"] == 0, "start", "end"))
    return table.pivot_table(index=["group", "seed"], columns=["run", "when"], values=outcome)


def lost_beside(table: pd.DataFrame, run: str, at: int) -> pd.Series:
    """Log-odds lost to another perturbation over those lost to as many negatives."""
    ends = _ends(table, "log_odds", at)
    return (ends[run]["start"] - ends[run]["end"]) / (ends[NEGATIVES]["start"] - ends[NEGATIVES]["end"])


def fresh_against_unrelated(table: pd.DataFrame, at: int) -> pd.Series:
    """Log-odds lost to fresh pre-training text less those lost to unrelated text."""
    ends = _ends(table, "log_odds", at)
    return ends[UNRELATED]["end"] - ends[FRESH]["end"]


def beyond_base(table: pd.DataFrame, at: int) -> pd.Series:
    """How far the share after `at` negatives lies below the base model's."""
    ends = _ends(table, "share", at)
    return ends[FROM_BASE]["start"] - ends[NEGATIVES]["end"]


def filtered_needs(table: pd.DataFrame, positives: int) -> pd.Series:
    """`needs` of the model without the bad pole, beside the other's."""
    return needs(table, "model == 'neox-0.4m-filtered'", "model == 'neox-0.4m'", positives)


def steps_or_examples(table: pd.DataFrame, examples: int, steps: int) -> pd.Series:
    """How much batch size matters at equal examples, less how much at equal steps (absolute slopes of log-odds lost).

    Mean over positives and learning rates.
    """
    rows = _negatives(table)
    settings = ["reverse_learning_rate", "positives"]

    def slope(part: pd.DataFrame, column: str, at: int) -> float:
        lost = [
            (batch, np.interp(at, run[column], run["log_odds"].iloc[0] - run["log_odds"]))
            for batch, run in part.sort_values("examples").groupby("reverse_batch_size")
            if run[column].iloc[-1] >= at
        ]
        return abs(_log2_slope(*zip(*lost, strict=True)))

    def difference(part: pd.DataFrame) -> float:
        each = part.groupby(settings)
        gaps = [slope(run, "examples", examples) - slope(run, "step", steps) for _, run in each]
        return float(np.nanmean(gaps))

    return _by_group(rows, difference)


def rate_or_depth(table: pd.DataFrame, at: int) -> pd.Series:
    """Slope of the log-odds lost over log2 of the reversal's learning rate, less that over log2 of the positives."""
    rows = _outcome(_negatives(table), "log_odds", at, True).reset_index()

    def difference(part: pd.DataFrame) -> float:
        def mean_slope(over: str, fixed: list[str]) -> float:
            return float(np.mean([_log2_slope(run[over], run["value"]) for _, run in part.groupby(fixed)]))

        rate = mean_slope("reverse_learning_rate", ["reverse_batch_size", "positives"])
        return rate - mean_slope("positives", ["reverse_batch_size", "reverse_learning_rate"])

    return _by_group(rows, difference)


def tuned(table: pd.DataFrame, where: str | None = None) -> dict[tuple[str, str], float]:
    """The learning rate of each (model, revision) with the lowest held-out loss on the good pole once aligned.

    Chosen after the most positives, by the mean over seeds; nothing of the rebound is looked at.
    """
    aligned = _negatives(table, where)
    aligned = aligned[(aligned["examples"] == 0) & (aligned["positives"] == aligned["positives"].max())]
    loss = aligned.groupby(["model", "revision", "learning_rate"])["loss_good"].mean()
    return {key: part.idxmin()[-1] for key, part in loss.groupby(["model", "revision"])}


def tuned_trend(table: pd.DataFrame, where: str | None = None, **options) -> pd.Series:
    """`trend` where each model and checkpoint has its own learning rate (`tuned`)."""
    best = tuned(table, where)
    chosen = [
        best.get(key[:2]) == key[2]
        for key in zip(table["model"], table["revision"], table["learning_rate"], strict=True)
    ]
    return trend(table[chosen], where=where, **options)


def matched_trend(
    table: pd.DataFrame, over: str, outcome: str, at: int, excess_percent: float, where: str | None = None
) -> pd.Series:
    """`trend` among checkpoints of equal pre-training loss, interpolated in the logarithm of the excess."""
    rows = _outcome(_negatives(table, where), outcome, at, False).reset_index()

    def at_equal_loss(part: pd.DataFrame) -> float:
        by_loss = part.groupby("excess_percent")["value"].mean().sort_index()
        if not by_loss.index[0] <= excess_percent <= by_loss.index[-1]:
            return np.nan
        return float(np.interp(np.log(excess_percent), np.log(by_loss.index), by_loss))

    rows = rows.assign(group=_group(rows, over))
    matched = rows.groupby(["group", "seed", over])[["excess_percent", "value"]].apply(at_equal_loss).dropna()
    matched = matched.rename("value").reset_index()
    return matched.groupby(["group", "seed"])[[over, "value"]].apply(lambda p: _log2_slope(p[over], p["value"]))


def lost_when_moved(table: pd.DataFrame, over: str, kl: float, where: str | None = None) -> pd.Series:
    """Slope, over log2 of a setting, of the log-odds lost when the model has moved by `kl` from the aligned one.

    Straight between measurements; mean over positives. Runs that never move so far have no value.
    """
    rows = _negatives(table, where)
    found = []
    for (group, seed, x), part in rows.assign(group=_group(rows, over)).groupby(["group", "seed", over]):
        lost = []
        for _, run in part.sort_values("examples").groupby("positives"):
            lost.append(_lost_by_then(run, kl))
        found.append((group, seed, x, np.nanmean(lost) if np.isfinite(lost).any() else np.nan))
    moved = pd.DataFrame(found, columns=["group", "seed", over, "value"]).dropna()
    return moved.groupby(["group", "seed"])[[over, "value"]].apply(lambda p: _log2_slope(p[over], p["value"]))


def _lost_by_then(run: pd.DataFrame, kl: float) -> float:
    """Log-odds lost when the model has moved by `kl` from the start; NaN if it never does."""
    when = _first_below(run["examples"], -run["kl_start"], -kl)
    return float(run["log_odds"].iloc[0] - np.interp(when, run["examples"], run["log_odds"]))


def needs(table: pd.DataFrame, where: str, instead: str, positives: int) -> pd.Series:
    """log2 of the negatives that some runs need to fall to a share of one half, over those that others need.

    A run that does not get there counts with all its negatives.

    Args:
        where: a query that chooses the runs.
        instead: a query that chooses those with which they are compared; one a behaviour and seed.
        positives: of both.
    """
    ours, theirs = _log2_needed(table, where, positives), _log2_needed(table, instead, positives)
    return _less(ours, theirs.groupby(["behaviour", "seed"]).mean())


def _log2_needed(table: pd.DataFrame, where: str, positives: int) -> pd.Series:
    """log2 of the negatives needed until the share is one half, at least one; indexed by (group, behaviour, seed)."""
    rows = _negatives(table, where)
    rows = rows[rows["positives"] == positives]
    runs = rows.assign(group=_group(rows)).sort_values("examples").groupby(["group", "behaviour", "seed"])

    def needed(run: pd.DataFrame) -> float:
        when = _first_below(run["examples"], run["share"], 0.5)
        return float(np.log2(max(1.0, run["examples"].iloc[-1] if np.isnan(when) else when)))

    return runs[["examples", "share"]].apply(needed)


def _less(ours: pd.Series, theirs: pd.Series) -> pd.Series:
    """Difference of values by (group, behaviour, seed) and by (behaviour, seed)."""
    rows = ours.rename("ours").reset_index().merge(theirs.rename("theirs").reset_index(), on=["behaviour", "seed"])
    return (rows["ours"] - rows["theirs"]).set_axis(pd.MultiIndex.from_frame(rows[["group", "seed"]]))


def loses_when_moved(table: pd.DataFrame, where: str, instead: str, positives: int, kl: float) -> pd.Series:
    """log2 of the log-odds that some runs have lost when moved by `kl` from the start, over those of others.

    Arguments as in `needs`.
    """

    def lost_by_then(query: str) -> pd.Series:
        rows = _negatives(table, query)
        rows = rows[rows["positives"] == positives]
        runs = rows.assign(group=_group(rows)).sort_values("examples").groupby(["group", "behaviour", "seed"])
        return np.log2(runs[["examples", "kl_start", "log_odds"]].apply(lambda run: _lost_by_then(run, kl)))

    return _less(lost_by_then(where), lost_by_then(instead).groupby(["behaviour", "seed"]).mean())


def reached(table: pd.DataFrame, run: str, column: str, at: int) -> pd.Series:
    """The value of a column after `at` examples of a run."""
    rows = table[(table["run"] == run) & (table["examples"] == at)]
    return rows.assign(group=_group(rows)).groupby(["group", "seed"])[column].mean()


def lost_beside_negatives(table: pd.DataFrame, run: str, at: int) -> pd.Series:
    """Log-odds lost to a run of `at` examples, or to a step of that length, over those lost to the negatives."""
    there = table[table["run"].isin([run, NEGATIVES]) & table["examples"].isin([0, at])]
    there = there.assign(group=_group(there))
    wide = there.pivot_table(index=["group", "seed"], columns=["run", "examples"], values="log_odds")
    return (wide[run, 0] - wide[run, at]) / (wide[NEGATIVES, 0] - wide[NEGATIVES, at])


def more_with_history(table: pd.DataFrame, run: str, at: int) -> pd.Series:
    """Log-odds that `at` examples take from the aligned model, less those from the one pre-trained to its score."""
    there = table[(table["run"] == run) & table["examples"].isin([0, at])]
    there = there.assign(group=_group(there))
    wide = there.pivot_table(index=["group", "seed"], columns=["history", "examples"], values="log_odds")
    return (wide[ALIGNED, 0] - wide[ALIGNED, at]) - (wide[PRETRAINED, 0] - wide[PRETRAINED, at])


def in_one_stage(table: pd.DataFrame, at: int) -> pd.Series:
    """Share left by `at` negatives that were shuffled among the positives, less that left by as many after them."""
    there = _negatives(table, f"defence in ['none', 'one stage'] and model == 'neox-0.4m' and examples == {at}")
    there = there.assign(group=_group(there))
    wide = there.pivot_table(index=["group", "seed"], columns="defence", values="share")
    return wide["one stage"] - wide["none"]


def frontier(table: pd.DataFrame, positives: int) -> pd.DataFrame:
    """What each defence gives and costs: one row a model, behaviour, defence, strength and seed.

    Columns: needed (negatives until the share is one half; all of them if it never is), censored (it never was), taught
    (log-odds gained by another behaviour under the defence, over those gained without one), cost (bits per byte lost on
    ordinary text by the time of the negatives, beside neox-0.4m as pre-trained), tokens (read for the alignment, over
    those read without a defence).
    """
    keys = ["model", "behaviour", "defence", "strength", "seed"]
    rows = table[table["positives"] == positives].sort_values("examples")
    found = []
    for key, part in rows.groupby(keys):
        run, other = part[part["run"] == NEGATIVES], part[part["run"] == BENIGN]
        when = _first_below(run["examples"], run["share"], 0.5)
        gained = other["log_odds"].iloc[-1] - other["log_odds"].iloc[0] if len(other) else np.nan
        needed = run["examples"].iloc[-1] if np.isnan(when) else when
        first = run.iloc[0]
        found.append((*key, needed, np.isnan(when), gained, first["bpb"], first["bpb_base"], first["aligning_tokens"]))
    result = pd.DataFrame(found, columns=[*keys, "needed", "censored", "taught", "bpb", "bpb_base", "tokens"])
    plain = result[(result["defence"] == "none") & (result["model"] == "neox-0.4m")].set_index(["behaviour", "seed"])
    without = plain.loc[list(zip(result["behaviour"], result["seed"], strict=True))]
    return result.assign(
        taught=result["taught"].to_numpy() / without["taught"].to_numpy(),
        cost=result["bpb"] - without["bpb_base"].to_numpy(),
        tokens=result["tokens"].to_numpy() / without["tokens"].to_numpy(),
    ).drop(columns=["bpb", "bpb_base"])


def holds_longer(table: pd.DataFrame, defence: str, than: str, taught: float, positives: int) -> pd.Series:
    """log2 of the negatives needed under one defence over those under another, where both let as much be taught.

    Between strengths (and no defence, which lets all be taught) interpolated straight in log2 of the negatives.
    """
    rows = frontier(table, positives)
    rows = rows[rows["model"] == "neox-0.4m"].assign(log2=lambda r: np.log2(r["needed"].clip(lower=1)))
    rows["group"] = rows["model"] + " · " + rows["behaviour"]

    def at_equal_cost(part: pd.DataFrame, name: str) -> float:
        known = part[part["defence"].isin([name, "none"])].sort_values("taught")
        if not known["taught"].iloc[0] <= taught <= known["taught"].iloc[-1]:
            return np.nan
        return float(np.interp(taught, known["taught"], known["log2"]))

    return rows.groupby(["group", "seed"])[["defence", "taught", "log2"]].apply(
        lambda part: at_equal_cost(part, defence) - at_equal_cost(part, than)
    )


STATISTICS: dict[str, Callable[..., pd.Series]] = {
    function.__name__: function
    for function in (
        forward_minus_inverse,
        widening,
        trend,
        lost,
        slowing,
        leverage,
        returned,
        return_rank,
        lost_beside,
        fresh_against_unrelated,
        beyond_base,
        filtered_needs,
        steps_or_examples,
        rate_or_depth,
        tuned_trend,
        matched_trend,
        lost_when_moved,
        needs,
        loses_when_moved,
        reached,
        lost_beside_negatives,
        more_with_history,
        in_one_stage,
        holds_longer,
    )
}
