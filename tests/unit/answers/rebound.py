"""Answers to the exercises of Rebound: right ones, and wrong ones with what the explanation must speak of."""

import math

import numpy as np

from answers import right
from helpers import results

RIGHT = right("rebound", stored=results.read("rebound"))
median_needed, needed, share_lost = RIGHT["median_needed"], RIGHT["needed"], RIGHT["share_lost"]


def slopes(lost=True, log=np.log2):
    table = results.read("rebound").query("model == 'neox-1m' and behaviour == 'refusal' and run == 'negatives'")
    found = []
    for _, rows in table.groupby("seed"):
        wide = rows.pivot(index="positives", columns="examples", values="log_odds")
        found.append(np.polyfit(log(wide.index), wide[0] - wide[64] if lost else wide[64], 1)[0])
    return {"mean": float(np.mean(found)), "smallest": float(min(found))}


WRONG = [
    ("needed", lambda x, y, level: next((a for a, b in zip(x, y, strict=True) if b <= level), math.inf), "on the way"),
    ("needed", lambda x, y, level: float(np.interp(-level, [-v for v in y], x)), "below the level|first|never|is"),
    ("needed", lambda x, y, level: needed(x, [v + 1e-9 for v in y], level), "\\*is\\* 0.5"),
    ("needed", lambda x, y, level: min(needed(x, y, level), x[-1]), "nobody knows"),
    ("share_lost", lambda share, fall: share - share_lost(share, fall), "left"),
    ("share_lost", lambda share, fall: -share_lost(share, fall), "sign is turned"),
    ("share_lost", lambda share, fall: fall / 10, "log-odds are"),
    ("median_needed", lambda counts: median_needed([c for c in counts if c is not None]), "left the runs out"),
    ("median_needed", lambda counts: median_needed([c or 0 for c in counts]), "quick"),
    (
        "median_needed",
        lambda counts: float(np.median([math.inf if c is None else c for c in counts])),
        "lower of the two",
    ),
    ("slopes", {k: -v for k, v in RIGHT["slopes"].items()}, "sign is turned"),
    ("slopes", slopes(log=np.log), "another logarithm"),
    ("slopes", slopes(lost=False), "left"),
    ("slopes", {"mean": 3.0, "smallest": 4.0}, "not above"),
    ("slopes", {"mean": 3.0, "smallest": 2.0}, "Not these"),
]
