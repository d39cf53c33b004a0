"""Answers to the exercises of the verdict: right ones, and wrong ones with what the explanation must speak of."""

import numpy as np

from answers import right

RIGHT = right("verdict")
groups_for = RIGHT["groups_for"]


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
    ("in_part", lambda groups, miss: 1 - (1 - miss) ** groups, "both sides"),
    ("in_part", lambda groups, miss: groups * miss / 2, "add the probabilities"),
    ("in_part", lambda groups, miss: 1 - 0.975**groups, "itself"),
    ("by_chance", {"pairs are independent": 0.5**26, "rows are independent": 0.5**9}, "whichever"),
    ("by_chance", {"pairs are independent": 0.5**27, "rows are independent": 0.5**3}, "How many rows"),
]
