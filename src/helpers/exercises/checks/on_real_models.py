"""Checks of the chapter: On real models."""

from __future__ import annotations

import math
from typing import Any

from helpers.exercises.checking import NotYet, call, close, exercise, listed


@exercise("on_real_models.divide")
def _divide(function: Any) -> str:
    found = listed(function, 8, 1.0, 5.0, length=2)
    if found[0] == 5:
        raise NotYet("Five would fit, but 8 is no multiple of 5: the passes would not add up to the batch.")
    if found != [4, 2]:
        raise NotYet("Five gigabytes hold five examples of one. The largest divisor of 8 up to that is 4: two passes.")
    if listed(function, 12, 1.0, 5.0, length=2) != [4, 3]:
        raise NotYet("Right for 8, not for a batch of 12 where five fit: halving is not enough, try all divisors.")
    if listed(function, 8, 2.0, 5.0, length=2) != [2, 4]:
        raise NotYet("Right for examples of 1 GB. If one needs 2 GB, two fit into 5.")
    if listed(function, 8, 1.0, 8.0, length=2) != [8, 1]:
        raise NotYet("Eight examples that just fit need one pass.")
    if listed(function, 8, 1.0, 100.0, length=2) != [8, 1]:
        raise NotYet("More memory than the batch needs does not make the batch larger.")
    nothing = listed(function, 8, 2.0, 1.0, length=2, about="Not even one example fits.")
    if nothing != [0, 0]:
        raise NotYet("If one example needs 2 GB and 1 GB is free, nothing fits: give (0, 0).")
    return "The gradient of a mean is the mean of gradients: dividing a batch costs time, and changes nothing else."


@exercise("on_real_models.nearest")
def _nearest(function: Any) -> str:
    found = call(function, 0.024)
    if close(found, 0.024 * 143000):
        raise NotYet("That step was not kept: choose the nearest of those that were.")
    if found != 3000:
        raise NotYet("2.4 % of 143,000 steps are 3,432; the kept steps around it are 3,000 and 4,000.")
    if call(function, 3600 / 143000) != 4000:
        raise NotYet("3,600 lies nearer to 4,000 than to 3,000: the nearest one is asked for, not the one before.")
    if call(function, 0.0) != 0 or call(function, 1.0) != 143000:
        raise NotYet("The first kept step is 0 and the last is 143,000.")
    if call(function, 600 / 143000) != 512:
        raise NotYet("Early in the run the kept steps are powers of two: 600 lies nearer to 512 than to 1,000.")
    if call(function, 1024 / 143000) != 1000:
        raise NotYet("The powers of two end with 512: 1,024 was not kept, and 1,000 was.")
    if call(function, 370 / 143000) != 256:
        raise NotYet("370 lies 114 from 256 and 142 from 512. Compare the steps themselves, not their logarithms.")
    if call(function, 3 / 143000) not in (2, 4) or call(function, 1 / 143000) != 1:
        raise NotYet("1, 2, 4, ..., 512 were kept as well.")
    return "Eleven of Pythia's 154 checkpoints lie in the first 0.4 % of the run; after that they are evenly spaced."


@exercise("on_real_models.choice")
def _choice(function: Any) -> str:
    found = call(function, [math.log(0.3), math.log(0.1)], [math.log(0.1)])
    if close(found, 0.4):
        raise NotYet("That is the good answers' probability. Divide by that of all the given answers.")
    if close(found, 0.75):
        raise NotYet("One good answer is missing: there are two of them.")
    if not close(found, 0.8):
        raise NotYet("The good answers have 0.3 and 0.1, the bad one 0.1: four parts in five are good.")
    about = "With log probabilities near -800 an exponential is zero in floating point."
    if not close(call(function, [-800.0], [-800.0 + math.log(3)], about=about), 0.25):
        raise NotYet(f"{about} Subtract the largest log probability from all of them first.")
    if not close(call(function, [-5.0], [-900.0]), 1.0):
        raise NotYet("A good answer at -5 and a bad one at -900: the share is 1.")
    if not close(call(function, [-900.0], [-5.0], about="A good answer at -900 and a bad one at -5."), 0.0):
        raise NotYet("A good answer at -900 and a bad one at -5: the share is 0.")
    return "Only differences of log probabilities count. So a long answer is at a disadvantage, whichever pole it has."


@exercise("on_real_models.true_share")
def _true_share(function: Any) -> str:
    found = call(function, 0.5, 0.9, 0.2)
    if close(found, 0.5 * 0.9 + 0.5 * 0.2):
        raise NotYet("That is what would be reported if the true share were 0.5. Solve the equation the other way.")
    if close(found, 0.5 / 0.9):
        raise NotYet("Good texts that were missed are counted; bad ones that were called good are not.")
    if not close(found, 3 / 7):
        raise NotYet("0.5 = s times 0.9 + (1 - s) times 0.2 gives s = 0.3 / 0.7.")
    if not close(call(function, 0.8, 1.0, 0.0), 0.8):
        raise NotYet("A judge that never errs reports the true share.")
    if not close(call(function, 0.1, 0.9, 0.2), 0.0) or not close(call(function, 0.95, 0.9, 0.2), 1.0):
        raise NotYet("Chance can bring a report below `false_alarm` or above `hit`; a share stays between 0 and 1.")
    return "A judge that errs squeezes all shares together: a reported fall from 0.9 to 0.2 may be one from 1 to 0."
