"""Answers to the exercises of mixtures.ipynb."""

import math

from answers import right

RIGHT = right("mixtures")
normalised, rate, shape, slack = RIGHT["normalised"], RIGHT["rate"], RIGHT["shape"], RIGHT["slack"]


def mixed(data, other, share):
    return [share * p + (1 - share) * q for p, q in zip(data, other, strict=True)]


def cross(data, model, log=math.log2):
    return -sum(p * log(w) for p, w in zip(data, model, strict=True) if p > 0)


def _unskipped(data, other, share):
    return -sum(p * math.log2(w) for p, w in zip(data, mixed(data, other, share), strict=True))


def _logs(masses, least, log=math.log):
    return [log(m / least) for m in masses if m >= least]


WRONG = [
    ("leaf_weight", lambda w, n: sum(w) / len(w), "plain mean"),
    ("leaf_weight", lambda w, n: sum(a * b for a, b in zip(w, n, strict=True)), "forgot to divide"),
    ("leaf_weight", lambda w, n: sum(a * b for a, b in zip(w, n, strict=True)) / len(w), "share"),
    ("leaf_weight", lambda w, n: sum(w), "share"),
    ("leaf_weight", lambda w, n: max(zip(n, w, strict=True))[1], "largest data set alone"),
    ("leaf_weight", lambda w, n: sum(a * b for a, b in zip(w, n, strict=True)) / 120, "another unit"),
    ("leaf_weight", lambda w, n: sum(a * b**2 for a, b in zip(w, n, strict=True)) / sum(b**2 for b in n), "100 of 120"),
    ("rate", lambda p, q, s: -rate(p, q, s), "change the sign"),
    ("rate", lambda p, q, s: cross(mixed(p, q, s), mixed(p, q, s)), "average over `data`"),
    ("rate", lambda p, q, s: cross(p, p), "entropy of `data`"),
    ("rate", lambda p, q, s: rate(p, q, s) - cross(p, p), "only the price"),
    ("rate", lambda p, q, s: cross(p, mixed(p, q, s), math.log), "math.log2"),
    ("rate", lambda p, q, s: rate(p, q, 0.5), "share changes nothing"),
    ("rate", lambda p, q, s: rate(p, q, 1 - s), "turned round"),
    ("rate", _unskipped, "must be skipped"),
    ("rate", lambda p, q, s: 2 * rate(p, q, s), "as often as its weight"),
    ("slack", lambda p, q, s: -slack(p, q, s), "less the rate"),
    ("slack", lambda p, q, s: slack(p, q, s) * math.log(2), "in bits"),
    ("slack", lambda p, q, s: math.log2(1 / s) - rate(p, q, s), "One is missing"),
    ("slack", lambda p, q, s: 0.0, "no label is paid"),
    ("slack", lambda p, q, s: slack(p, q, 1 - s), "whole price"),
    ("slack", lambda p, q, s: slack(p, q, s) if max(p) >= 0.5 and len(p) != 6 else 3.0, "random"),
    ("normalised", lambda p, w: cross(p, w), "name a leaf"),
    ("normalised", lambda p, w: -normalised(p, w), "sign"),
    ("normalised", lambda p, w: cross(p, w) - math.log2(sum(x > 0 for x in p)), "never reach"),
    ("normalised", lambda p, w: cross(p, w) - cross(p, p), "never reach|entropy"),
    ("normalised", lambda p, w: cross(p, w, math.log) - math.log(len(w)), "math.log2"),
    ("normalised", lambda p, w: cross(p, w) - 2, "equal halves"),
    ("normalised", lambda p, w: cross(p, w) - math.log2(sum(x > 0 for x in w)), "gives nothing"),
    ("normalised", lambda p, w: cross(w, w) - math.log2(len(w)), "mean, over the data"),
    ("shape", lambda m, least: 1 / shape(m, least), "turn it round"),
    ("shape", lambda m, least: 1 + shape(m, least), "exponent of the density"),
    ("shape", lambda m, least: len(m) / sum(math.log(x / least) for x in m), "below `least`"),
    ("shape", lambda m, least: (len(_logs(m, least)) - 1) / sum(_logs(m, least)), "belongs to the tail"),
    ("shape", lambda m, least: len(_logs(m, least)) / sum(_logs(m, least, math.log2)), "natural logarithm"),
    ("shape", lambda m, least: len(_logs(m, least)) / sum(math.log(x) for x in m if x >= least), "another unit"),
    ("shape", lambda m, least: 2 * shape(m, least), "0, 1 and 3"),
]
