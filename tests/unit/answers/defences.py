"""Answers to the exercises of What holds it back?: right ones, and wrong ones with what must be spoken of."""

import numpy as np

from answers import right

RIGHT = right("defences")
frontier = RIGHT["frontier"]


WRONG = [
    ("force", lambda w, a, s, f: s * f * (w - a) ** 2 / 2, "energy"),
    ("force", lambda w, a, s, f: s * f * (a - w), "other sign"),
    ("force", lambda w, a, s, f: s * (w - a), "multiplies"),
    ("force", lambda w, a, s, f: s * f * abs(w - a), "other side"),
    ("rest", lambda c, b, s: s * b / (c + s), "turned"),
    ("rest", lambda c, b, s: b, "does not get there"),
    ("fisher", lambda g: list(np.mean(np.square(g), axis=0)), "scale"),
    ("fisher", lambda g: list(np.square(np.mean(g, axis=0)) / np.square(np.mean(g, axis=0)).mean()), "Square first"),
    ("frontier", lambda points: sorted(frontier(points)), "Sort"),
    ("frontier", lambda points: [points[i] for i in frontier(points)], "positions in the list"),
    ("frontier", lambda points: frontier(points) if len(points) > 3 else [0, 1], r"\(1, 7\)"),
    ("frontier", lambda points: [0, 1, 2], "it is beaten"),
    ("frontier", lambda points: frontier(points) if len(points) > 3 else [0], r"\(1, 7\)"),
]
