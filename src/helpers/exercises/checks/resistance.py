"""Checks of the chapter: Resistance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from helpers import results
from helpers.exercises.checking import NotYet, call, close, exercise, numbers
from helpers.experiments import FORWARD, FROM_THE_BASE, INVERSE


@exercise("resistance.raw_difference")
def _raw_difference(function: Any) -> str:
    found = call(function, 0.01, 0.01, 0.32, 0.48, about="The excess is equal here; the later target has less entropy.")
    if close(found, 0):
        raise NotYet(
            "That is the difference of the *excess*. Table 1 shows raw losses, which have the entropy in them."
        )
    if close(found, 0.16):
        raise NotYet(
            "The sign is turned: the forward loss is taken on the later target, the inverse one on the earlier."
        )
    if not close(found, -0.16):
        raise NotYet("With equal excess the raw losses differ by the entropies: 0.32 less 0.48.")
    if not close(call(function, 0.05, 0.02, 0.4, 0.4), 0.03):
        raise NotYet("Here the entropies are equal, so the difference is that of the excess: 0.05 less 0.02.")
    return (
        "So a table of raw losses can show either sign with the very same difficulty of learning: it depends on which "
        "of the two checkpoints speaks with less entropy. In two of our "
        "three behaviours the later one does."
    )


@exercise("resistance.excess")
def _excess(function: Any) -> str:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.5, 0.25])
    right = float((p * np.log(p / q)).sum())
    found = call(function, p, q)
    if close(found, right / math.log(2)):
        raise NotYet("That is in bits. The chapter counts in nats: use the natural logarithm.")
    if close(found, -float((p * np.log(q)).sum())):
        raise NotYet("That is the model's whole loss. The author's own loss, its entropy, has to be taken off.")
    if close(found, -right):
        raise NotYet("The sign is turned: nobody predicts the author better than the author.")
    p2, q2 = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    if close(call(function, p2, q2), float((q2 * np.log(q2 / p2)).sum())):
        raise NotYet("The expectation is under the author `p`, who writes the text, not under the model `q`.")
    if not close(found, right) or not close(call(function, p2, q2), float((p2 * np.log(p2 / q2)).sum())):
        raise NotYet("Both losses are expectations under `p`: of -log q for the model, of -log p for the author.")
    if not close(call(function, p, p), 0):
        raise NotYet("A model that predicts as the author does has no excess.")
    return (
        "The excess loss is the KL divergence of the model from the author, data first. In the figure the second "
        "button shows its mean over the pass, while the model learns, and the third the divergence after the pass, "
        "exact at each position. So the two need not agree in sign."
    )


@exercise("resistance.entropy")
def _entropy(function: Any) -> str:
    coin = call(function, 0.5, 0.0, 0.0, about="Nothing but the decision is open here.")
    if close(coin, 1):
        raise NotYet("That is in bits. The chapter counts in nats: an even decision costs ln 2.")
    if not close(coin, math.log(2)):
        raise NotYet("An even decision, with nothing after it, has an entropy of ln 2, about 0.693 nats.")
    for share in (0.0, 1.0):
        if not close(
            call(function, share, 2.0, 3.0, about="A sure decision costs nothing; mind 0 log 0."), 3.0 - share
        ):
            raise NotYet("A sure decision costs nothing. What is left is the entropy of the pole that is chosen.")
    if not close(call(function, 0.8, 2.0, 3.0), 2.2 - 0.8 * math.log(0.8) - 0.2 * math.log(0.2)):
        raise NotYet("What comes after the decision counts with its probability: `share` for good, the rest for bad.")
    return (
        "A decision that is nearly sure costs nearly nothing, so alignment lowers the entropy of the answers, unless "
        "the good pole itself has more of it: for refusals the two nearly cancel. It is lowest at a sure decision, a "
        "share of 1 if `good` is the smaller of the two, else of 0; but it is not always highest at an even one."
    )


@exercise("resistance.agreement")
def _agreement(answer: Any) -> str:
    raw, excess = numbers(answer, ("raw", "excess"), "the two shares").values()
    if not (0 <= raw <= 1 and 0 <= excess <= 1):
        raise NotYet("Shares lie between 0 and 1: divide by the number of differences.")
    table = results.read("resistance")
    table = table[table["direction"] != FROM_THE_BASE]
    table = table.assign(
        low=table[["start", "target"]].min(axis=1),
        high=table[["start", "target"]].max(axis=1),
        excess=table["train_loss"] - table["entropy"],
    )
    wide = table.pivot_table(
        index=["model", "behaviour", "seed", "low", "high"],
        columns="direction",
        values=["train_loss", "entropy", "excess"],
    )
    gap = {name: np.sign(wide[name][FORWARD] - wide[name][INVERSE]) for name in ("train_loss", "entropy", "excess")}
    right = {name: float((gap[name] == gap["entropy"]).mean()) for name in ("train_loss", "excess")}
    if abs(raw - right["train_loss"]) > 0.005 or abs(excess - right["excess"]) > 0.005:
        if abs(raw - right["excess"]) < 0.005:
            raise NotYet("The two are exchanged: `raw` is about the training loss itself.")
        if abs(1 - raw - right["train_loss"]) < 0.005:
            raise NotYet("You count the differences with *opposite* signs. The question is in how many they agree.")
        raise NotYet(
            "Not these. For each model, behaviour, seed and pair take forward less inverse of the loss, of the entropy "
            "and of the excess; then compare signs. Leave out the runs from base."
        )
    return (
        f"Raw loss and entropy agree in {right['train_loss']:.0%} of all differences, excess and entropy in "
        f"{right['excess']:.0%}. Whoever knows only how sure the two authors are, knows the raw sign nearly always."
    )
