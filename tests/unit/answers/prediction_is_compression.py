"""Answers to the exercises of prediction_is_compression: right ones, and wrong ones with what must be spoken of."""

import math

from answers import right

RIGHT = right("prediction_is_compression")
block_rate, break_even, entropy, room_left = (
    RIGHT["block_rate"],
    RIGHT["break_even"],
    RIGHT["entropy"],
    RIGHT["room_left"],
)


WRONG = [
    ("entropy", lambda p: -entropy(p), "sign"),
    ("entropy", lambda p: entropy(p) * math.log(2), "nats"),
    ("entropy", lambda p: sum(-math.log2(x) for x in p), "Weigh"),
    ("entropy", lambda p: math.log2(len(p)), "unequal"),
    ("entropy", lambda p: -sum(x * math.log2(x) for x in p), "probability 0"),
    ("room_left", lambda lengths: 1 - room_left(lengths), "share that is taken"),
    ("room_left", lambda lengths: 1 - sum(lengths), "less"),
    ("room_left", lambda lengths: max(room_left(lengths), 0), "cut it off"),
    ("break_even", lambda m, a, b: break_even(m, a, b) / 8, "eight bits"),
    ("break_even", lambda m, a, b: 8 * m / b, "difference"),
    ("break_even", lambda m, a, b: 8 * m / (b - a), "inf"),
    ("block_rate", lambda p, n: entropy([p, 1 - p]), "ceil"),
    (
        "block_rate",
        lambda p, n: (
            sum(
                c * math.ceil(-math.log2(c))
                for c in (math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1))
            )
            / n
        ),
        "belongs to one block|each \\*number",
    ),
    ("block_rate", lambda p, n: n * block_rate(p, n), "number of its tosses"),
    ("block_rate", lambda p, n: block_rate(p, min(n, 10)), "60 tosses"),
]
