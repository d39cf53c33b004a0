"""Answers to the exercises of springs_back: right ones, and wrong ones with what the explanation must speak of."""

from answers import right
from helpers.experiments import FRESH, NEGATIVES, UNRELATED

# What the runs gave to one digit, for the same steps with 256 positives and 128 negatives.
CHANGES = {NEGATIVES: -6.9, FRESH: -4.5, UNRELATED: -0.1, "negatives on the base model": -2.7}
AFTER = {8: 0.0, 32: 3.8}
RIGHT = right("springs_back", live=("companions", "steps")) | {"companions": CHANGES, "steps": AFTER}
rebound_ratio, score = RIGHT["rebound_ratio"], RIGHT["score"]


def below(examples, shares, level):
    return [count for count, share in zip(examples, shares, strict=True) if share <= level][0]


def weights(posteriors, probabilities):
    return sum(probabilities[token] for token in posteriors)


def hard(probabilities, posteriors):
    return sum(probabilities[t] for t, p in posteriors.items() if p > 0.5) / weights(posteriors, probabilities)


WRONG = [
    ("score", lambda p, g: sum(p[t] * g[t] for t in g), r"\*all\* tokens"),
    ("score", lambda p, g: sum(p[t] * g[t] for t in p), "KeyError.*stays out of the score"),
    ("score", lambda p, g: sum(g.values()) / len(g), "counts the same"),
    ("score", lambda p, g: 1 - score(p, g), "bad pole"),
    ("score", lambda p, g: score(p, g) / (1 - score(p, g)), "odds"),
    ("score", hard, "wholly good or wholly bad"),
    ("rebound_ratio", lambda *a: 1 / rebound_ratio(*a), "other way round"),
    ("rebound_ratio", lambda n, *a: rebound_ratio(1, *a), "Set them against the positives"),
    ("rebound_ratio", lambda n, e, s, base: e[2] / n, "still above that of the base"),
    ("rebound_ratio", lambda n, e, s, base: e[-1] / n, "last measurement"),
    ("rebound_ratio", lambda n, e, s, base: rebound_ratio(n, e, s, 0.5), "not at one half"),
    ("rebound_ratio", lambda n, e, s, base: below(e, s, base) / n, "IndexError.*never came back"),
    ("rebound_ratio", lambda n, e, s, base: rebound_ratio(n, e, s, base - 1e-9), "exactly that of the base"),
    ("companions", {k: -v for k, v in CHANGES.items()}, "last minus first"),
    ("companions", {NEGATIVES: -0.5, FRESH: -0.1, UNRELATED: 0.0}, "changes of the share"),
    ("companions", {**CHANGES, FRESH: -8.0}, "same aligned model"),
    ("companions", {**CHANGES, FRESH: -0.1, UNRELATED: -4.5}, "both moods"),
    ("companions", {**CHANGES, UNRELATED: -4.0}, "more than half"),
    ("companions", {"negatives": -3.0, "fresh": -1.0}, "There is no 'fresh pre-training text'"),
    ("companions", [-3.0, -2.0, -0.1], "dictionary"),
    ("steps", {8: 4.9, 32: 0.0}, "fewer steps"),
    ("steps", {8: 0.5, 32: 0.9}, "shares"),
    ("steps", {8: 3.1, 32: 3.1}, "fresh `fork`"),
    ("steps", {8: "low", 32: 3.1}, "value of 8 is a str"),
    ("score", lambda p, g: score(p, g) ** 2, "purely good"),
    ("score", lambda p, g: sum(p[t] * g[t] ** 2 for t in g) / weights(g, p), "posterior's part"),
    ("rebound_ratio", lambda n, e, s, base: s[1], "divide it by `positives`"),
    ("rebound_ratio", lambda n, e, s, base: min(rebound_ratio(n, e, s, base), e[-1] / n), "never came"),
]
