"""Answers to the exercises of Pre-training volume: right ones, and wrong ones with what must be explained."""

import math

import numpy as np

from answers import right

RIGHT = right("pretraining_volume")
matched, undone = RIGHT["matched"], RIGHT["undone"]


def refuses(x, y, level, refused):
    """As the right answer, but only some levels outside the range are refused."""
    return math.inf if refused else matched(x, y, min(max(level, min(x)), max(x)))


WRONG = [
    ("doublings", lambda a, b: b / a, "ratio"),
    ("doublings", lambda a, b: math.log(b / a), "another base"),
    ("undone", lambda base, aligned, after: aligned - after, "lost"),
    ("undone", lambda base, aligned, after: (aligned - after) / aligned, "aligned score"),
    ("undone", lambda base, aligned, after: (after - base) / (aligned - base), "left"),
    ("undone", lambda base, aligned, after: min(1, undone(base, aligned, after)), "below base"),
    ("undone", lambda base, aligned, after: (aligned - after) / (aligned - base) if aligned != base else 0, "nothing"),
    ("rate", lambda progress, floor: 1 - (1 - floor) * progress, "straight line"),
    ("rate", lambda progress, floor: 0.5 * (1 + math.cos(math.pi * progress)), "floor"),
    (
        "matched",
        lambda x, y, level: float(np.interp(level, np.sort(x), np.array(y)[np.argsort(x)])),
        "logarithm",
    ),
    ("matched", lambda x, y, level: float(np.interp(math.log(level), np.log(x), y)), "Sort first"),
    (
        "matched",
        lambda x, y, level: min(zip(x, y, strict=True), key=lambda p: abs(math.log(p[0] / level)))[1],
        "nearest",
    ),
    ("matched", lambda x, y, level: float(np.interp(-math.log(level), -np.log(x), y)), "any order"),
    ("matched", lambda x, y, level: refuses(x, y, level, False), "nothing is known"),
    ("matched", lambda x, y, level: refuses(x, y, level, level < min(x)), "is better than that"),
    ("matched", lambda x, y, level: refuses(x, y, level, not min(x) < level < max(x)), "its value is known"),
]
