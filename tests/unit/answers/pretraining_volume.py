"""Answers to the exercises of Pre-training volume: right ones, and wrong ones with what must be explained."""

import math

import numpy as np


def doublings(first, last):
    return math.log2(last / first)


def undone(base, aligned, after):
    return (aligned - after) / (aligned - base) if aligned > base else math.inf


def rate(progress, floor):
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def matched(excess, values, level):
    if not min(excess) <= level <= max(excess):
        return math.inf
    order = np.argsort(excess)
    return float(np.interp(math.log(level), np.log(excess)[order], np.array(values)[order]))


RIGHT = {"doublings": doublings, "undone": undone, "rate": rate, "matched": matched}
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
