"""The claims of data/claims.yaml, decided by the stored sweeps.

A statistic is a function of a stored table (and the claim's arguments) that gives one value for each group and seed: a
Series indexed by (group, seed). Which groups' intervals lie on the claim's side of its threshold is its verdict.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.experiments import FORWARD, FRESH, FROM_BASE, INVERSE, NEGATIVES, UNRELATED, bootstrap_interval
from helpers.models import verify
from helpers.results import path, read

HOLDS, IN_PART, NOT_SEEN = "holds", "holds in part", "not seen"
UNTESTABLE, PENDING = "not testable here", "not run yet"


def claims(root: Path | None = None) -> dict[str, dict]:
    """The claims by their id, in the order of the file (see its head for the meaning of each key)."""
    import yaml

    return {claim["id"]: claim for claim in yaml.safe_load(verify("claims.yaml", root).read_text())}


def values(claim: dict, table: pd.DataFrame | None = None) -> pd.Series:
    """The claim's statistic: one value a group and seed.

    Args:
        table: the experiment's rows; by default as stored.

    Raises:
        ValueError: the claim cannot be tested here, or names a statistic that is not in `STATISTICS`.
    """
    if "untestable" in claim:
        raise ValueError(f"Claim {claim['id']!r} cannot be tested here: {claim['untestable']}.")
    if claim["statistic"] not in STATISTICS:
        raise ValueError(
            f"Claim {claim['id']!r} names the statistic {claim['statistic']!r}: choose from {', '.join(STATISTICS)}."
        )
    table = read(claim["experiment"]) if table is None else table
    return STATISTICS[claim["statistic"]](table, **claim["arguments"]).dropna()


def effects(claim: dict, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Effect of each group and, first, over all: columns mean, low, high (95 % bootstrap interval over seeds), seeds.

    Over all, a seed's value is its mean over the groups. (That is of interest, but the groups decide.)
    """
    found = values(claim, table)
    parts = {"all": found.groupby("seed").mean(), **{group: rows for group, rows in found.groupby("group")}}
    rows = {group: (part.mean(), *bootstrap_interval(part.to_numpy()), len(part)) for group, part in parts.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high", "seeds"])


def verdict(claim: dict, table: pd.DataFrame | None = None) -> dict:
    """The claim decided: verdict, groups for, against and in all, and the effect over all (mean, low, high, seeds).

    Of a claim that cannot be tested, or whose experiment is not stored yet, the verdict alone.
    """
    if "untestable" in claim:
        return {"verdict": UNTESTABLE}
    if table is None and not path(claim["experiment"]).exists():
        return {"verdict": PENDING}
    table = effects(claim, table)
    groups = table.drop("all")
    above, below = (groups["low"] > claim["threshold"]).sum(), (groups["high"] < claim["threshold"]).sum()
    support, against = (above, below) if claim["side"] == "above" else (below, above)
    word = HOLDS if support == len(groups) else IN_PART if support else NOT_SEEN
    counts = {"for": int(support), "against": int(against), "groups": len(groups)}
    return {"verdict": word, **counts, **table.loc["all"].to_dict()}


def report(chapter: str | None = None, root: Path | None = None) -> pd.DataFrame:
    """The claims, or those of one chapter, with what was found; one row a claim, decided by the stored sweeps.

    Columns: claim, of, source, published (the paper's number), effect (mean over all groups, its 95 % interval and
    unit), seeds, groups (for, against and in all), verdict, chapter; indexed by the claim's id.
    """
    rows = {}
    for name, claim in claims(root).items():
        if chapter in (None, claim["chapter"]):
            found = verdict(claim)
            rows[name] = {key: claim.get(key, "") for key in ("claim", "of", "source", "published")}
            rows[name] |= {"effect": claim.get("untestable", ""), "seeds": "", "groups": ""}
            if "mean" in found:
                rows[name]["effect"] = "{mean:.3g} [{low:.3g}, {high:.3g}] ".format(**found) + claim["unit"]
                rows[name]["seeds"] = str(int(found["seeds"]))
                rows[name]["groups"] = "{for} for, {against} against, of {groups}".format(**found)
            rows[name] |= {"verdict": found["verdict"], "chapter": claim["chapter"]}
    return pd.DataFrame.from_dict(rows, orient="index")


def as_html(report: pd.DataFrame, links: bool = False) -> str:
    """A report as an HTML table.

    Args:
        report: of `report`, or some of its rows.
        links: make each claim that was decided a link to its chapter, which is in the same folder.
    """
    claims = report["claim"].map(html.escape)
    if links:
        decided = ~report["verdict"].isin([UNTESTABLE, PENDING])
        claims = claims.where(~decided, '<a href="' + report["chapter"] + '.html">' + claims + "</a>")
    shown = {
        "claim": claims,
        "verdict": [f"<strong>{word}</strong>" for word in report["verdict"]],
        "our effect, with its 95 % interval": report["effect"].map(html.escape),
        "groups": report["groups"],
        "the paper's number": report["published"].map(html.escape),
    }
    with pd.option_context("display.max_colwidth", None):
        return pd.DataFrame(shown).to_html(index=False, escape=False, border=0, justify="left", classes="claims")


# ---- statistics ----------------------------------------------------------------------------------------------------


def _group(table: pd.DataFrame, over: str | None = None) -> pd.Series:
    """The name of each row's group: its model and behaviour, but for what varies inside a group."""
    names = [name for name in ("model", "behaviour") if name in table and not (name == "model" and over in _OF_MODEL)]
    return table[names].astype(str).agg(" · ".join, axis=1)


_OF_MODEL = ("parameters",)


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


def crossings(table: pd.DataFrame, column: str, level: float | pd.Series | None = None) -> pd.DataFrame:
    """For every run of negatives, the number of them at which a column first comes down to a level.

    Args:
        level: a number, or None for the base model's own value.

    Returns:
        one row a run: group, seed, positives, needed (interpolated between measurements; NaN: not by the last), last
        (examples of the run), and the column at first, at the level and at last.
    """
    base = _base_level(table, column) if level is None else None
    rows = _negatives(table)
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
    """log2 of the negatives that the model without the bad pole needs to fall to one half, over the other's.

    A run that does not get there counts with all its negatives, which makes the ratio smaller than it is.
    """
    runs = crossings(table, "share", 0.5)
    runs = runs[runs["positives"] == positives].assign(needed=lambda r: np.log2(r["needed"].fillna(r["last"])))
    runs[["model", "behaviour"]] = runs["group"].str.split(" · ", expand=True)
    wide = runs.pivot_table(index=["behaviour", "seed"], columns="model", values="needed").rename_axis(
        index={"behaviour": "group"}
    )
    return wide["neox-0.4m-filtered"] - wide["neox-0.4m"]


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
            when = _first_below(run["examples"], -run["kl_start"], -kl)
            lost.append(run["log_odds"].iloc[0] - np.interp(when, run["examples"], run["log_odds"]))
        found.append((group, seed, x, np.nanmean(lost) if np.isfinite(lost).any() else np.nan))
    moved = pd.DataFrame(found, columns=["group", "seed", over, "value"]).dropna()
    return moved.groupby(["group", "seed"])[[over, "value"]].apply(lambda p: _log2_slope(p[over], p["value"]))


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
    )
}
