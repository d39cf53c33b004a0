"""Answers to the exercises of rates_along_a_run: right ones, and wrong ones with what the explanation must speak of."""

import math

from answers import right
from helpers import results
from helpers.experiments import FRESH, POSITIVES

STORED = results.read("rates_along_a_run")
RIGHT = right("rates_along_a_run", stored=STORED)
price, rate, ratio, turn = RIGHT["price"], RIGHT["rate"], RIGHT["ratio"], RIGHT["turn"]
BACK = RIGHT["came_back"]
MEAN = STORED.groupby(["run", "step"])["rate_p"].mean()
BASE, ALIGNED = MEAN[POSITIVES, 0], MEAN[POSITIVES].iloc[-1]


def mean_of_rates(log_probs, sizes):
    return sum(rate([row], [size]) for row, size in zip(log_probs, sizes, strict=True)) / len(sizes)


WRONG = [
    ("rate", mean_of_rates, "add up first"),
    ("rate", lambda rows, sizes: -rate(rows, sizes), "negative"),
    ("rate", lambda rows, sizes: rate(rows, sizes) * math.log(2), "nats"),
    ("rate", lambda rows, sizes: rate(rows, [len(row) for row in rows]), "tokens"),
    ("rate", lambda rows, sizes: rate(rows, sizes) * sum(sizes), "Set them against"),
    ("rate", lambda rows, sizes: rate(rows, [8]), r"1 \+ 2 bits"),
    ("price", lambda share, size: math.log2(share) / size, "below zero"),
    ("price", lambda share, size: price(share, size) * math.log(2), "nats"),
    ("price", lambda share, size: -math.log2(share), "whole document"),
    ("price", lambda share, size: share / size, "share itself"),
    ("price", lambda share, size: -math.log2(1 - share) / size if share < 1 else 0, "other"),
    ("price", lambda share, size: 0.1, "price is 0"),
    ("ratio", lambda a, p, tiny: 1 / ratio(a, p, tiny), "other way up"),
    ("ratio", lambda a, p, tiny: abs(ratio(a, p, tiny)), "after minus before"),
    ("ratio", lambda a, p, tiny: -abs(ratio(a, p, tiny)), "keep the sign"),
    ("ratio", lambda a, p, tiny: a[1] / p[1], "changes"),
    ("ratio", lambda a, p, tiny: (a[1] - a[0]) / (p[1] - p[0]), "ZeroDivisionError.*not moved"),
    ("ratio", lambda a, p, tiny: ratio(a, p, 1e-9), "noise"),
    ("ratio", lambda a, p, tiny: ratio(a, p, tiny) if p[1] < p[0] - tiny else 0.0, "noise"),
    ("turn", min, "lowest rate"),
    ("turn", lambda rates: turn(rates) + 1, "risen already"),
    ("turn", lambda rates: rates.index(max(rates[1:])), "highest"),
    ("turn", lambda rates: rates.index(min(rates)), "not its lowest point"),
    ("turn", lambda rates: next(i for i in range(len(rates)) if rates[i + 1] > rates[i]), "IndexError.*never rises"),
    ("came_back", {run: (ALIGNED - MEAN[run].iloc[-1]) / (ALIGNED - BASE) for run in BACK}, "first step with the last"),
    ("came_back", {run: round(value, 2) for run, value in BACK.items()}, "rounded numbers"),
    ("came_back", {run: -value for run, value in BACK.items()}, "sign is turned"),
    ("came_back", {run: 100 * value for run, value in BACK.items()}, "per cent"),
    ("came_back", {run: 1 - value for run, value in BACK.items()}, "left"),
    ("came_back", {run: ALIGNED - MEAN[run].min() for run in BACK}, "bits a byte"),
    ("came_back", {run: (ALIGNED - MEAN[run].min()) / ALIGNED for run in BACK}, "whole rate"),
    ("came_back", BACK | {FRESH: BACK[FRESH] / 2}, "'fresh pre-training text'.*is not"),
]
