"""Answers to the exercises of From a laptop to a cluster: right ones, and wrong ones and what is to be said of them."""

import math

from answers import right

RIGHT = right("from_a_laptop_to_a_cluster")
gpus, price = RIGHT["gpus"], RIGHT["price"]


def all_but_one_round(seeds, width, wanted, minutes, workers):
    new = max(0, math.ceil(seeds * (width / wanted) ** 2) - seeds)
    return new / workers * minutes


def never_negative(function):
    return lambda *arguments: function(*arguments) if arguments[1] > arguments[2] else 0


def all_again(seeds, width, wanted, minutes, workers):
    return math.ceil(math.ceil(seeds * (width / wanted) ** 2) / workers) * minutes


def in_proportion(seeds, width, wanted, minutes, workers):
    return math.ceil(seeds * (width / wanted - 1) / workers) * minutes


def below_nothing(seeds, width, wanted, minutes, workers):
    return math.ceil((math.ceil(seeds * (width / wanted) ** 2) - seeds) / workers) * minutes


def rounded(seeds, width, wanted, minutes, workers):
    return math.ceil(max(0, round(seeds * (width / wanted) ** 2) - seeds) / workers) * minutes


def no_end(weights, largest, memory):
    return math.ceil(16 * weights / (memory - 8 * largest)) if memory > 8 * largest else 0


WRONG = [
    ("speed_up", lambda serial, workers: serial + (1 - serial) / workers, "old time over the new"),
    ("speed_up", lambda serial, workers: 1 / (serial + 1 / workers), "Only the rest"),
    ("speed_up", lambda serial, workers: serial + (1 - serial) * workers, "Times are what adds up"),
    ("speed_up", lambda serial, workers: min(1 / (serial + (1 - serial) / workers), 8), "40 workers"),
    ("gpus", lambda weights, largest, memory: math.ceil(16 * weights / memory), "Where is the largest layer"),
    ("gpus", lambda weights, largest, memory: math.ceil(4 * weights / (memory - 8 * largest)), "12 more"),
    ("gpus", lambda weights, largest, memory: 16 * weights / (memory - 8 * largest), "round up"),
    ("gpus", lambda weights, largest, memory: math.floor(16 * weights / (memory - 8 * largest)) + 1, "just fit"),
    ("gpus", lambda weights, largest, memory: math.ceil(16 * weights / (memory - 2e9)), "is whole on every GPU"),
    (
        "gpus",
        lambda weights, largest, memory: math.ceil(16 * (weights - largest) / (memory - 8 * largest)),
        "come on top",
    ),
    ("gpus", no_end, "No number|no number"),
    ("price", in_proportion, "root of 2"),
    ("price", all_again, "no cell is computed twice"),
    ("price", lambda *given: price(*given[:4], 1), "one worker"),
    ("price", never_negative(all_but_one_round), "last one has two cells"),
    ("price", rounded, "17 seeds"),
    ("price", below_nothing, "narrow enough"),
    ("expected", lambda cell, mean: cell, "nothing happens"),
    ("expected", lambda cell, mean: cell * math.exp(cell / mean), "cut off early"),
    ("expected", lambda cell, mean: cell * (1 + cell / mean), "one loss"),
    ("expected", lambda cell, mean: 1.71828 * cell, "half an hour"),
]
