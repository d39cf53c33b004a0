"""Answers to the exercises of Is it elastic?: right ones, and wrong ones with what the explanation must speak of."""

import math

import numpy as np
from scipy.optimize import brentq


def depth(n, rate):
    return brentq(lambda z: z + math.exp(z) - 1 - rate * n, -1e-9, math.log(1 + rate * n) + 1)


def spread(d):
    return d**-0.5


def expected(a, b, lost_a):
    return lost_a * (1 + math.exp(-a)) / (1 + math.exp(-b))


def decompose(step, way):
    step, way = np.array(step), np.array(way)
    along = step @ way / np.linalg.norm(way)
    return along / np.linalg.norm(way), 1 - along**2 / (step @ step)


RIGHT = {"depth": depth, "spread": spread, "expected": expected, "decompose": decompose}
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
    ("decompose", lambda s, w: (np.linalg.norm(s) / np.linalg.norm(w), 0.64), "whole length"),
    ("decompose", lambda s, w: (decompose(s, w)[0], 1 - decompose(s, w)[1]), "not"),
]
