"""Answers to the exercises of theorem_and_practice: right ones, and wrong ones with what must be spoken of."""

import numpy as np

from answers import right

MEASURED = {0.3: -0.4286, 0.6: -1.5}
RIGHT = right("theorem_and_practice", live=("measured",)) | {"measured": MEASURED}
bound, ratio = RIGHT["bound"], RIGHT["ratio"]


def deviation(on_p, on_a, step, replay):
    return abs(ratio(on_p, on_a, step) + replay / (1 - replay))


def termwise(on_p, on_a, step, replay):
    gradient = replay * np.array(on_p) + (1 - replay) * np.array(on_a)
    return np.abs(gradient) @ np.abs(step) / ((1 - replay) * abs(np.dot(on_p, step)))


WRONG = [
    ("replayed", lambda k, a, p: a * k / (1 + k), "of \\*both\\*"),
    ("replayed", lambda k, a, p: a * (1 + k), "own 100"),
    ("replayed", lambda k, a, p: k / (1 + k), "documents"),
    ("replayed", lambda k, a, p: k * p, "no longer enters"),
    ("replayed", lambda k, a, p: k * a * p / 10_000, "nothing else has changed"),
    ("replayed", lambda k, a, p: k * a + (k == 0), "nothing is replayed"),
    ("ratio", lambda p, a, d: 1 / ratio(p, a, d), "Upside down"),
    ("ratio", lambda p, a, d: abs(ratio(p, a, d)), "sign is lost"),
    ("ratio", lambda p, a, d: -np.linalg.norm(a) / np.linalg.norm(p), "lengths"),
    ("ratio", lambda p, a, d: ratio(p, a, d) * np.linalg.norm(d) / np.linalg.norm([0.5, 0.25]), "ten times"),
    ("bound", deviation, "one direction"),
    ("bound", termwise, "tighter than asked"),
    ("bound", lambda p, a, d, r: bound(p, a, d, r) * (1 - r), "1 - replay"),
    ("bound", lambda p, a, d, r: bound(p, a, d, r) / np.linalg.norm(d), "both"),
    ("bound", lambda p, a, d, r: bound(p, a, d, r) * np.sign(np.dot(p, d)), "negative"),
    ("bound", lambda p, a, d, r: 1.0, "by norms"),
    ("measured", {0.3: -0.3 / 0.7, 0.6: -0.6 / 0.4}, "predictions"),
    ("measured", {0.3: 0.4286, 0.6: 1.5}, "sign"),
    ("measured", {0.3: -1 / 0.4286, 0.6: -1 / 1.5}, "reciprocal"),
    ("measured", {0.3: -1.5, 0.6: -0.4286}, "exchanged"),
    ("measured", {0.3: 0.0, 0.6: -1.5}, "without replay"),
    ("measured", {0.3: -0.4286, 0.6: -1.8}, "small enough"),
]
