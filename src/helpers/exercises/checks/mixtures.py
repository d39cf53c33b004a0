"""Checks of the chapter: Mixtures and normalised rates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from helpers import token_tree
from helpers.exercises.checking import NotYet, call, close, exercise

_DATA, _OTHER = [0.5, 0.5, 0.0], [0.0, 0.25, 0.75]


@exercise("mixtures.leaf_weight")
def _leaf_weight(function: Any) -> str:
    weights, sizes = [0.5, 0.1, 0.0], [100, 10, 10]
    found = call(function, weights, sizes)
    if close(found, 0.2):
        raise NotYet(
            "You take the plain mean. The first data set is ten times as large as the others: let it count so."
        )
    if close(found, 51):
        raise NotYet("You forgot to divide. A weight is a probability; divide by the size of all data together.")
    if close(found, 0.6) or close(found, 17):
        raise NotYet("Each weight counts by its data set's *share*: its size over the size of all data together.")
    if close(found, 0.5):
        raise NotYet("You take the largest data set alone. The small ones count too, only less.")
    if not close(found, 51 / 120):
        raise NotYet("Weights 0.5, 0.1 and 0 with sizes 100, 10 and 10: 100 of 120 parts count 0.5. Yours does not.")
    if not close(call(function, weights, [1.0, 0.1, 0.1], about="Only the unit of the sizes is another."), 51 / 120):
        raise NotYet("Counted in another unit, the same sizes must give the same weight. Yours changes.")
    if not close(call(function, [0.2, 0.2], [3, 5]), 0.2):
        raise NotYet("Where all data sets agree on a leaf, the mixture agrees with them. Yours does not.")
    return (
        "Only the shares count, never the unit. A node's weight is a sum of leaves, so nodes mix in the same way, and "
        f"so do three data sets joined one after the other. The largest one rules: here it gives {50 / 51:.0%} of it."
    )


@exercise("mixtures.rate")
def _rate(function: Any) -> str:
    found = call(function, _DATA, _OTHER, 0.25)
    joint = [0.25 * p + 0.75 * q for p, q in zip(_DATA, _OTHER, strict=True)]
    right = token_tree.rate(_DATA, joint)
    if found < 0:
        raise NotYet("A rate cannot be negative: the logarithm of a weight is, so change the sign.")
    if close(found, token_tree.entropy(joint)):
        raise NotYet("You average over the mixture. The leaves of *one* data set are coded: average over `data`.")
    if close(found, 1):
        raise NotYet("That is the entropy of `data`, what it needs alone. The code belongs to the mixture.")
    if close(found, right - 1):
        raise NotYet("That is only the price of sharing. The rate holds the data's own bits too.")
    if close(found, right * math.log(2)):
        raise NotYet("The idea is right, the unit is not: use `math.log2`, so that the result is in bits.")
    if close(found, call(function, _DATA, _OTHER, 0.75)):
        raise NotYet("The share changes nothing with you. It says how much of the mixture `data` is.")
    if close(found, token_tree.rate(_DATA, [0.75 * p + 0.25 * q for p, q in zip(_DATA, _OTHER, strict=True)])):
        raise NotYet("The share is turned round: `data` has the share `share`, `other` the rest.")
    if not close(found, right):
        raise NotYet("A leaf costs -log2 of its weight in the *mixture*, as often as its weight in `data` says.")
    about = "The second leaf occurs nowhere: it costs nothing and must be skipped."
    if not close(call(function, [1.0, 0.0], [1.0, 0.0], 0.5, about=about), 0):
        raise NotYet(f"With a leaf of weight 0 it is wrong. {about}")
    tiny = call(function, [1.0, 0.0], [0.0, 1.0], 2.0**-20)
    return (
        f"Nothing in common, and a share of one in a million: {tiny:.0f} bits a leaf, although alone it would need "
        "none. The price grows with the logarithm of the share only. That is why a small data set is not lost at once."
    )


@exercise("mixtures.slack")
def _slack(function: Any) -> str:
    apart = call(function, [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5], 0.25)
    same = call(function, [0.25, 0.75], [0.25, 0.75], 0.125)
    if close(same, -3):
        raise NotYet("Negative: you subtract the bound from the rate. The slack is the bound less the rate.")
    if close(same, 3 * math.log(2)):
        raise NotYet("The idea is right, the unit is not: all three terms must be in bits.")
    if close(apart, -1) or close(apart, -2):
        raise NotYet("The bound has two terms: what the data need alone, and the price of the label. One is missing.")
    if close(same, 0):
        raise NotYet(
            "Two equal data sets: there the mixture is the data set itself, and no label is paid. The whole price of "
            "the label, 3 bits at a share of one in eight, is slack."
        )
    if not (close(apart, 0) and close(same, 3)):
        raise NotYet(
            "Without a common leaf the slack is 0; with two equal data sets it is the whole price of the label, 3 bits "
            "at a share of one in eight. Yours fails in one of the two. Which weights make the code?"
        )
    generator = np.random.default_rng(0)
    slacks = []
    for _ in range(50):
        data, other, share = *generator.dirichlet(np.ones(6), 2).tolist(), float(generator.uniform(0.01, 1))
        slacks.append(call(function, data, other, share))
        joint = token_tree.mixture([data, other], [share, 1 - share])
        if not close(slacks[-1], token_tree.entropy(data) - math.log2(share) - token_tree.rate(data, joint)):
            raise NotYet("Small cases you get right; on random data sets the slack is another one than yours.")
    return (
        f"In 50 random cases it lay between {min(slacks):.2f} and {max(slacks):.2f}, never below 0. The proof in one "
        "line: at each leaf the mixture is at least share times the data's own weight, since the rest adds nothing "
        "negative. So -log2 of it is at most log2(1/share) more; then take the mean."
    )


@exercise("mixtures.normalised")
def _normalised(function: Any) -> str:
    data, model = [0.5, 0.5, 0.0, 0.0], [0.4, 0.4, 0.1, 0.1]
    nothing, found = call(function, [0.25] * 4, [0.25] * 4), call(function, data, model)
    right = token_tree.normalised_rate(data, model)
    if close(nothing, 2) or close(nothing, 4):
        raise NotYet("A model that knows nothing has the normalised rate 0. Subtract what it takes to name a leaf.")
    if close(found, -right):
        raise NotYet("The sign is turned round: below 0 means that the model is better than none.")
    if close(found, right + 1):
        raise NotYet("M counts *all* leaves of the tree, also those that the data never reach.")
    if close(found, right * math.log(2)):
        raise NotYet("The idea is right, the unit is not: use `math.log2` in both terms.")
    if close(found, right + 2 - 1):
        raise NotYet("You subtract the data's entropy. The subtrahend depends on the number of leaves alone.")
    if not close(nothing, 0):
        raise NotYet("For four equal leaves, the rate is 2 bits and so is log2 M. The normalised rate must be 0.")
    if not close(found, right):
        raise NotYet("The rate is the mean, over the data, of -log2 of the model's weights. From that take log2 M.")

    def halves(weights):
        return [weight / 2 for weight in weights for _ in range(2)]

    split = call(function, halves(data), halves(model), about="Every leaf is split into two equal halves.")
    if not close(split, right):
        raise NotYet("Split every leaf into two equal halves: rate and log2 M rise by the same. With you they do not.")
    more = call(function, [*data, 0.0, 0.0], [*model, 0.0, 0.0], about="Two leaves that never occur came to it.")
    if not close(call(function, [0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], about="Two leaves are empty."), -1):
        raise NotYet("M counts *all* leaves of the tree, also those to which the model gives nothing.")
    return (
        "Split every leaf into two halves, and both terms rise by one bit: the normalised rate stays. Add two leaves "
        f"that never occur, and it falls by {right - more:.2f} bits although nothing was learned. So it is safe to "
        "compare trees that split alike, and unsafe where only the number of empty leaves differs."
    )


@exercise("mixtures.shape")
def _shape(function: Any) -> str:
    masses = [1.0, math.e, math.e**3, 0.5]
    found = call(function, masses, 1.0)
    if close(found, 4 / 3):
        raise NotYet("You give the mean of the logarithms. The heavier the tail, the larger that is: turn it round.")
    if close(found, 1.75):
        raise NotYet("That is the exponent of the density, one more than the shape. P(mass > m) falls with the shape.")
    if close(found, 4 / (4 - math.log(2))):
        raise NotYet("The mass 0.5 lies below `least` and is no part of the tail: leave it out.")
    if close(found, 0.5):
        raise NotYet("The mass that equals `least` belongs to the tail too. Its logarithm is 0, but it counts.")
    if close(found, 0.75 * math.log(2)) or close(found, 0.75 * math.log(10)):
        raise NotYet(
            "Use the natural logarithm here: the law is m to the power of minus the shape, with no base in it."
        )
    if not close(found, 0.75):
        raise NotYet("The three masses of the tail have the logarithms 0, 1 and 3, so the shape is 3/4. Yours is not.")
    about = "The same masses in another unit."
    if not close(call(function, [10 * m for m in masses], 10.0, about=about), 0.75):
        raise NotYet("In another unit the shape must stay what it is: take the logarithm of the mass over `least`.")
    names = [1 / rank for rank in range(1, 65)]
    drawn = token_tree.pareto(1000, 0.5, np.random.default_rng(0)).tolist()
    return (
        f"For the world's 64 names you get {call(function, names, min(names)):.2f}, near the 1 of Zipf's law; for 1000 "
        f"masses drawn with shape 0.5 {call(function, drawn, min(drawn)):.2f}. Any masses at all give *some* shape, so "
        "the number says nothing on whether the law holds. For that one needs the test."
    )
