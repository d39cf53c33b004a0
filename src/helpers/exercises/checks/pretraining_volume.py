"""Checks of the chapter: Pre-training volume."""

from __future__ import annotations

import math
from typing import Any

from helpers.exercises.checking import NotYet, call, close, exercise


@exercise("pretraining_volume.doublings")
def _doublings(function: Any) -> str:
    found = call(function, 2.0, 3.0)
    if close(found, 1.5):
        raise NotYet("That is the ratio. How many doublings make it?")
    if close(found, -math.log2(1.5)):
        raise NotYet("The sign is turned: from fewer to more the count is above zero.")
    if close(found, math.log(1.5)) or close(found, math.log10(1.5)):
        raise NotYet("A doubling is one unit of the base-2 logarithm. Yours has another base.")
    if not close(found, math.log2(1.5)):
        raise NotYet("From 2 to 4 would be one doubling. From 2 to 3 is less than one, and more than a half.")
    if not close(call(function, 1, 32), 5):
        raise NotYet("1, 2, 4, 8, 16, 32: how many arrows are between them?")
    return (
        "The paper's Figure 6 spans little more than half a doubling, at the end of one run. Our checkpoints span more "
        "than five. A slope over one of them says nothing about the other."
    )


@exercise("pretraining_volume.undone")
def _undone(function: Any) -> str:
    found = call(function, 0.5, 0.9, 0.6)
    if close(found, 0.25):
        raise NotYet("That is the part that is *left*. Which part was undone?")
    if close(found, 0.3):
        raise NotYet("That is what was lost. Compare it with what alignment had added.")
    if close(found, 0.3 / 0.9):
        raise NotYet("You compare with the aligned score. But not all of that came from alignment.")
    if not close(found, 0.75):
        raise NotYet("From 0.5 alignment added 0.4; negatives took 0.3 of that. What part is it?")
    if not close(call(function, 0.5, 0.9, 0.3), 1.5):
        raise NotYet("A model may fall below base: then more than everything was undone, and the part is above 1.")
    if call(function, 0.5, 0.5, 0.49, about="Alignment added nothing.") != math.inf:
        raise NotYet("Where alignment added nothing there is nothing to compare with: give back `math.inf`.")
    if call(function, 0.5, 0.4, 0.3, about="Alignment made it worse.") != math.inf:
        raise NotYet("Where alignment did not raise the score there is nothing to undo: `math.inf` there, too.")
    return (
        "A flat curve has two readings: firm, or never aligned. Only the score before alignment tells them apart, and "
        "for an early checkpoint it has to be that checkpoint's own."
    )


@exercise("pretraining_volume.rate")
def _rate(function: Any) -> str:
    if close(call(function, 0, 0.1), 0):
        raise NotYet("The rate is highest at the start: 1 at a progress of 0.")
    if not close(call(function, 0, 0.1), 1):
        raise NotYet("At a progress of 0 the cosine is 1, and the rate has its highest value, 1.")
    if close(call(function, 1, 0.1), 0):
        raise NotYet("At the end the rate is at its floor, not at zero.")
    if not close(call(function, 1, 0.1), 0.1):
        raise NotYet("At a progress of 1 the cosine is -1, and the rate is at the floor.")
    if close(call(function, 0.25, 0.1), 0.775):
        raise NotYet("That is a straight line. A cosine stays high for longer at first.")
    if not close(call(function, 0.25, 0.1), 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))):
        raise NotYet("Half a turn of the cosine, from 1 to -1, moved and scaled to go from 1 to the floor.")
    return (
        "A checkpoint at a quarter of the run was saved while the rate was still high. A model that was to be trained "
        "on that much text alone would have come down by then. The two are not the same model."
    )


@exercise("pretraining_volume.matched")
def _matched(function: Any) -> str:
    found = call(function, [16.0, 4.0, 1.0], [0.0, 0.4, 0.6], 2.8)
    if close(found, 0.48):
        raise NotYet("That is a straight line in the excess itself. Use its logarithm.")
    if close(found, 0.4):
        raise NotYet("That is the nearest checkpoint's value. The level lies between two of them.")
    if close(found, 0.6):
        raise NotYet("The excess falls in this list, and `np.interp` wants it rising. Sort first, the pairs together.")
    if not close(found, 0.4 + 0.2 * math.log(4 / 2.8) / math.log(4)):
        raise NotYet("In the logarithm 2.8 is about a quarter of the way from 4 to 1; so the value is about 0.45.")
    for excess, values in (([1.0, 4.0, 16.0], [0.6, 0.4, 0.0]), ([4.0, 16.0, 1.0], [0.4, 0.0, 0.6])):
        if not close(call(function, excess, values, 8.0, about="The excess does not fall here."), 0.2):
            raise NotYet("The checkpoints may come in any order. `np.interp` wants them rising.")
    if not close(call(function, [16.0, 4.0], [0.0, 0.4], 4.0, about="The best checkpoint is just that good."), 0.4):
        raise NotYet("At the end of the range a checkpoint stands: its value is known.")
    if call(function, [16.0, 4.0], [0.0, 0.4], 1.0, about="No checkpoint is that good.") != math.inf:
        raise NotYet("No checkpoint is that good. Beyond the last one nothing is known: give back `math.inf`.")
    if call(function, [16.0, 4.0], [0.0, 0.4], 20.0, about="No checkpoint is that bad.") != math.inf:
        raise NotYet("Every checkpoint is better than that. Outside the range nothing is known: give back `math.inf`.")
    return (
        "Models of different sizes reach a loss at different steps. Matching the loss makes the tokens and the state "
        "of the learning rate unequal instead. There is no comparison in which everything else is equal."
    )
