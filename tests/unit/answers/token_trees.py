"""Answers to the exercises of token_trees: right ones, and wrong ones with what the explanation must speak of."""

import math

from answers import right

RIGHT = right("token_trees")
first_rise, mean_length = RIGHT["first_rise"], RIGHT["mean_length"]


def entropy(probabilities):
    return -sum(p * math.log2(p) for p in probabilities if p)


def in_order(probabilities):
    """Merges from the end of the list, without sorting again."""
    rest, total = sorted(probabilities, reverse=True), 0
    while len(rest) > 1:
        rest[-2:] = [rest[-2] + rest[-1]]
        total += rest[-1]
    return total


def dearer(bits):
    return next((d + 1 for d in range(1, len(bits)) if bits[d] > bits[d - 1]), math.inf)


WRONG = [
    ("node_weight", lambda leaves, path: leaves.get((*path, "END"), 0.0), "passes through"),
    ("node_weight", lambda leaves, path: leaves.get(path, 0.0), "passes through"),
    ("node_weight", lambda leaves, path: sum(leaf[: len(path)] == path for leaf in leaves), "count the leaves"),
    ("node_weight", lambda leaves, path: sum(w for leaf, w in leaves.items() if set(path) <= set(leaf)), "'Go I'"),
    ("node_weight", lambda leaves, path: sum(w for leaf, w in leaves.items() if leaf[:1] == path[:1]), "root"),
    (
        "node_weight",
        lambda leaves, path: sum(w for leaf, w in leaves.items() if not path or leaf[0] == path[0]),
        "two deep",
    ),
    ("node_weight", lambda leaves, path: RIGHT["node_weight"]({k[:-1]: v for k, v in leaves.items()}, path), "END"),
    (
        "node_weight",
        lambda leaves, path: sum(w for leaf, w in leaves.items() if "".join(leaf).startswith("".join(path))),
        "token by token|at the place",
    ),
    (
        "node_weight",
        lambda leaves, path: sum(
            w for leaf, w in leaves.items() if len(leaf) >= len(path) and leaf[len(path) - 1 : len(path)] == path[-1:]
        ),
        "all\\* tokens|whole|root",
    ),
    ("mean_length", entropy, "entropy"),
    ("mean_length", lambda p: sum(x * math.ceil(-math.log2(x)) for x in p), "round each ideal length up"),
    ("mean_length", lambda p: mean_length(p) - 1, "One merge is missing"),
    ("mean_length", lambda p: 5 / 3, "plain mean"),
    ("mean_length", in_order, "among"),
    ("theorem_length", lambda w, d, n: n / d * entropy(w), "Nothing is rounded"),
    ("theorem_length", lambda w, d, n: math.ceil(n / d * entropy(w)), "round the product"),
    ("theorem_length", lambda w, d, n: n // d * math.ceil(entropy(w)), "rest"),
    ("theorem_length", lambda w, d, n: math.ceil(n / d) * entropy(w), "bits a block are not"),
    ("theorem_length", lambda w, d, n: math.ceil(n / d) * math.floor(entropy(w)), "rounded down"),
    ("theorem_length", lambda w, d, n: math.ceil(n / d) * (math.floor(entropy(w)) + 1), "nothing must be added"),
    ("safe_depth", lambda loss: math.floor(1 / loss) + 1, "not the smallest"),
    ("safe_depth", lambda loss: max(1, round(1 / loss)), "Round the depth up"),
    ("safe_depth", lambda loss: 1 / loss, "whole number"),
    ("safe_depth", lambda loss: max(2, math.ceil(1 / loss)), "no depth is smaller"),
    ("first_rise", dearer, "mean"),
    ("first_rise", lambda bits: first_rise(bits) - 1, "one too low"),
    ("first_rise", lambda bits: 4, "never rises"),
    ("first_rise", lambda bits: first_rise(bits) if first_rise(bits) < 9 else len(bits), "never rises"),
]
