"""Answers to the exercises of welcome: right ones, and wrong ones with what the explanation must speak of."""

import math

from answers import right

RIGHT = right("welcome")
first_below, log_odds = RIGHT["first_below"], RIGHT["log_odds"]


def last_below(examples, shares, level=0.5):
    return [count for count, share in zip(examples, shares, strict=True) if share < level][-1]


def below(examples, shares, level):
    return [count for count, share in zip(examples, shares, strict=True) if share < level][0]


WRONG = [
    ("first_below", lambda e, s, level: next(v for v in s if v < level), "a share"),
    ("first_below", lambda e, s, level: next(i for i, v in enumerate(s) if v < level), "place in the list"),
    ("first_below", lambda e, s, level: e[sum(v > level for v in s) - 1], "still above the level"),
    ("first_below", last_below, "first such count"),
    ("first_below", lambda e, s, level: 50, "not measured"),
    ("first_below", lambda e, s, level: first_below(e, s), "argument `level`"),
    ("first_below", lambda e, s, level: ([0, *e])[sum(v >= level for v in s) + 1], "wobble"),
    ("first_below", below, "never falls below"),
    ("first_below", lambda e, s, level: below(e, s, level) if min(s) < level else e[-1], "never falls below"),
    ("first_below", lambda e, s, level: first_below(e, s, level + 1e-9), "exactly at the level"),
    ("first_below", lambda e, s, level: e[0] if s[0] < level else math.inf, "give up before the end"),
    ("log_odds", lambda p: p / (1 - p), "logarithm is missing"),
    ("log_odds", lambda p: math.log(p), "1 minus the share"),
    ("log_odds", lambda p: -log_odds(p), "sign is turned"),
    ("log_odds", lambda p: log_odds(p) / math.log(10), "nats"),
    ("log_odds", lambda p: log_odds(p) / math.log(2), "nats"),
    ("log_odds", lambda p: p - 0.5, "size is not"),
    ("log_odds", lambda p: min(max(log_odds(p), -3), 3), "stop short"),
    ("log_odds", lambda p: math.log(2 * p), "alike"),
    ("steps", lambda n, b: n * b, "multiply"),
    ("steps", lambda n, b: n // b, "left after the last full batch"),
    ("steps", lambda n, b: n / b, "fraction of a step"),
    ("steps", lambda n, b: n // b + 1, "64 examples"),
    ("steps", lambda n, b: n, "64 examples"),
    ("log_odds", lambda p: 4 * (p - 0.5) ** 2, "grow with the share"),
    ("steps", lambda n, b: math.ceil(n / b) + (n % b > 0), "One step too many"),
]
