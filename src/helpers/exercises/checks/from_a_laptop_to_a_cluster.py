"""Checks of the chapter: From a laptop to a cluster."""

from __future__ import annotations

import math
from typing import Any

from helpers.exercises.checking import NotYet, call, close, exercise


@exercise("from_a_laptop_to_a_cluster.speed_up")
def _speed_up(function: Any) -> str:
    found = call(function, 0.1, 10)
    if close(found, 0.19):
        raise NotYet("That is the new time, if the old one is 1. How many times as fast is the old time over the new.")
    if close(found, 5.0):
        raise NotYet("Only the rest is divided, and the rest is 0.9 here, not 1.")
    if close(found, 9.1) or close(found, 9.0):
        raise NotYet("That is a mean of speeds. Times are what adds up: those of the two parts, one after the other.")
    if not close(found, 1 / 0.19):
        raise NotYet("A tenth takes 0.1 as before, the other nine tenths 0.9 / 10: together 0.19 of the old time.")
    if not close(call(function, 0.3, 1), 1.0):
        raise NotYet("One worker is as fast as one worker, whatever can be divided.")
    if not close(call(function, 0.0, 40), 40.0) or not close(call(function, 1.0, 40), 1.0):
        raise NotYet("If all can be divided, 40 workers are 40 times as fast; if nothing can, they are no faster.")
    if not close(call(function, 0.1, 1e6), 1 / (0.1 + 0.9e-6)):
        raise NotYet("With a million workers only the tenth that cannot be divided is left.")
    return (
        "Ten workers are 5.3 times as fast, a million 10 times: the limit is one over what cannot be divided. So "
        "shorten the start of a worker, or give it more to do."
    )


@exercise("from_a_laptop_to_a_cluster.gpus")
def _gpus(function: Any) -> str:
    found = call(function, 6.9e9, 0.25e9, 28e9)
    if found == 4:
        raise NotYet("On 4 GPUs of 28 GB the states fit, at 27.6 GB each. Where is the largest layer to go?")
    if found == 2:
        raise NotYet("Weights alone need 4 bytes. Their gradients and Adam's two averages need 12 more, and 16 in all.")
    if close(found, 110.4 / 26):
        raise NotYet("Nobody sells a part of a GPU: round up.")
    if found != 5:
        raise NotYet(
            "6.9 billion weights need 110.4 GB, and a largest layer of 0.25 billion takes 2 GB of each GPU, so "
            "26 of 28 GB are left: five GPUs."
        )
    if call(function, 1e9, 0.25e9, 18e9) != 1:
        raise NotYet("16 GB of states and 2 GB for the largest layer just fit into one GPU of 18 GB.")
    if call(function, 6.9e9, 0.5e9, 28e9) != 5 or call(function, 50e9, 0.5e9, 24e9) != 40:
        raise NotYet("The largest layer is whole on every GPU: its 8 bytes a weight are not divided by their number.")
    if call(function, 4.2e9, 1e9, 24e9) != 5:
        raise NotYet(
            "The largest layer's own states are divided with the rest; its 8 bytes a weight come on top of them."
        )
    about = "The largest layer alone fills the GPU."
    if call(function, 50e9, 3e9, 24e9, about=about) != math.inf:
        raise NotYet(f"{about} Then no number of GPUs is enough: `math.inf`.")
    if call(function, 50e9, 4e9, 24e9, about="The largest layer alone is larger than the GPU.") != math.inf:
        raise NotYet("If the largest layer does not even fit, no number of GPUs is enough: `math.inf`.")
    return (
        "Full sharding divides the states, and not the largest layer. Where that one is too large, its own matrices "
        "have to be divided, which is called tensor parallelism."
    )


@exercise("from_a_laptop_to_a_cluster.price")
def _price(function: Any) -> str:
    found = call(function, 10, 0.5, 0.25, 6, 10)
    if close(found, 6):
        raise NotYet("Twice the seeds make it narrower by the root of 2 only. Half the width takes four times as many.")
    if close(found, 24):
        raise NotYet("Ten of the 40 seeds are stored, and no cell is computed twice.")
    if close(found, 180):
        raise NotYet("That is the work of one worker. Ten of them share the 30 cells.")
    if not close(found, 18):
        raise NotYet("Half the width takes 40 seeds. 30 are new; ten workers need three rounds of 6 minutes.")
    if not close(call(function, 10, 0.5, 0.25, 6, 7), 30):
        raise NotYet("Seven workers need five rounds for 30 cells. The last one has two cells, and takes as long.")
    if not close(call(function, 10, 0.5, 0.25, 6, 400), 6):
        raise NotYet("More workers than cells do not make a cell shorter: 6 minutes.")
    if not close(call(function, 10, 0.5, 0.39, 6, 1), 42):
        raise NotYet("10 times (0.5 / 0.39) squared is 16.4, so 17 seeds are needed, and seven of them are new.")
    if not close(call(function, 10, 0.25, 0.5, 6, 1, about="The interval is narrow enough already."), 0):
        raise NotYet("An interval that is narrow enough already costs nothing.")
    return (
        "Half the width costs four times the cells, but with workers enough not one minute more. What no number of "
        "workers makes narrower is what the seeds do not vary."
    )


@exercise("from_a_laptop_to_a_cluster.expected")
def _expected(function: Any) -> str:
    found = call(function, 10.0, 10.0)
    if _near(found, 10.0):
        raise NotYet("That is a cell to which nothing happens. It is cut off with a probability of 1 - 1/e, 0.63.")
    if _near(found, 10 * math.e):
        raise NotYet("e attempts on average, yes. But one that fails is cut off early: it does not last 10 hours.")
    if _near(found, 20.0) or _near(found, 15.0):
        raise NotYet("That counts one loss in 10 hours. But the time that is added may be cut off as well.")
    if not _near(found, 10 * math.expm1(1)):
        raise NotYet(
            "With a cell of 10 hours and a loss in 10 hours, an attempt succeeds with probability 1/e. The attempts "
            "that fail last 4.2 hours on average, and there are e - 1 of them: 17.2 hours in all."
        )
    if not _near(call(function, 0.5, 50.0), 50 * math.expm1(0.01)):
        raise NotYet("A cell of half an hour on machines that last 50 is hardly ever cut off: about half an hour.")
    if not _near(call(function, 20.0, 10.0), 10 * math.expm1(2), 0.04):
        raise NotYet("A cell twice as long as a machine's mean life takes 64 hours, more than three times its length.")
    if not _near(call(function, 2.0, 1.0), math.expm1(2), 0.04):
        raise NotYet("Counted in days it is the same cell: if both times are divided by 10, so is the result.")
    return (
        "A cell of a tenth of the mean life costs 5 % more, one as long as it 72 %, one three times as long more than "
        "six times itself. So on spot machines make cells short, or keep checkpoints within them."
    )


def _near(value: float, target: float, tolerance: float = 0.02) -> bool:
    """Within what a simulation of many cells can reach."""
    return math.isclose(value, target, rel_tol=tolerance)
