"""Checks of the chapter: Other algorithms."""

from __future__ import annotations

import math
from typing import Any

from helpers.exercises.checking import NotYet, call, close, exercise, listed


@exercise("algorithms.dpo_loss")
def _dpo_loss(function: Any) -> str:
    if not close(call(function, -3.0, -5.0, -3.0, -5.0, 0.1), math.log(2)):
        raise NotYet("Where the model is still the reference, the bracket is zero and the loss is ln 2.")
    found = call(function, -2.0, -6.0, -3.0, -5.0, 0.5)
    if close(found, math.log1p(math.exp(1.0))):
        raise NotYet("The sign is turned: this model has moved toward the chosen one, so its loss is *below* ln 2.")
    if close(found, math.log1p(math.exp(-2.0))):
        raise NotYet("Where is beta? It multiplies the bracket.")
    if close(found, math.log1p(math.exp(-2.0)) * 0.5):
        raise NotYet("Beta stands inside the logistic function, not in front of it.")
    if not close(found, math.log1p(math.exp(-1.0))):
        raise NotYet("The bracket here is (-2 + 3) - (-6 + 5) = 2; with beta 0.5 the loss is log(1 + e^-1).")
    return (
        "DPO sees only how far the two have moved apart from where they were. That both become less likely is no loss "
        "to it, as long as the rejected one does so faster."
    )


@exercise("algorithms.advantages")
def _advantages(function: Any) -> str:
    found = listed(function, [1.0, 0.0, 0.0, 0.0], length=4)
    if close(found[0], 0.75):
        raise NotYet("That is the reward less the mean of *all*. Leave the sample itself out.")
    if not all(close(a, b) for a, b in zip(found, [1, -1 / 3, -1 / 3, -1 / 3], strict=True)):
        raise NotYet("The others of the first sample all have reward 0, so its advantage is 1 - 0.")
    if not all(close(a, b) for a, b in zip(listed(function, [1.0, 0.0], length=2), [1, -1], strict=True)):
        raise NotYet("Right for four samples, not for two: each has the other one alone to compare with.")
    if any(not close(value, 0) for value in listed(function, [0.4, 0.4, 0.4], length=3)):
        raise NotYet("Where all rewards are equal, there is nothing to prefer: all advantages are zero.")
    return (
        "Leaving oneself out makes the baseline independent of the sample, so that the gradient stays unbiased. It is "
        "the plain advantage times n / (n - 1)."
    )


@exercise("algorithms.silent")
def _silent(function: Any) -> str:
    found = call(function, 0.3, 1, 4)
    if close(found, 0.7**4):
        raise NotYet("All good is silent. All bad is silent too: there is nothing to compare it with either.")
    if close(found, 1 - 0.7**4 - 0.3**4):
        raise NotYet("That is the probability that the prompt does move the model.")
    if not close(found, 0.7**4 + 0.3**4):
        raise NotYet("One prompt, four samples: all good has probability 0.7 to the fourth, all bad 0.3 to the fourth.")
    if not close(call(function, 0.3, 2, 4), (0.7**4 + 0.3**4) ** 2):
        raise NotYet("Right for one prompt. Both of two must be silent, independently of each other.")
    if not close(call(function, 0.5, 2, 1), 1.0):
        raise NotYet("A single sample is always like itself: with one sample a prompt, every step is silent.")
    return (
        "The deeper the alignment, the more steps are silent, and the later the fall begins. Once bad samples come, "
        "each one is reinforced, and more of them come: the curve bends down by itself."
    )


@exercise("algorithms.first_step")
def _first_step(function: Any) -> str:
    if not close(call(function, 0.2, 0.01, 1.0, False), 0.002):
        raise NotYet("Plain descent: the learning rate times the gradient, 0.01 times 0.2.")
    if not close(call(function, 0.2, 0.01, 10.0, False), 0.02):
        raise NotYet("With ten times the loss, the gradient is ten times as large, and so is a plain step.")
    found = call(function, 0.2, 0.01, 10.0, True)
    if close(found, 0.1):
        raise NotYet("Adam divides by the gradient's own size. What is left of the scale?")
    if not close(found, 0.01):
        raise NotYet("Adam: g divided by its size is 1 (or -1), times the learning rate.")
    if not close(call(function, -0.2, 0.01, 1.0, True), 0.01) or not close(
        call(function, -0.2, 0.01, 1.0, False), 0.002
    ):
        raise NotYet("The size of a step is a positive number, also for a negative gradient.")
    return (
        "So at one learning rate, losses of very different scale make steps of the same size under Adam. It is a "
        "likely reason why four of the five curves on this page run side by side."
    )
