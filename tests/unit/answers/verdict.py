"""Answers to the exercises of the verdict: right ones, and wrong ones with what the explanation must speak of."""

import numpy as np

from answers import right

RIGHT = right("verdict")
groups_for, lower_end = RIGHT["groups_for"], RIGHT["lower_end"]


def by_spread(values, rng):
    """Right for the four values, and for those that lie evenly."""
    return lower_end(values, rng) if len(values) < 5 else values.mean() - 1.96 * values.std() / len(values) ** 0.5


WRONG = [
    ("groups_for", lambda intervals, side, threshold: len(intervals), "crosses it"),
    (
        "groups_for",
        lambda intervals, side, threshold: groups_for(intervals, "above", threshold),
        "claimed side is below",
    ),
    ("groups_for", lambda intervals, side, threshold: groups_for(intervals, side, 0.0), "threshold is 0.3"),
    ("lower_end", lambda values, rng: np.percentile(values, 2.5), "single values|near"),
    ("lower_end", lambda values, rng: values.mean(), "with\\* replacement"),
    ("lower_end", lambda values, rng: np.percentile(rng.choice(values, (4000, 10)).mean(axis=1), 5), "90 %"),
    ("lower_end", lambda values, rng: np.percentile(rng.choice(values, (4000, 10)).mean(axis=1), 97.5), "upper end"),
    ("lower_end", lambda values, rng: np.percentile(rng.choice(values, (4000, 10)).mean(axis=1), 0.025), "per cent"),
    (
        "lower_end",
        lambda values, rng: np.percentile(rng.choice(values, (4000, len(values) - 1)).mean(axis=1), 2.5),
        "four|near",
    ),
    ("lower_end", lambda values, rng: lower_end(values, np.random.default_rng()), "with `rng`"),
    ("lower_end", by_spread, "not mean and spread"),
    ("in_part", lambda groups, miss: 1 - (1 - miss) ** groups, "both sides"),
    ("in_part", lambda groups, miss: groups * miss / 2, "add the probabilities"),
    ("in_part", lambda groups, miss: 1 - 0.975**groups, "itself"),
    ("by_chance", {"pairs are independent": 0.5**26, "rows are independent": 0.5**9}, "whichever"),
    ("by_chance", {"pairs are independent": 0.5**27, "rows are independent": 0.5**3}, "How many rows"),
]
