"""Answers to the exercises of Other algorithms: right ones, and wrong ones with what the explanation must speak of."""

import math

from answers import right

RIGHT = right("algorithms")
dpo_loss, silent = RIGHT["dpo_loss"], RIGHT["silent"]


WRONG = [
    ("dpo_loss", lambda c, r, c0, r0, b: math.log1p(math.exp(b * ((c - c0) - (r - r0)))), "sign is turned"),
    ("dpo_loss", lambda c, r, c0, r0, b: dpo_loss(c, r, c0, r0, 1), "beta"),
    ("dpo_loss", lambda c, r, c0, r0, b: math.log1p(math.exp(-b * (c - r))), "ln 2"),
    ("advantages", lambda rewards: [r - sum(rewards) / len(rewards) for r in rewards], "itself out"),
    ("advantages", lambda rewards: [(r - sum(rewards) / len(rewards)) * 4 / 3 for r in rewards], "not for two"),
    ("advantages", lambda rewards: rewards, "reward 0|nothing to prefer"),
    ("silent", lambda bad, prompts, samples: (1 - bad) ** (samples * prompts), "All bad"),
    ("silent", lambda bad, prompts, samples: 1 - silent(bad, 1, samples), "does move"),
    ("silent", lambda bad, prompts, samples: silent(bad, 1, samples), "Both of two"),
    ("first_step", lambda g, rate, scale, adam: abs(rate * g), "ten times"),
    ("first_step", lambda g, rate, scale, adam: rate * scale if adam else abs(rate * g * scale), "own size"),
    ("first_step", lambda g, rate, scale, adam: rate * g / abs(g) if adam else rate * g * scale, "positive"),
]
