"""The claims of data/claims.yaml, decided by the stored sweeps.

A statistic (`helpers.statistics`) gives one value for each group and seed. Which groups' intervals lie on the claim's
side of its threshold is its verdict.
"""

from __future__ import annotations

import html
from pathlib import Path

import pandas as pd

from helpers.experiments import bootstrap_interval
from helpers.models import verify
from helpers.results import path, read
from helpers.statistics import STATISTICS

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
    support, against = _sides(groups, claim["side"], claim["threshold"])
    word = HOLDS if support == len(groups) else IN_PART if support else NOT_SEEN
    counts = {"for": int(support), "against": int(against), "groups": len(groups)}
    return {"verdict": word, **counts, **table.loc["all"].to_dict()}


def _sides(groups: pd.DataFrame, side: str, threshold: float) -> tuple[int, int]:
    """How many groups' intervals lie wholly on the claim's side, and how many wholly on the other."""
    above, below = (groups["low"] > threshold).sum(), (groups["high"] < threshold).sum()
    if side == "within":  # minus to plus the threshold
        inside = ((groups["low"] > -threshold) & (groups["high"] < threshold)).sum()
        return inside, above + (groups["high"] < -threshold).sum()
    return (above, below) if side == "above" else (below, above)


def report(chapter: str | None = None, root: Path | None = None) -> pd.DataFrame:
    """The claims, or those of one chapter, with what was found; one row a claim, decided by the stored sweeps.

    A chapter is given by its notebook's name. Columns: claim, of, source, published (the paper's number), effect (mean
    over all groups, its 95 % interval and unit), seeds, groups (for, against and in all), verdict, chapter; indexed by
    the claim's id.
    """
    rows = {}
    for name, claim in claims(root).items():
        if chapter in (None, claim["chapter"].rsplit("/", 1)[-1]):
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
        links: make each claim that was decided a link to its chapter, from a page one folder below the book's top.
    """
    claims = report["claim"].map(html.escape)
    if links:
        decided = ~report["verdict"].isin([UNTESTABLE, PENDING])
        claims = claims.where(~decided, '<a href="../' + report["chapter"] + '.html">' + claims + "</a>")
    shown = {
        "claim": claims,
        "verdict": [f"<strong>{word}</strong>" for word in report["verdict"]],
        "our effect, with its 95 % interval": report["effect"].map(html.escape),
        "groups": report["groups"],
        "the paper's number": report["published"].map(html.escape),
    }
    with pd.option_context("display.max_colwidth", None):
        return pd.DataFrame(shown).to_html(index=False, escape=False, border=0, justify="left", classes="claims")
