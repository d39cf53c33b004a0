"""Checks of the chapter: Prediction is compression."""

from __future__ import annotations

import math
from typing import Any

from helpers.exercises.checking import NotYet, call, close, exercise


@exercise("prediction_is_compression.entropy")
def _entropy(function: Any) -> str:
    fair = call(function, [0.25, 0.25, 0.25, 0.25])
    if close(fair, -2):
        raise NotYet("The sign is turned: logarithms of probabilities are negative, bits are not.")
    if close(fair, math.log(4)):
        raise NotYet("The shape is right, the unit is not: you count nats. Bits need `math.log2`.")
    if close(fair, 8):
        raise NotYet("You add up the bits of the outcomes as if each occurred. Weigh each with its probability.")
    if not close(fair, 2):
        raise NotYet("One of four equally likely outcomes is named by two bits, so this entropy is 2. Yours is not.")
    if not close(call(function, [0.5, 0.25, 0.25]), 1.5):
        raise NotYet("Equal probabilities you get right. With unequal ones, weigh each outcome's bits by its own.")
    about = "An outcome of probability 0 adds nothing: it never costs a bit. Leave it out."
    if not close(call(function, [0.5, 0.5, 0.0], about=about), 1):
        raise NotYet(about)
    return (
        f"A coin with nine heads in ten has {call(function, [0.9, 0.1]):.3f} bits a toss, the number from the first "
        "cell of this chapter. Less than a bit, though there are two outcomes: entropy counts surprise, not outcomes."
    )


@exercise("prediction_is_compression.room_left")
def _room_left(function: Any) -> str:
    full, half = call(function, [1, 2, 2]), call(function, [2, 2])
    if close(full, 1) and close(half, 0.5):
        raise NotYet("You give the share that is taken. What is left is the rest of 1.")
    if close(half, -3) or close(half, -7):
        raise NotYet("A longer word takes *less* room, not more: the exponent of 2 is negative.")
    if close(half, 0) or close(half, 2):
        raise NotYet("You count words or bits. A word of 2 bits begins a quarter of all bit strings.")
    if not (close(full, 0) and close(half, 0.5)):
        raise NotYet("Words of 1, 2 and 2 bits leave nothing, words of 2 and 2 bits leave one half; yours do not.")
    if not close(call(function, [1, 1, 1]), -0.5):
        raise NotYet("Three words of one bit are one too many: the room left is then -0.5. Do not cut it off at 0.")
    if not close(call(function, []), 1):
        raise NotYet("Without any word the whole room is left: 1.")
    return (
        "Room left is room wasted: make some word shorter until it is 0. Then the lengths are exactly "
        "`-log2` of a probability distribution, and the code has become a model."
    )


@exercise("prediction_is_compression.break_even")
def _break_even(function: Any) -> str:
    point = call(function, 1000, 1.0, 3.0)
    if close(point, 500):
        raise NotYet("The model's size is in bytes and the rates are in bits: there are eight bits in a byte.")
    if close(point, -4000):
        raise NotYet("The sign is turned: the gain of each byte of text is the other rate minus the model's.")
    if close(point, 8000 / 3):
        raise NotYet("You divide by the other compressor's rate. Its lead shrinks with the *difference* of the rates.")
    if not close(point, 4000):
        raise NotYet("1000 bytes are 8000 bits, and each byte of text wins back 3 - 1 = 2 of them: 4000 bytes of text.")
    about = "When the model's code is no shorter, it never wins its own size back: `math.inf`."
    if call(function, 1000, 3.0, 3.0, about=about) != math.inf or call(function, 1000, 3.0, 2.0) != math.inf:
        raise NotYet(about)
    even = call(function, 2e9, 0.8, 2.2) / 1e9
    return (
        f"Take realistic sizes: 2 GB of weights, 0.8 bits per byte against 2.2, pay beyond {even:.0f} GB of text. "
        "Pre-training sets are far larger than that: such a model would be a good compressor of what it was trained "
        "on, its own size included."
    )


@exercise("prediction_is_compression.block_rate")
def _block_rate(function: Any) -> str:
    one, two = call(function, 0.9, 1), call(function, 0.9, 2)
    entropy = -0.9 * math.log2(0.9) - 0.1 * math.log2(0.1)
    if close(one, entropy):
        raise NotYet("You give the entropy: nothing is rounded. A word has a whole number of bits, `math.ceil`.")
    if close(one, 0.9 * 1 + 0.1 * 3):  # the true value is 0.9 * 1 + 0.1 * 4
        raise NotYet("You round down or to the nearest. A word must not be shorter than ideal, so round up.")
    if not close(one, 1.3):
        raise NotYet("One toss: heads gets 1 bit and tails 4, so the mean is 0.9 * 1 + 0.1 * 4 = 1.3. Yours is not.")
    right = _rounded_up(0.9, 2)
    if close(two, 2 * right):
        raise NotYet("You give bits a *block*. Divide by the number of its tosses.")
    if close(two, (0.81 * 1 + 0.09 * 4 + 0.01 * 7) / 2):
        raise NotYet("Heads-tails and tails-heads are two blocks: count how many blocks have the same number of heads.")
    if close(call(function, 0.5, 2), (0.25 * 2 * 2 + 0.5 * 1) / 2):
        raise NotYet(
            "You write one word for each *number* of heads. A word belongs to one block: its length comes from the "
            "probability of that block, and `math.comb` only says how many such blocks there are."
        )
    if not close(two, right):
        raise NotYet("One toss you get right, two not. Sum over the blocks: probability times length, rounded up.")
    if not close(call(function, 0.5, 6), 1):
        raise NotYet("A fair coin needs exactly one bit a toss, in blocks of any length; yours does not.")
    if not close(call(function, 0.9, 60), _rounded_up(0.9, 60)):
        raise NotYet("Short blocks you get right, blocks of 60 tosses not. Do you sum over *all* numbers of heads?")
    return (
        f"Blocks of 1, 10 and 100 tosses need {one:.2f}, {call(function, 0.9, 10):.3f} and "
        f"{call(function, 0.9, 100):.3f} bits a toss; the entropy is {entropy:.3f}. Rounding up costs less than one "
        "bit a block, and a block can be a whole file. That is what a range coder does, without listing the blocks."
    )


def _rounded_up(p: float, n: int) -> float:
    blocks = [(math.comb(n, h), p**h * (1 - p) ** (n - h)) for h in range(n + 1)]
    return sum(count * chance * math.ceil(-math.log2(chance)) for count, chance in blocks) / n
