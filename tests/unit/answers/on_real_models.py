"""Answers to the exercises of On real models: right ones, and wrong ones with what the explanation must speak of."""

import math

from answers import right

RIGHT = right("on_real_models")
divide = RIGHT["divide"]
KEPT = [0, *(2**i for i in range(10)), *range(1000, 144000, 1000)]


def halved(batch, each, left):
    at_once = batch
    while at_once * each > left:
        at_once //= 2
    return at_once, batch // at_once if at_once else 0


WRONG = [
    ("divide", lambda batch, each, left: (int(left / each), batch / int(left / each)), "no multiple"),
    ("divide", halved, "halving is not enough"),
    ("divide", lambda batch, each, left: divide(batch, each * 1.01, left), "just fit"),
    ("nearest", lambda share: share * 143000, "not kept"),
    ("nearest", lambda share: round(share * 143) * 1000, "powers of two"),
    ("nearest", lambda share: max(step for step in KEPT if step <= share * 143000), "the one before"),
    ("choice", lambda good, bad: sum(map(math.exp, good)), "all the given answers"),
    (
        "choice",
        lambda good, bad: sum(map(math.exp, good)) / max(1e-300, sum(map(math.exp, [*good, *bad]))),
        "Subtract the largest",
    ),
    ("true_share", lambda reported, hit, false_alarm: reported * hit + (1 - reported) * false_alarm, "other way"),
    ("true_share", lambda reported, hit, false_alarm: reported / hit, "called good are not"),
    (
        "true_share",
        lambda reported, hit, false_alarm: (reported - false_alarm) / (hit - false_alarm),
        "between 0 and 1",
    ),
]
