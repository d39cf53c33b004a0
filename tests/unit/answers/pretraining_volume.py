"""Answers to the exercises of Pre-training volume: right ones, and wrong ones with what must be explained."""

import math

import numpy as np

from answers import right

RIGHT = right("pretraining_volume")
undone = RIGHT["undone"]


WRONG = [
    ("doublings", lambda a, b: b / a, "ratio"),
    ("doublings", lambda a, b: math.log(b / a), "another base"),
    ("undone", lambda base, aligned, after: aligned - after, "lost"),
    ("undone", lambda base, aligned, after: (aligned - after) / aligned, "aligned score"),
    ("undone", lambda base, aligned, after: min(1, undone(base, aligned, after)), "below base"),
    ("undone", lambda base, aligned, after: (aligned - after) / (aligned - base) if aligned != base else 0, "nothing"),
    ("rate", lambda progress, floor: 1 - (1 - floor) * progress, "straight line"),
    ("rate", lambda progress, floor: 0.5 * (1 + math.cos(math.pi * progress)), "floor"),
    (
        "matched",
        lambda x, y, level: float(np.interp(level, np.sort(x), np.array(y)[np.argsort(x)])),
        "logarithm",
    ),
    (
        "matched",
        lambda x, y, level: float(np.interp(math.log(level), np.log(np.sort(x)), np.array(y)[np.argsort(x)])),
        "nothing is known",
    ),
]
