"""Checks of the chapter: Welcome."""

from __future__ import annotations

import math
from typing import Any

from helpers.exercises.checking import NotYet, call, close, exercise


@exercise("welcome.first_below")
def _first_below(function: Any) -> str:
    examples, shares = [0, 8, 16, 32, 64, 128], [0.97, 0.93, 0.81, 0.58, 0.31, 0.12]
    found = call(function, examples, shares, 0.5)
    if found in shares:
        raise NotYet("You give back a share. The question is at how many examples it was measured.")
    if found == shares.index(0.31):
        raise NotYet("You give back a place in the list. The number of examples stands at that place of `examples`.")
    if found == math.inf:
        raise NotYet("You give up before the end of the curve: `return math.inf` belongs after the loop.")
    if found not in examples:
        raise NotYet("You give back a number that was not measured. Choose among the entries of `examples`.")
    if found < 64:
        raise NotYet("At the count you found, the score is still above the level. The first one below it is needed.")
    if found > 64:
        raise NotYet("There the score is below the level, but it was so before. The first such count is needed.")
    if call(function, examples, shares, 0.9) != 16:
        raise NotYet("With another level the answer must be another one: use the argument `level`, not 0.5.")
    if call(function, [0, 8, 16, 32], [0.9, 0.45, 0.6, 0.4], 0.5) != 8:
        raise NotYet("Curves of single runs wobble. When one dips, rises and falls again, the first dip counts.")
    if call(function, [0, 8, 16], [0.9, 0.5, 0.3], 0.5, about="At 8 it is exactly at the level.") != 16:
        raise NotYet("A score that is exactly at the level is not yet *below* it.")
    about = "This curve never falls below the level; then `math.inf` is the answer: no number of examples was enough."
    if call(function, [0, 8, 16], [0.97, 0.95, 0.91], 0.5, about=about) != math.inf:
        raise NotYet(about)
    return (
        "Now one curve is one number. Mind how coarse it is: the crossing lies anywhere between the measured count and "
        "the one before, so two curves with the same number may still differ."
    )


@exercise("welcome.log_odds")
def _log_odds(function: Any) -> str:
    middle, high, low = call(function, 0.5), call(function, 0.9), call(function, 0.1)
    if close(middle, 1):
        raise NotYet("At a share of one half you give 1. These are the odds, good to bad; their logarithm is missing.")
    if not close(middle, 0):
        raise NotYet(
            "At a share of one half, good and bad are equally likely and the log-odds are zero; yours are not. Compare "
            "the share with the rest, 1 minus the share."
        )
    if high < 0 < low:
        raise NotYet("The sign is turned: a share above one half must give positive log-odds.")
    if not low < middle < high:
        raise NotYet("The log-odds must grow with the share; from 0.1 over 0.5 to 0.9 yours do not.")
    if not close(low, -high):
        raise NotYet("Good and bad must be treated alike: at 0.1 and at 0.9 the sizes must agree, with other signs.")
    if close(high, math.log10(9)) or close(high, math.log2(9)):
        raise NotYet("The shape is right, the unit is not: this book counts in nats, so take the natural logarithm.")
    if not close(high, math.log(9)):
        raise NotYet("Sign and symmetry are right, the size is not. It is the logarithm of share / (1 - share).")
    if not close(call(function, 0.999), math.log(999)):
        raise NotYet("Near 1 the log-odds must go on growing, without a limit; yours stop short.")
    gain = call(function, 0.999) - call(function, 0.99)
    return (
        f"From 0.50 to 0.51 the log-odds grow by {call(function, 0.51):.2f}, from 0.99 to 0.999 by {gain:.2f}, though "
        "the share moves less. A share near 1 has no room left to show how deep the alignment is: it saturates."
    )


@exercise("welcome.steps")
def _steps(function: Any) -> str:
    if close(call(function, 64, 8), 512):
        raise NotYet("You multiply. One step takes `batch_size` examples, so there are fewer steps than examples.")
    if not close(call(function, 64, 8), 8):
        raise NotYet("64 examples, 8 at a time: count how often the optimiser moves until all have been seen once.")
    rest = call(function, 100, 8)
    if rest % 1 != 0:
        raise NotYet("You give a fraction of a step. The optimiser moves or it does not: what is left is a step too.")
    if rest < 13 or call(function, 5, 8) < 1:
        raise NotYet("The examples that are left after the last full batch get lost. They make one more, smaller step.")
    if rest > 13 or call(function, 5, 8) > 1:
        raise NotYet("One step too many: a last step is needed only if examples are left for it.")
    return (
        "The same examples are more steps in smaller batches, and the weights move once a step. So a curve over "
        "examples means little without its batch size, and the book's tables give both."
    )
