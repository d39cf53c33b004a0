"""Checks of the chapter: Model size."""

from __future__ import annotations

import math
from typing import Any

from helpers.exercises.checking import NotYet, call, close, exercise


@exercise("model_size.per_doubling")
def _per_doubling(function: Any) -> str:
    sizes, values = [1e5, 4e5, 1.6e6], [0.9, 0.7, 0.5]
    found = call(function, sizes, values)
    if close(found, 0.1):
        raise NotYet("The sign is turned: a value that falls with size has a slope below zero.")
    if close(found, -0.1 / math.log(2)) or close(found, -0.1 * math.log2(10)):
        raise NotYet("That is a slope over another logarithm. A doubling is one unit of the base-2 logarithm.")
    if abs(found) < 1e-4:
        raise NotYet("That is a slope per weight. What does a *doubling* of the weights add?")
    if close(found, -0.2):
        raise NotYet("From one size to the next there are two doublings here, not one.")
    if not close(found, -0.1):
        raise NotYet("From 0.1 to 0.4 million are two doublings, and they take 0.2 off.")
    uneven = call(function, [1, 2, 8], [0.0, 1.0, 1.0], about="The sizes are not evenly spaced.")
    if not close(uneven, 2 / 7):
        raise NotYet("Right for points on a straight line. For others fit the line by least squares to all points.")
    return (
        "A slope per doubling lets one compare four models with three, or millions of weights with billions. It also "
        "hides the shape: one model alone, at the end of the axis, can carry the whole slope."
    )


@exercise("model_size.covered")
def _covered(function: Any) -> str:
    found = call(function, 3)
    if close(found, 0.875):
        raise NotYet("All seeds above the median is one way to miss it. There is another.")
    if close(found, 0.25):
        raise NotYet("That is the probability that the range misses the median.")
    if close(found, 0.95):
        raise NotYet("The name of an interval is not its coverage. Count: on which side of the median can a seed lie?")
    if not close(found, 0.75):
        raise NotYet("Each seed lies above the median with probability one half. When does the range miss it?")
    for n, right in ((1, 0.0), (2, 0.5), (10, 1 - 2**-9)):
        if not math.isclose(call(function, n), right, abs_tol=1e-4):
            raise NotYet(f"Right for three seeds, not for {n}: do the same count with {n} coins.")
    return (
        "With three seeds the percentile bootstrap gives the range of the three, at 95 % or any higher level: a "
        "resampling takes the lowest seed three times with probability 1/27, which is more than 2.5 %."
    )


@exercise("model_size.page")
def _page(function: Any) -> str:
    found = call(function, [[0.1, 0.2, 0.3]])
    if close(found, 10):
        raise NotYet("The ranks are turned: the *smallest* value of a row has rank 1.")
    if not close(found, 14):
        raise NotYet("One row in perfect order: ranks 1, 2, 3 in places 1, 2, 3. Multiply and add: 1 + 4 + 9.")
    if not close(call(function, [[0.3, 0.2, 0.1]]), 10):
        raise NotYet("In the opposite order the sum is 1·3 + 2·2 + 3·1.")
    rows = [[0.1, 0.2, 0.3], [10.3, 10.1, 10.2]]
    found = call(function, rows, about="The second seed lies ten higher than the first.")
    if close(found, 12.5):
        raise NotYet("Add the rows up; their mean is not Page's L.")
    if not close(found, 25):
        raise NotYet("Rank within each row, never over all: a seed that is higher as a whole must not count.")
    return (
        "Because each row is ranked by itself, what a seed has in common for all sizes drops out. Jonckheere's test "
        "ranks all values together, and would take the differences between seeds for noise."
    )


@exercise("model_size.lost_at")
def _lost_at(function: Any) -> str:
    kl, odds = [0, 0.004, 0.012], [6.0, 5.0, 2.0]
    found = call(function, kl, odds, 0.008)
    if close(found, 3.5):
        raise NotYet("Those are the log-odds that are left. How much was lost since the start?")
    if close(found, -2.5):
        raise NotYet("The sign is turned: what is lost counts as positive here.")
    if close(found, 1):
        raise NotYet("That is the loss at the measurement before. The level is reached on the way to the next.")
    if close(found, 4):
        raise NotYet("That is the loss at the measurement after. The level is reached on the way there.")
    if not close(found, 2.5):
        raise NotYet("From 0.004 to 0.012, a level of 0.008 is half way; so the log-odds are half way from 5 to 2.")
    if close(call(function, [0, 0.02, 0.01, 0.03], [5.0, 3.0, 4.0, 1.0], 0.015), 1.75):
        raise NotYet("The divergence goes up, down and up again. The *first* time is asked for.")
    if not close(call(function, [0, 0.02, 0.01, 0.03], [5.0, 3.0, 4.0, 1.0], 0.015), 1.5):
        raise NotYet("The divergence first passes 0.015 between 0 and 0.02, three quarters of the way.")
    if not close(call(function, [0, 0.01, 0.005, 0.02], [5.0, 4.0, 4.5, 1.0], 0.01, about="It touches the level."), 1):
        raise NotYet("The divergence is *at* 0.01 at the second measurement: there the level is reached.")
    never = call(function, kl, odds, 0.5, about="It never moves so far.")
    if never != math.inf:
        raise NotYet("A model that never moves so far has no value there: give back `math.inf`.")
    return (
        "Equal numbers of examples are not equal steps. Asking what is lost for the same movement takes the size of "
        "the step out of the comparison, and leaves what the movement does to the behaviour."
    )
