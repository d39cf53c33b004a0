"""Checks of the chapter: Compression rates along a fine-tuning run."""

from __future__ import annotations

import math
from typing import Any

from helpers import results
from helpers.exercises.checking import NotYet, call, close, exercise, numbers
from helpers.experiments import FRESH, NEGATIVES, POSITIVES, UNRELATED


@exercise("rates_along_a_run.rate")
def _rate(function: Any) -> str:
    ln2 = math.log(2)
    short, long = [-4 * ln2], [-ln2] * 4  # 4 bits for 1 byte; 4 bits for 7 bytes
    rate = call(function, [short, long], [1, 7])
    if close(rate, -1):
        raise NotYet("The size is right and the sign is not. A log probability is negative; the bits it costs are not.")
    if close(rate, ln2):
        raise NotYet("That is the rate in nats. One bit is ln 2 nats: divide by it.")
    if close(rate, (4 / 1 + 4 / 7) / 2):
        raise NotYet(
            "You take each document's rate, and then their mean. So one short, surprising document counts as much as a "
            "long one. A file has all bits of the data set in it and all its bytes: add up first, divide once."
        )
    if close(rate, 8 / 5):
        raise NotYet("You divide by the number of tokens. The unit is bits a *byte*: use `sizes`.")
    if close(rate, 8):
        raise NotYet("That many bits the two documents need. Set them against the bytes that they have.")
    if not close(rate, 1):
        raise NotYet("Both documents cost 4 bits, and they have 1 and 7 bytes: 8 bits for 8 bytes.")
    if not close(call(function, [[math.log(0.5), math.log(0.25)]], [6]), 0.5):
        raise NotYet("One document with tokens of probability 1/2 and 1/4 needs 1 + 2 bits; yours does not.")
    about = "A token that was certain costs nothing."
    if not close(call(function, [[0.0, -ln2], [-ln2]], [2, 3], about=about), 0.4):
        raise NotYet(about)
    return (
        "All bits over all bytes: the size of the compressed file by the size of the plain one. It is why the parts of "
        "pre-training text may be weighed as they are in this chapter, and why a mean of rates would not do."
    )


@exercise("rates_along_a_run.price")
def _price(function: Any) -> str:
    about = "One text in eight is of this kind, and it has 30 bytes."
    price = call(function, 1 / 8, 30, about=about)
    if close(price, -0.1):
        raise NotYet("A price below zero would mean that ignorance saves bits. Mind the sign of the logarithm.")
    if close(price, math.log(8) / 30):
        raise NotYet("That is the price in nats. Bits need the logarithm to base 2.")
    if close(price, 3):
        raise NotYet("That is the price of a whole document. The chapter's unit is bits a byte.")
    if close(price, 7 / 8 / 30) or close(price, 1 / 8 / 30):
        raise NotYet("You use the share itself. What counts is the code length that goes with it: -log2 of the share.")
    if close(price, -math.log2(7 / 8) / 30):
        raise NotYet("You price the *other* kinds of text, whose share is 1 minus this one.")
    if not close(price, 0.1):
        raise NotYet(
            "The mixture gives this text its share times what its own source gives. Write both code lengths as -log2 "
            "and subtract: what is left is one term, over `size` bytes."
        )
    if not close(call(function, 1.0, 30, about="All texts are of this kind: nothing is left to be said."), 0):
        raise NotYet("If all texts are of one kind, nobody needs to be told which comes: the price is 0.")
    return (
        "So a perfect model of the mixture still pays this much on every review that it could not see coming. With the "
        "share 0.07 and reviews of 196 bytes it comes within three per cent of the base model's measured excess."
    )


@exercise("rates_along_a_run.ratio")
def _ratio(function: Any) -> str:
    ratio = call(function, (0.25, 0.26), (0.24, 0.235), 0.0001)
    if close(ratio, -0.5):
        raise NotYet("You divide the change on D_p by the change on D_a. The theorem's ratio is the other way up.")
    if close(ratio, 2):
        raise NotYet("The size is right. One rate rose and one fell: is your difference after minus before for both?")
    if close(ratio, 0.26 / 0.235) or close(ratio, 0.25 / 0.24):
        raise NotYet("You divide the rates themselves. The theorem speaks of their *changes*.")
    if not close(ratio, -2):
        raise NotYet(
            "The rate on D_a rose by 0.010 and that on D_p fell by 0.005. That is more than `tiny`: compare the "
            "size of the change, without its sign."
        )
    if not close(call(function, (0.26, 0.25), (0.240, 0.235), 0.0001, about="Both rates fall here."), 2):
        raise NotYet("When both rates fall, the ratio is positive. That is the very thing to look for: keep the sign.")
    about = "Here the rate on D_p has not moved by as much as `tiny`."
    for after in (0.24, 0.24004, 0.23996):
        if call(function, (0.25, 0.26), (0.24, after), 0.0001, about=about) != math.inf:
            raise NotYet(f"{about} A ratio over almost nothing is noise, however large: give `math.inf`.")
    return (
        "A ratio whose denominator goes through zero takes every value there is, among them any k one hoped for. So a "
        "ratio without the size of its denominator says nothing."
    )


