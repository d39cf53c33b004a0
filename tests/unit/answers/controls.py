"""Answers to the exercises of Is it elastic?: right ones, and wrong ones with what the explanation must speak of."""

import math

import numpy as np

from answers import right

RIGHT = right("controls")
decompose, depth, expected = RIGHT["decompose"], RIGHT["depth"], RIGHT["expected"]


WRONG = [
    ("depth", lambda n, rate: math.log(1 + rate * n), "on the left"),
    ("depth", lambda n, rate: rate * n, "full speed"),
    ("depth", lambda n, rate: depth(n, 0.05), "not for 0.5"),
    ("spread", lambda d: 1 / d, "variance"),
    ("spread", lambda d: 0.1, "not for 1"),
    ("expected", lambda a, b, lost: lost, "where a model starts"),
    ("expected", lambda a, b, lost: expected(b, a, lost), "turned"),
    ("expected", lambda a, b, lost: lost * max(1, expected(a, b, 1)), "slower"),
    ("decompose", lambda s, w: (decompose(s, w)[0] * np.linalg.norm(w), decompose(s, w)[1]), "Divide"),
    ("decompose", lambda s, w: (abs(decompose(s, w)[0]), decompose(s, w)[1]), "less than nothing"),
    ("decompose", lambda s, w: (np.linalg.norm(s) / np.linalg.norm(w), 0.64), "whole length"),
    ("decompose", lambda s, w: (decompose(s, w)[0], 1 - decompose(s, w)[1]), "not"),
]
