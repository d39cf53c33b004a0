"""Answers to the exercises of Resistance: right ones, and wrong ones with what the explanation must speak of."""

import math

import numpy as np

from answers import right
from helpers import results

RIGHT = right("resistance", stored=results.read("resistance"))
entropy, excess, raw_difference = RIGHT["entropy"], RIGHT["excess"], RIGHT["raw_difference"]


WRONG = [
    ("raw_difference", lambda f, i, later, earlier: f - i, "excess"),
    ("raw_difference", lambda f, i, later, earlier: raw_difference(i, f, earlier, later), "sign is turned"),
    ("raw_difference", lambda f, i, later, earlier: later - earlier, "entropies are equal"),
    ("excess", lambda p, q: excess(p, q) / math.log(2), "bits"),
    ("excess", lambda p, q: -float(np.sum(p * np.log(q))), "whole loss"),
    ("excess", lambda p, q: excess(q, p), "under"),
    ("excess", lambda p, q: -excess(p, q), "sign is turned"),
    ("entropy", lambda share, good, bad: entropy(share, good, bad) / math.log(2), "bits"),
    ("entropy", lambda share, good, bad: share * good + (1 - share) * bad, "even decision"),
    ("entropy", lambda share, good, bad: entropy(share, bad, good), "pole that is chosen"),
    ("entropy", lambda share, good, bad: -share * math.log(share) + good, "even decision|stopped"),
    ("agreement", {"raw": RIGHT["agreement"]["excess"], "excess": RIGHT["agreement"]["raw"]}, "exchanged"),
    ("agreement", {"raw": 1 - RIGHT["agreement"]["raw"], "excess": 0.5}, "opposite"),
    ("agreement", {"raw": 270, "excess": 100}, "between 0 and 1"),
]
