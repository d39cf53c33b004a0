"""Checks of the chapter: Is it elastic?"""

from __future__ import annotations

import math
from typing import Any

from helpers.exercises.checking import NotYet, call, close, exercise, listed


@exercise("controls.depth")
def _depth(function: Any) -> str:
    found = call(function, 1000, 0.05)
    if close(found, math.log(51)):
        raise NotYet("That leaves the z on the left out. It solves exp(z) = 1 + rate n, not z + exp(z) = 1 + rate n.")
    if close(found, 50):
        raise NotYet("That is the rate times n: as if every positive moved z at full speed.")
    if not close(found, 3.8533):
        raise NotYet("For 1000 positives at rate 0.05, z + exp(z) = 51.")
    if not close(call(function, 0, 0.05, about="Without any positive z is 0.") + 1, 1):
        raise NotYet("Without any positive, z is still 0, and 0 + exp(0) = 1.")
    if not close(call(function, 64, 0.5), 3.3882):
        raise NotYet(
            "Right for a rate of 0.05, not for 0.5. If you added single steps up: at a high rate they are not what "
            "z + exp(z) = 1 + rate n says."
        )
    return (
        "A thousand times the positives add about seven to z. That is why few negatives undo many positives: a "
        "logarithm on the way up, a straight line on the way down."
    )


@exercise("controls.spread")
def _spread(function: Any) -> str:
    found = call(function, 100)
    if close(found, 0.01):
        raise NotYet("That is the variance; its root is asked for.")
    if not close(found, 0.1):
        raise NotYet("In 100 dimensions each squared coordinate is 1/100 in the mean.")
    for d in (1, 380_000):
        if not math.isclose(call(function, d), d**-0.5, rel_tol=1e-3):
            raise NotYet(f"Right for 100 dimensions, not for {d:,}.")
    return (
        "With 380 thousand weights it is 0.0016. So a cosine of 0.02 is far from chance, and still says that hardly "
        "anything of the step leads back."
    )


@exercise("controls.expected")
def _expected(function: Any) -> str:
    if not close(call(function, 2.0, 2.0, 0.3), 0.3):
        raise NotYet("Two models with the same log-odds fall alike.")
    found = call(function, 0.0, 4.0, 0.1)
    if close(found, 0.1 * 0.5 / 0.98201):
        raise NotYet("The ratio is turned: the deeper model is the faster one.")
    if close(found, 0.1):
        raise NotYet("The speed depends on where a model starts.")
    if not close(found, 0.19640):
        raise NotYet("The speeds are as sigma(4) to sigma(0), which is 0.982 to 0.5.")
    if not close(call(function, 3.0, -1.0, 0.2), 0.2 * 0.26894 / 0.95257):
        raise NotYet("Right for a deeper second model. Below zero it must be slower.")
    return (
        "From base to any depth, R1 can make the fall twice as fast and no more, in the coin. A network has more "
        "than one number to move, so a larger factor does not yet refute R1."
    )


@exercise("controls.decompose")
def _decompose(function: Any) -> str:
    found = listed(function, [3.0, 4.0], [10.0, 0.0], length=2)
    if close(found[0], 3.0):
        raise NotYet("The part along the way has length 3. Divide it by the length of the way.")
    if close(found[0], 0.5):
        raise NotYet("That is the whole length of the step over the way. Only the part along it counts.")
    if not close(found[0], 0.3):
        raise NotYet("The part of (3, 4) along (10, 0) is 3, and the way is 10 long.")
    if close(found[1], 0.8) or close(found[1], 0.36):
        raise NotYet("The second number: *squared* length, of the part that is *not* along the way, over the whole.")
    if not close(found[1], 0.64):
        raise NotYet("16 of 25 of the squared length stand at right angles to the way.")
    away = listed(function, [-3.0, 4.0], [10.0, 0.0], length=2, about="This step leads away from base.")
    if not close(away[0], -0.3):
        raise NotYet("A step away from base has come back by less than nothing: here by -0.3 of the way.")
    turned = listed(function, [-1.0, 1.0], [2.0, 2.0], length=2, about="This step is at right angles to the way.")
    if not (close(turned[0] + 1, 1) and close(turned[1], 1)):
        raise NotYet("A step at right angles to the way has come back by nothing.")
    return "With a cosine of 0.02, all but 0.04 % of a step's squared length is something else than going home."