@exercise("rates_along_a_run.turn")
def _turn(function: Any) -> str:
    rates = [0.249, 0.247, 0.245, 0.246, 0.25, 0.248]
    turn = call(function, rates)
    if close(turn, 0.245):
        raise NotYet("That is the lowest rate. Wanted is the step at which it stands.")
    if close(turn, 3):
        raise NotYet("At that step the rate has risen already. The turn is the step before it.")
    if close(turn, 4):
        raise NotYet("That is the highest point. Wanted is the last step before the *first rise*.")
    if not close(turn, 2):
        raise NotYet("Go along the list: the turn is the first step whose successor has a higher rate.")
    about = "This run rises, falls lower still, and rises again: its first turn is not its lowest point."
    if not close(call(function, [3.0, 2.0, 2.5, 1.0, 4.0], about=about), 1):
        raise NotYet(about)
    if not close(call(function, [1.0, 2.0, 3.0], about="This run rises at once."), 0):
        raise NotYet("A rate that rises at once turns at step 0.")
    about = "This run never rises, so it has no turn, and `math.inf` says so."
    for falling in ([3.0, 2.0, 1.0], [1.0, 1.0, 1.0]):
        if call(function, falling, about=about) != math.inf:
            raise NotYet(about)
    return (
        "The theorem's sign is a statement about the time before the turn. Where the turn lies in a run is not in the "
        "theorem: quote it together with the learning rate and the batch size. Exercise 6 asks what it follows."
    )


@exercise("rates_along_a_run.came_back")
def _came_back(answer: Any) -> str:
    runs = (NEGATIVES, FRESH, UNRELATED)
    share = numbers(answer, runs, "shares of the tax")
    table = results.read("rates_along_a_run")
    mean = table.groupby(["run", "step"])["rate_p"].mean()
    base, aligned = mean[POSITIVES, 0], mean[POSITIVES].iloc[-1]
    best = {run: (aligned - mean[run].min()) / (aligned - base) for run in runs}
    end = {run: (aligned - mean[run].iloc[-1]) / (aligned - base) for run in runs}

    def says(values: dict[str, float], factor: float = 1) -> bool:
        return all(abs(share[run] - factor * values[run]) < 0.01 * abs(factor) for run in runs)

    if says(end):
        raise NotYet(
            "You compare the first step with the last. Wanted is the *most* that was back at any step: take the lowest "
            "rate of each run."
        )
    if says(best, 100):
        raise NotYet("These are per cent. Give shares: one half is 0.5.")
    if says({run: 1 - best[run] for run in runs}):
        raise NotYet("You give the share of the tax that is *left*. Wanted is what came back.")
    if says(best, -1):
        raise NotYet("The sign is turned: what has come back counts as positive.")
    if all(abs(value) < 0.006 for value in share.values()):
        raise NotYet(
            "These are too small for shares of the tax. Are they bits a byte, or shares of the whole rate? Divide by "
            "the tax: the aligned model's rate less that of the base model."
        )
    if says(best) and all(share[run] == round(share[run], 2) for run in runs):
        raise NotYet("These are the rounded numbers that the chapter printed. Here they are wanted from the table.")
    if not says(best):
        wrong = next(run for run in runs if abs(share[run] - best[run]) >= 0.01)
        raise NotYet(
            f"The value of {wrong!r} is not what the stored table gives. Take the mean of `rate_p` over seeds at each "
            "step, then its lowest value in that run; how far below the aligned model is it, in parts of the tax?"
        )
    return (
        "Text of the old mixture gives back more than twice as much of the tax as negatives do, and goes on giving it "
        "back. If the rebound is a return to pre-training, pre-training text is its force, not the negatives."
    )
