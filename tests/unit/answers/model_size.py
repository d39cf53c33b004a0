"""Answers to the exercises of Model size: right ones, and wrong ones with what the explanation must speak of."""

import math

import numpy as np

from answers import right

RIGHT = right("model_size")
lost_at, page = RIGHT["lost_at"], RIGHT["page"]


WRONG = [
    ("per_doubling", lambda x, y: float(np.polyfit(np.log(x), y, 1)[0]), "another logarithm"),
    ("per_doubling", lambda x, y: float(np.polyfit(x, y, 1)[0]), "per weight"),
    ("per_doubling", lambda x, y: (y[-1] - y[0]) / math.log2(x[-1] / x[0]), "least squares"),
    ("covered", lambda n: 1 - 0.5**n, "another"),
    ("covered", lambda n: 0.95, "name of an interval"),
    ("covered", lambda n: 0.75, "not for 1"),
    ("page", lambda rows: page([[-v for v in row] for row in rows]), "turned"),
    ("page", lambda rows: page(rows) / len(rows), "mean"),
    (
        "page",
        lambda rows: sum(
            (i + 1) * (1 + sum(v < w for r in rows for v in r)) for row in rows for i, w in enumerate(row)
        ),
        "within each row",
    ),
    ("lost_at", lambda kl, odds, level: odds[0] - lost_at(kl, odds, level), "left"),
    (
        "lost_at",
        lambda kl, odds, level: odds[0] - next((o for k, o in zip(kl, odds, strict=True) if k >= level), -math.inf),
        "measurement after",
    ),
    ("lost_at", lambda kl, odds, level: lost_at(kl, odds, level * (1 + 1e-9)), "\\*at\\* 0.01"),
    ("lost_at", lambda kl, odds, level: -lost_at(kl, odds, level), "sign is turned"),
    ("lost_at", lambda kl, odds, level: odds[0] - float(np.interp(level, kl, odds)), "never moves|first|reached"),
]
