"""Checks of the chapter: Rebound."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from helpers import results
from helpers.exercises.checking import NotYet, call, close, exercise, numbers
from helpers.experiments import NEGATIVES
from helpers.statistics import trend


@exercise("rebound.needed")
def _needed(function: Any) -> str:
    down = [0, 10, 20], [0.9, 0.7, 0.3]
    found = call(function, *down, 0.5)
    if close(found, 20):
        raise NotYet("That is the first measurement at or below the level. The curve crosses it on the way there.")
    if close(found, 10):
        raise NotYet("That is the last measurement above the level. The curve crosses it a little later.")
    if not close(found, 15):
        raise NotYet("From 0.7 after 10 to 0.3 after 20, a straight line is at 0.5 half way: after 15.")
    if not close(call(function, *down, 0.4), 17.5):
        raise NotYet("A level of 0.4 is three quarters of the way from 0.7 to 0.3.")
    if not close(call(function, [0, 8, 16], [0.4, 0.3, 0.2], 0.5, about="It begins below the level."), 0):
        raise NotYet("A curve that begins at or below the level needs no negatives: 0.")
    if not close(call(function, [0, 8, 16, 24], [0.9, 0.4, 0.8, 0.3], 0.5, about="It crosses twice."), 6.4):
        raise NotYet("The curve goes down, up and down again. The *first* crossing is asked for.")
    if not close(call(function, [0, 10, 20, 30], [0.9, 0.5, 0.7, 0.3], 0.5, about="It touches the level."), 10):
        raise NotYet("After 10 the share *is* 0.5, so it has come down to the level there, though it rises again.")
    never = call(function, *down, 0.1, about="It never comes down to 0.1.")
    if never != math.inf:
        raise NotYet("The curve never comes down to 0.1. Then nobody knows how many it takes: give back `math.inf`.")
    return (
        "A count that is read off between measurements, and a run that never arrives: both are ordinary, and both have "
        "to be treated the same way in every group. `statistics.crossings` does what you just wrote."
    )


@exercise("rebound.share_lost")
def _share_lost(function: Any) -> str:
    def lost(share: float, fall: float) -> float:
        return share - 1 / (1 + math.exp(fall - math.log(share / (1 - share))))

    for share, fall in ((0.88, 2.0), (0.999, 2.0), (0.5, 1.0)):
        found = call(function, share, fall)
        if close(found, share - lost(share, fall)) and not close(found, lost(share, fall)):
            raise NotYet("That is the share that is left. How much was lost?")
        if close(found, -lost(share, fall)):
            raise NotYet("The sign is turned: what is lost counts as positive here.")
        if close(found, lost(share, fall / math.log2(math.e))):
            raise NotYet("Log-odds are in nats here: natural logarithm and `math.exp`.")
        if not close(found, lost(share, fall)):
            odds = math.log(share / (1 - share))
            raise NotYet(f"From a share of {share} the log-odds are {odds:.2f}; take {fall:g} off and go back.")
    if not close(call(function, 0.7, 0.0), 0):
        raise NotYet("A fall of nothing loses nothing.")
    return (
        "The same fall in log-odds takes much from a share of 0.88 and hardly anything from one of 0.999. Two curves "
        "can fall equally fast inside the model and look entirely different on a plot of shares. Look at both."
    )


@exercise("rebound.median_needed")
def _median_needed(function: Any) -> str:
    if not close(call(function, [30, 10, 20]), 20):
        raise NotYet("Sorted, 30, 10 and 20 have 20 in their middle.")
    found = call(function, [10, None, 20, None, 30], about="Two of five had not come back.")
    if close(found, 20):
        raise NotYet("You left the runs out that had not come back. But they needed *more* than the others.")
    if close(found, 10):
        raise NotYet("You count the runs that had not come back as quick ones. They needed more than the others.")
    if not close(found, 30):
        raise NotYet("Sorted, the five are 10, 20, 30, and two that need more: the middle one is 30.")
    if not close(call(function, [40, 10, 30, 20]), 20):
        raise NotYet("With an even number, take the lower of the two in the middle: 20 of 10, 20, 30, 40.")
    if call(function, [10, None, None], about="Two of three had not come back.") != math.inf:
        raise NotYet("The middle run of the three had not come back. Nobody knows its count: give back `math.inf`.")
    if not close(call(function, [10, None, None, 20]), 20):
        raise NotYet("Of four runs two came back, after 10 and 20. The lower middle one is the second: 20.")
    return (
        "Leaving out what has not come back makes every return look quick. When all runs are followed equally long, "
        "as here, the estimate of Kaplan and Meier is just this."
    )


@exercise("rebound.slopes")
def _slopes(answer: Any) -> str:
    mean, smallest = numbers(answer, ("mean", "smallest"), "the two slopes").values()
    table = results.read("rebound").query("model == 'neox-1m' and behaviour == 'refusal'")
    right = trend(table, "positives", "log_odds", 64, lost=True)
    if abs(mean - right.mean()) < 0.01 and abs(smallest - right.min()) < 0.01:
        return (
            "In the mean over the grid, a doubling of the positives makes the same 64 negatives cost that much more "
            "log-odds, and the slope is above zero in every single seed. Deeper alignment falls faster here, and yet "
            "the model ends no lower: it had more to lose."
        )
    if abs(mean + right.mean()) < 0.01:
        raise NotYet("The sign is turned: *lost* is the start less what is left.")
    if abs(mean - right.mean() / math.log2(math.e)) < 0.01 or abs(mean - right.mean() / math.log(2)) < 0.01:
        raise NotYet("That is a slope over another logarithm. A doubling is one unit of the base-2 logarithm.")
    rows = table[table["run"] == NEGATIVES]
    left = [
        np.polyfit(np.log2(r["positives"]), r["log_odds"], 1)[0]
        for _, r in rows[rows["examples"] == 64].groupby("seed")
    ]
    if abs(mean - np.mean(left)) < 0.01:
        raise NotYet("That is the slope of what is *left* after 64 negatives. How much was lost since the start?")
    if smallest > mean:
        raise NotYet("The smallest of ten numbers is not above their mean.")
    raise NotYet(
        "Not these. For each seed take the four numbers of positives, the log-odds at 0 less those at 64 negatives; "
        "fit a line over `np.log2(positives)`. Use the runs of negatives only."
    )
