"""Answers to the exercises of Resistance: right ones, and wrong ones with what the explanation must speak of."""

import math

import numpy as np

from helpers import results


def raw_difference(forward_excess, inverse_excess, later, earlier):
    return (later + forward_excess) - (earlier + inverse_excess)


def excess(p, q):
    return float(np.sum(p * np.log(p / q)))


def entropy(share, good, bad):
    decision = -sum(x * math.log(x) for x in (share, 1 - share) if x > 0)
    return decision + share * good + (1 - share) * bad


def agreement():
    table = results.read("resistance").query("direction != 'from base'")
    table = table.assign(excess=table["train_loss"] - table["entropy"])
    table["pair"] = [f"{min(pair)}{max(pair)}" for pair in zip(table["start"], table["target"], strict=True)]
    columns = ["train_loss", "entropy", "excess"]
    index = ["model", "behaviour", "seed", "pair"]
    wide = table.pivot_table(index=index, columns="direction", values=columns)
    sign = {name: wide[name]["forward"] > wide[name]["inverse"] for name in columns}
    return {
        "raw": float((sign["train_loss"] == sign["entropy"]).mean()),
        "excess": float((sign["excess"] == sign["entropy"]).mean()),
    }


RIGHT = {"raw_difference": raw_difference, "excess": excess, "entropy": entropy, "agreement": agreement()}
WRONG = [
    ("raw_difference", lambda f, i, later, earlier: f - i, "excess"),
    ("raw_difference", lambda f, i, later, earlier: raw_difference(i, f, earlier, later), "sign is turned"),
    ("raw_difference", lambda f, i, later, earlier: later - earlier, "entropies are equal"),
    ("excess", lambda p, q: excess(p, q) / math.log(2), "bits"),
    ("excess", lambda p, q: -float(np.sum(p * np.log(q))), "whole loss"),
    ("excess", lambda p, q: excess(q, p), "under"),
    ("excess", lambda p, q: -excess(p, q), "sign is turned"),
    ("entropy", lambda share, good, bad: entropy(share, good, bad) / math.log(2), "bits"),
    ("entropy", lambda share, good, bad: share * good + (1 - share) * bad, "even decision"),
    ("entropy", lambda share, good, bad: entropy(share, bad, good), "pole that is chosen"),
    ("entropy", lambda share, good, bad: -share * math.log(share) + good, "even decision|stopped"),
    ("agreement", {"raw": RIGHT["agreement"]["excess"], "excess": RIGHT["agreement"]["raw"]}, "exchanged"),
    ("agreement", {"raw": 1 - RIGHT["agreement"]["raw"], "excess": 0.5}, "opposite"),
    ("agreement", {"raw": 270, "excess": 100}, "between 0 and 1"),
]
