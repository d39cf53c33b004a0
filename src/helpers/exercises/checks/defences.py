"""Checks of the chapter: What holds it back?"""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.exercises.checking import NotYet, call, close, exercise, listed


@exercise("defences.force")
def _force(function: Any) -> str:
    found = call(function, 1.5, 1.0, 4.0, 3.0)
    if close(found, 1.5):
        raise NotYet("That is the energy. The force is its derivative.")
    if close(found, 3.0):
        raise NotYet("The 2 of the square and the 1/2 in front cancel.")
    if close(found, -6.0):
        raise NotYet("That is the force on the weight; the *gradient* of the term has the other sign.")
    if close(found, 2.0):
        raise NotYet("The Fisher information multiplies the stiffness.")
    if not close(found, 6.0):
        raise NotYet("Stiffness 4 times Fisher 3 times the displacement of a half.")
    if not close(call(function, 0.5, 1.0, 4.0, 3.0), -6.0):
        raise NotYet("On the other side of the anchor the gradient has the other sign.")
    if not close(call(function, 1.0, 1.0, 4.0, 3.0) + 1, 1):
        raise NotYet("At the anchor itself nothing pulls.")
    return "Hooke's law, weight by weight: the further it has gone, the harder it is pulled. The data never do that."


@exercise("defences.rest")
def _rest(function: Any) -> str:
    found = call(function, 2.0, 5.0, 3.0)
    if close(found, 3.0):
        raise NotYet("The stiff spring is turned with the soft one: a stiffer anchor must bring it nearer to 0.")
    if close(found, 5.0):
        raise NotYet("Without an anchor it would rest at the target. With one, it does not get there.")
    if not close(found, 2.0):
        raise NotYet("At rest 2 (5 - x) = 3 x.")
    if not close(call(function, 2.0, 5.0, 0.0, about="There is no anchor."), 5.0):
        raise NotYet("Without an anchor the weight goes all the way to the target.")
    return (
        "An anchor does not slow the fall, it ends it short of the target. Slower training goes all the way. "
        "That is the difference between them, and it shows only late."
    )


@exercise("defences.fisher")
def _fisher(function: Any) -> str:
    gradients = [[1.0, 2.0], [-1.0, 0.0]]
    found = listed(function, gradients, length=2)
    if close(found[0], 0) or close(found[1], 2) and close(found[0], 0):
        raise NotYet("Square first, then take the mean: gradients of opposite sign must not cancel.")
    if np.allclose(found, [1.0, 2.0]):
        raise NotYet("That is the mean of the squares. Now scale it to a mean of 1.")
    if not np.allclose(found, [2 / 3, 4 / 3], atol=2e-3):
        raise NotYet("The means of the squares are 1 and 2; scaled to a mean of 1 they are 2/3 and 4/3.")
    if not np.allclose(listed(function, [[3.0, 0.0, 0.0]], length=3), [3.0, 0.0, 0.0], atol=2e-3):
        raise NotYet("One example and three weights, of which one has all the information: (3, 0, 0).")
    return (
        "The mean gradient of a trained model is nearly zero; the mean square is not. Where examples pull hard in "
        "opposite directions a weight matters most."
    )


@exercise("defences.frontier")
def _frontier(function: Any) -> str:
    points = [(1.0, 10.0), (2.0, 8.0), (3.0, 20.0), (0.5, 1.0)]
    found = listed(function, points, length=3, about="Three are not beaten; their positions in the list are asked for.")
    if sorted(found) != [0, 2, 3]:
        raise NotYet("(2, 8) costs more than (1, 10) and brings less: it is beaten, and it alone.")
    if found != [3, 0, 2]:
        raise NotYet("These are the right points. Sort their positions by cost.")
    about = "Only (1, 7) is left: the others cost as much or more, for no more."
    if listed(function, [(1.0, 5.0), (1.0, 7.0), (2.0, 7.0)], length=1, about=about) != [1]:
        raise NotYet(f"Of (1, 5), (1, 7) and (2, 7): {about}")
    return (
        "A frontier makes no choice for you. It only takes away what nobody should choose, however it weighs the two."
    )
