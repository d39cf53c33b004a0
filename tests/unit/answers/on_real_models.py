"""Answers to the exercises of On real models: right ones, and wrong ones with what the explanation must speak of."""

import math


def divide(batch, each, left):
    at_once = max((n for n in range(1, batch + 1) if batch % n == 0 and n * each <= left), default=0)
    return at_once, batch // at_once if at_once else 0


def nearest(share):
    kept = [0, *(2**k for k in range(10)), *range(1000, 143001, 1000)]
    return min(kept, key=lambda step: abs(step - share * 143000))


def choice(good, bad):
    top = max(*good, *bad)
    right, wrong = (sum(math.exp(value - top) for value in side) for side in (good, bad))
    return right / (right + wrong)


def true_share(reported, hit, false_alarm):
    return min(1.0, max(0.0, (reported - false_alarm) / (hit - false_alarm)))


def halved(batch, each, left):
    at_once = batch
    while at_once * each > left:
        at_once //= 2
    return at_once, batch // at_once if at_once else 0


def not_kept_inside(reported, hit, false_alarm):
    return (reported - false_alarm) / (hit - false_alarm)


RIGHT = {"divide": divide, "nearest": nearest, "choice": choice, "true_share": true_share}
WRONG = [
    ("divide", lambda batch, each, left: (int(left / each), batch / int(left / each)), "no multiple"),
    ("divide", halved, "halving is not enough"),
    ("divide", lambda batch, each, left: divide(batch, each * 1.01, left), "just fit"),
    ("nearest", lambda share: share * 143000, "not kept"),
    ("nearest", lambda share: round(share * 143) * 1000, "powers of two"),
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
