"""Checks of the chapter: Theorem and practice."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.exercises.checking import NotYet, call, close, exercise, numbers


@exercise("theorem_and_practice.replayed")
def _replayed(function: Any) -> str:
    nine = call(function, 9, 100, 10_000)
    if close(nine, 90):
        raise NotYet("You give the share in per cent, or take it of the alignment documents. The share is of *both*.")
    if close(nine, 1000):
        raise NotYet("You count all documents. Of these the alignment's own 100 are not replayed.")
    if close(nine, 9 / 10) or close(nine, 1 - 9 / 10):
        raise NotYet("You give a share of one. How many *documents* is that, beside 100 of the alignment?")
    if close(nine, 90_000):
        raise NotYet("You multiply k by the size of the pre-training set. The theorem's k no longer enters here.")
    if not close(nine, 900):
        raise NotYet("A share of 0.9 makes k = 9: of 1000 documents 900 are replayed and 100 aligned. Yours differs.")
    if not close(call(function, 1, 64, 10_000), 64):
        raise NotYet("For k = 1 as many documents are replayed as are aligned. Yours are not.")
    about = "The pre-training set is a thousand times as large now, and nothing else has changed."
    if not close(call(function, 9, 100, 10_000_000, about=about), 900):
        raise NotYet(f"{about} Yours changes with it. Look at the objective: how often does its size occur in it?")
    if not close(call(function, 0, 100, 10_000), 0):
        raise NotYet("For k = 0 nothing is replayed.")
    return (
        "This is the whole of the proposition in documents: beside each aligned document, k replayed ones. A billion "
        "documents of pre-training text do not stiffen the spring by themselves; those that are replayed do."
    )


@exercise("theorem_and_practice.ratio")
def _ratio(function: Any) -> str:
    on_p, on_a, pull = [1.0, 0.0], [-2.0, 1.0], [0.5, 0.25]
    value = call(function, on_p, on_a, pull)
    if close(value, -1 / 1.5):
        raise NotYet("Upside down: the change of the *alignment* loss stands above, that of pre-training below.")
    if close(value, 1.5):
        raise NotYet("The sign is lost. One loss falls while the other rises here, so the ratio is negative.")
    if close(value, 5**0.5) or close(value, -(5**0.5)):
        raise NotYet("You compare the lengths of the gradients. What counts is their part along the step.")
    if not close(value, -1.5):
        raise NotYet(
            "To first order a step d changes a loss by the dot product of its gradient with d. Here these are -0.75 "
            "and 0.5."
        )
    if not close(
        call(function, on_p, on_a, [-5.0, -2.5], about="The step is turned round and ten times as long."), -1.5
    ):
        raise NotYet(
            "A step ten times as long, the other way, changes both losses alike: the ratio stays. Not with you."
        )
    about = "These two gradients balance at k = 4: on_a = -4 on_p."
    generator = np.random.Generator(np.random.PCG64(0))
    for _ in range(3):
        step = generator.normal(size=3).tolist()
        if not close(call(function, [1.0, -2.0, 0.5], [-4.0, 8.0, -2.0], step, about=about), -4):
            raise NotYet(f"{about} Then every direction gives -4, and yours does not.")
    return (
        "Where the two gradients are opposite, every direction gives the same ratio; elsewhere each direction has one "
        "of its own. That is why the theorem needs a stationary point, and why it then needs nothing else."
    )


@exercise("theorem_and_practice.bound")
def _bound(function: Any) -> str:
    on_p, on_a, step = np.array([1.0, 0.0]), np.array([-3.0, 0.75]), np.array([1.0, 0.5])
    value = call(function, on_p.tolist(), on_a.tolist(), step.tolist(), 0.5)
    gradient = 0.5 * on_p + 0.5 * on_a
    right = np.linalg.norm(gradient) * np.linalg.norm(step) / (0.5 * abs(on_p @ step))
    if close(value, abs(on_a @ step / (on_p @ step) + 1)):
        raise NotYet(
            "That is the deviation of this one direction. The bound uses the *norm* of g, not its dot product."
        )
    if close(value, (np.abs(gradient) @ np.abs(step)) / (0.5 * abs(on_p @ step))):
        raise NotYet(
            "A true bound, and tighter than asked. Use only the *lengths* of g and of the step, as the book does."
        )
    if close(value, right / 2):
        raise NotYet("The factor 1 - replay is missing below: the objective holds L_a with that weight only.")
    if close(value, right / np.linalg.norm(step)):
        raise NotYet("By Cauchy and Schwarz the dot product of g and the step is at most *both* norms multiplied.")
    if not close(value, right):
        raise NotYet(
            "Write g for the objective's gradient. The deviation is g · step over (1 - replay) times on_p · step; "
            "bound the upper part by norms, and take the size of the lower part."
        )
    about = "Here the gradients balance: the objective's gradient is 0."
    if not close(call(function, [1.0, 2.0], [-3.0, -6.0], [0.3, 0.1], 0.75, about=about), 0):
        raise NotYet(f"{about} So must be the bound.")
    generator = np.random.Generator(np.random.PCG64(1))
    for _ in range(20):
        on_p, on_a, step = generator.normal(size=(3, 4))
        share = float(generator.uniform(0, 0.9))
        deviation = abs(on_a @ step / (on_p @ step) + share / (1 - share))
        bound = call(function, on_p.tolist(), on_a.tolist(), step.tolist(), share)
        if bound < 0:
            raise NotYet("For some gradients your bound is negative: take the *size* of the dot product below.")
        if bound < deviation * (1 - 1e-9):
            raise NotYet("For some random gradients the true deviation is larger than your bound.")
    return (
        "So anybody can certify a ratio from three gradients, without trust in the optimiser. The bound also says why "
        "large k is hard: the gradient of L_p at the optimum is of order 1/k, and g must be small against *that*."
    )


@exercise("theorem_and_practice.measured")
def _measured(answer: Any) -> str:
    shares = (0.3, 0.6)
    values = numbers(answer, shares, "ratios")
    for share in shares:
        if close(values[share], share / (1 - share)):
            raise NotYet(f"The sign of the ratio at {share} is lost: one loss rises while the other falls.")
        if close(values[share], -(1 - share) / share):
            raise NotYet(
                f"At {share} you have the reciprocal. Either the change on D_p stands above that on D_a, or the two "
                "shares in `train` are exchanged."
            )
    if close(values[0.3], -0.6 / 0.4) and close(values[0.6], -0.3 / 0.7):
        raise NotYet("The two are exchanged: the larger share of replay gives the larger ratio.")
    for share in shares:
        if abs(values[share]) < 0.01:
            raise NotYet(f"At {share} the ratio is about 0, as without replay. Was the share of D_p 0 in `train`?")
        if abs(values[share] / (-share / (1 - share)) - 1) > 0.05:
            raise NotYet(
                f"At {share} you have {values[share]:.3g}, more than 5 % off. Is the step of the pull small enough, "
                "and did the training run until the gradient norm stopped falling?"
            )
    if all(abs(values[share] / (-share / (1 - share)) - 1) < 1e-12 for share in shares):
        raise NotYet(
            "These are the predictions, to the last digit. A measured ratio differs from them a little: train, pull, "
            "and look."
        )
    return (
        "Two more points on the curve. The proposition fixes them before anything is trained, from "
        "the share alone: no size, no learning rate and no number of steps enters."
    )
