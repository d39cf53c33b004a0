"""Checks of the chapter: Full, LoRA, QLoRA."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from helpers.exercises.checking import NotYet, call, close, exercise, listed


@exercise("adapters.lora_weights")
def _lora_weights(function: Any) -> str:
    found = call(function, [(64, 256)], 8)
    if close(found, 64 * 256):
        raise NotYet("Those are the weights of the layer itself, which are frozen.")
    if close(found, 8 * 64 * 256):
        raise NotYet("The product BA has as many entries as the layer; but A and B are trained, not their product.")
    if close(found, 64 * 256 + 8 * (64 + 256)):
        raise NotYet("The layer's own weights are frozen: leave them out, and count those of A and B alone.")
    if not close(found, 8 * (64 + 256)):
        raise NotYet("A is 8 times 64, B is 256 times 8. Count the entries of both.")
    if not close(call(function, [(64, 256), (256, 64)], 1), 640):
        raise NotYet("Right for one layer. Add up all of them.")
    return "It grows with the sum of a layer's sides, where the layer grows with their product: that is the saving."


@exercise("adapters.bits_per_weight")
def _bits_per_weight(function: Any) -> str:
    found = call(function, 64, 256)
    if close(found, 4.5):
        raise NotYet(
            "That is NF4 with a 32-bit scale for each block. Here the scales have 8 bits, and scales of their own."
        )
    if math.isclose(found, 4.125, rel_tol=1e-5):
        raise NotYet("The 8-bit scales are there; the scales of the scales are missing.")
    if math.isclose(found, 4 + 8 / 64 + 32 / 256, rel_tol=1e-5):
        raise NotYet("A group is counted in scales, not in weights: how many weights are 256 scales?")
    if not math.isclose(found, 4 + 8 / 64 + 32 / (64 * 256), rel_tol=1e-5):
        raise NotYet("4 bits, an 8-bit scale shared by 64 weights, and a 32-bit one shared by 64 times 256.")
    if not math.isclose(call(function, 128, 16), 4 + 8 / 128 + 32 / (128 * 16), rel_tol=1e-5):
        raise NotYet("Right for blocks of 64 and groups of 256, not for others.")
    return "Double quantisation saves 0.37 bits a weight here: 8 GB become 7.3 for a model of 16 billion weights."


@exercise("adapters.quantise")
def _quantise(function: Any) -> str:
    levels = [-1.0, -0.5, 0.0, 0.5, 1.0]
    found = listed(function, [2.0, 0.9, -0.4], levels, length=3)
    if np.allclose(found, [1.0, 0.5, 0.0]):
        raise NotYet("Those are the levels. Give back weights: multiply by the absmax again.")
    if np.allclose(found, [1.0, 1.0, -0.5]):
        raise NotYet("Divide by the block's largest absolute value first; the levels reach from -1 to 1.")
    if not np.allclose(found, [2.0, 1.0, 0.0]):
        raise NotYet("The absmax is 2, so the block is 1, 0.45, -0.2; the nearest levels are 1, 0.5 and 0.")
    if not np.allclose(listed(function, [-4.0, 1.2], levels, length=2), [-4.0, 2.0]):
        raise NotYet("The largest *absolute* value is meant: here 4, of the first weight.")
    zeros = listed(function, [0.0, 0.0], levels, length=2, about="A block of zeros has the absmax 0.")
    if not np.allclose(zeros, [0.0, 0.0]):
        raise NotYet("A block of zeros stays zero: take care not to divide by its absmax.")
    others = listed(function, [1.0, 0.25, -0.15, 0.7], [-1.0, -0.2, 0.0, 0.3, 1.0], length=4, about="Other levels.")
    if not np.allclose(others, [1.0, 0.3, -0.2, 1.0]):
        raise NotYet(
            "Right for levels half a unit apart. Use the levels that are given: of these, 0.3 is nearest to 0.25."
        )
    outlier = listed(function, [100.0, 1.0, -1.0], levels, length=3)
    if not np.allclose(outlier, [100.0, 0.0, 0.0]):
        raise NotYet("One outlier of 100 makes all others 0.")
    return "One outlier takes all resolution from its block, and from no other. That is why blocks are kept small."


@exercise("adapters.lost_by_rank")
def _lost_by_rank(function: Any) -> str:
    matrix = np.diag([3.0, 2.0, 1.0])
    found = call(function, matrix, 1)
    if close(found, 9 / 14):
        raise NotYet("That is the share that is kept.")
    if close(found, 3 / 6):
        raise NotYet("*Squared* entries: square the singular values before adding them up.")
    if not close(found, 5 / 14):
        raise NotYet("The singular values are 3, 2, 1. Rank 1 keeps 9 of 14 and loses 5.")
    if not close(call(function, matrix, 3) + 1, 1):
        raise NotYet("At full rank nothing is left out.")
    turned = np.array([[0.6, -0.8], [0.8, 0.6]]) @ np.diag([2.0, 1.0])
    if not close(call(function, turned, 1, about="The matrix is turned."), 0.2):
        raise NotYet("Turning a matrix does not change its singular values: use them, neither entries nor eigenvalues.")
    return "It is a bound: whatever an adapter of that rank learns, it cannot come closer to the full change."
