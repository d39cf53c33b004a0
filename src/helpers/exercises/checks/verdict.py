"""Checks of the chapter: The verdict."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.exercises.checking import NotYet, call, close, exercise, numbers

_FOR, _ACROSS, _AGAINST = (0.2, 0.4), (-0.1, 0.3), (-0.5, -0.2)


@exercise("verdict.groups_for")
def _groups_for(function: Any) -> str:
    cases = [
        ([_FOR, _FOR], "above", 0.0, 2, "Both intervals lie wholly above the threshold."),
        ([_FOR, _ACROSS], "above", 0.0, 1, "One interval lies wholly above the threshold, the other crosses it."),
        (
            [_AGAINST, _AGAINST],
            "above",
            0.0,
            0,
            "Both intervals lie below the threshold, and the claimed side is above.",
        ),
        ([_AGAINST, _ACROSS], "below", 0.0, 1, "Here the claimed side is below. Mind the other end of the interval."),
        ([_FOR, (0.2, 0.6)], "above", 0.3, 0, "The threshold is 0.3 here, not 0: both intervals hold it."),
        ([_AGAINST, _ACROSS], "below", 0.25, 1, "Below 0.25 lies only the first one, for the other ends at 0.3."),
    ]
    for intervals, side, threshold, right, about in cases:
        if not close(call(function, intervals, side, threshold, about=about), right):
            raise NotYet(about)
    return (
        "The end of the interval that is nearest to the threshold decides. Note what the rule does not weigh: how far "
        "the interval lies from it, and how many groups there were to choose from. The table shows both."
    )


@exercise("verdict.lower_end")
def _lower_end(function: Any) -> str:
    values = np.array([0.2, 0.5, 0.1, 0.9, 0.4, 0.3, 0.8, 0.6, 0.0, 0.7])
    low = call(function, values, np.random.default_rng(1))
    picks = np.random.default_rng(2).choice(values, size=(8000, len(values)))
    means = picks.mean(axis=1)
    right, high, loose, hardly = np.percentile(means, [2.5, 97.5, 5, 0.025])
    if abs(low - values.mean()) < 0.005:
        raise NotYet("That is the mean itself. Were your values drawn *with* replacement, and the 2.5 % point taken?")
    if abs(low - np.percentile(picks, 2.5)) < 0.01:
        raise NotYet("That is a percentile of single values. The interval is about their *mean*: take each row's mean.")
    if abs(low - high) < 0.02:
        raise NotYet("That is the upper end of the interval.")
    if abs(low - loose) < 0.008:
        raise NotYet("That is the lower end of the 90 % interval. Of 95 %, 2.5 % are left out on each side.")
    if abs(low - hardly) < 0.05:
        raise NotYet("That is near the lowest mean of all. `np.percentile` counts in per cent: 2.5, and not 0.025.")
    if abs(low - right) > 0.02:
        raise NotYet(f"For ten values from 0 to 0.9 it should be near {right:.2f}; yours is not.")
    few = call(function, np.array([0.0, 1.0, 1.0, 1.0]), np.random.default_rng(1), about="Four values only.")
    if not close(few, 0.25):
        raise NotYet("Right for ten values, not for four: draw as many values as there are, in each resampling.")
    skewed = np.array([0.02, 0.05, 0.11, 0.16, 0.31, 1.03, 1.27, 2.09, 4.2, 12.13])
    low, again = (call(function, skewed, np.random.default_rng(1), about="One value is large.") for _ in range(2))
    if low < 0:
        raise NotYet(
            "None of these values is below zero, so no mean of them is. Take the percentile, not mean and spread."
        )
    if low != again:
        raise NotYet("The same generator twice, and two results: draw with `rng`, and with nothing else.")
    return (
        "Ten numbers stand for the world from which they came: that is the whole trick, and the whole weakness. With "
        "ten seeds the interval is a little too narrow, as this page measures."
    )


@exercise("verdict.in_part")
def _in_part(function: Any) -> str:
    one = call(function, 1, 0.05)
    if close(one, 0.05):
        raise NotYet("That counts both sides. Half of the misses lie on the side that speaks *against* the claim.")
    if not close(one, 0.025):
        raise NotYet("With one group and miss = 0.05 the probability is half of that: 0.025.")
    nine = call(function, 9, 0.05)
    if close(nine, 9 * 0.025):
        raise NotYet("You add the probabilities up. For many groups that goes beyond 1: more than one can be for it.")
    if close(nine, 0.025**9):
        raise NotYet("That is the probability that *all* groups are for it. One is enough for 'holds in part'.")
    if not close(nine, 1 - 0.975**9):
        raise NotYet(
            "All nine must fail to be for it, each with probability 1 - miss / 2. The rest is what is asked for."
        )
    if not close(call(function, 4, 0.1), 1 - 0.95**4):
        raise NotYet("Use `miss` itself; it is not always 0.05.")
    return (
        "With nine groups and no effect at all, one verdict in five is 'holds in part'; with intervals that miss one "
        "time in ten, over one in three. So count the groups, and look for those against the claim as well."
    )


@exercise("verdict.by_chance")
def _by_chance(answer: Any) -> str:
    names = ("pairs are independent", "rows are independent")
    pairs, rows = numbers(answer, names, "the two probabilities").values()
    if not 0 < pairs < 1 or not 0 < rows < 1:
        raise NotYet("A probability lies between 0 and 1.")
    pairs, rows = -np.log2(pairs), -np.log2(rows)  # in coins
    if close(pairs, 26) or close(rows, 8):
        raise NotYet(
            "That is the probability that all point to the same side, whichever it is. Here the side was named."
        )
    if abs(pairs - 27) > 0.2:
        raise NotYet("Twenty-seven fair coins that all fall to the named side: one half for each of them.")
    if close(rows, 3):
        raise NotYet("Three is the number of pairs in a row. How many rows are there?")
    if abs(rows - 9) > 0.2:
        raise NotYet("If the three pairs of a row always agree, there are as many coins as rows: 27 pairs by 3.")
    return (
        "From one in 134 million to one in 512: still not chance. So the paper's table shows *something* firm. What it "
        "shows is another question: a loss on a target of its own has that target's entropy in it, in all 27 pairs."
    )
