"""Answers to the exercises of micro_world: right ones, and wrong ones with what the explanation must speak of."""

import math

from answers import right

RIGHT = right("micro_world")
bits_per_byte, excess, posterior, zipf = RIGHT["bits_per_byte"], RIGHT["excess"], RIGHT["posterior"], RIGHT["zipf"]


def naive_posterior(a, b, prior=0.5):
    return math.exp(a) * prior / (math.exp(a) * prior + math.exp(b) * (1 - prior))


def entropy(p):
    return -sum(x * math.log2(x) for x in p if x)


WRONG = [
    ("bits_per_byte", lambda logs, text: -bits_per_byte(logs, text), "negative"),
    ("bits_per_byte", lambda logs, text: bits_per_byte(logs, text) * math.log(2), "nats"),
    ("bits_per_byte", lambda logs, text: -sum(logs) / math.log(2) / len(logs), "per \\*token\\*"),
    ("bits_per_byte", lambda logs, text: -sum(logs) / math.log(2), "whole text"),
    ("bits_per_byte", lambda logs, text: 1 / bits_per_byte(logs, text), "upside down"),
    ("bits_per_byte", lambda logs, text: -sum(logs) / math.log(2) / len(text), "characters"),
    ("bits_per_byte", lambda logs, text: bits_per_byte(logs, text.encode("ascii").decode()), "crème"),
    ("zipf", lambda rank, n: 1 / rank, "do not make 1"),
    ("zipf", lambda rank, n: 1 / n, "equally likely"),
    ("zipf", lambda rank, n: rank / sum(range(1, n + 1)), "fall with the rank"),
    ("zipf", lambda rank, n: zipf(rank + 1, n), "ranks from 0"),
    ("zipf", lambda rank, n: 2.0**-rank, "geometric"),
    ("zipf", lambda rank, n: zipf(rank, 10), "depend on `n`"),
    ("posterior", lambda a, b, prior: a - b, "log-odds"),
    ("posterior", lambda a, b, prior: math.exp(a - b), "odds, good to bad"),
    ("posterior", lambda a, b, prior: math.exp(a) * prior, "not the pole"),
    ("posterior", lambda a, b, prior: 1 - posterior(a, b, prior), "bad pole"),
    ("posterior", lambda a, b, prior: a / (a + b), "three times as likely"),
    ("posterior", lambda a, b, prior: posterior(a, b), "rare"),
    ("posterior", naive_posterior, "ZeroDivisionError.*difference"),
    ("posterior", lambda a, b, prior: posterior(max(a, b - 20), max(b, a - 5), prior), "minus infinity"),
    ("posterior", lambda a, b, prior: 1 / (1 + math.exp(b - a) * (1 - prior) / prior), "OverflowError.*large number"),
    ("excess", lambda p, q: entropy(p) + excess(p, q), "whole code length"),
    ("excess", lambda p, q: excess(q, p), "\\*source\\*"),
    ("excess", lambda p, q: -excess(p, q), "Negative"),
    ("excess", lambda p, q: entropy(q) - entropy(p), "two entropies"),
    ("excess", lambda p, q: excess(p, q) * math.log(2), "unit is not"),
    ("excess", lambda p, q: sum(x * math.log2(x / y) for x, y in zip(p, q)), "ValueError.*skipped"),  # noqa: B905
    ("bits_per_byte", lambda logs, text: bits_per_byte(logs, text) ** 2, "Add the costs up"),
    ("bits_per_byte", lambda logs, text: bits_per_byte(logs, text + "é" * ("è" in text)), "Its bytes"),
    ("posterior", lambda a, b, prior: a + b, "between 0 and 1"),
    ("posterior", lambda a, b, prior: posterior(a + math.log(prior), b + math.log(0.5)), "1 minus"),
    ("posterior", lambda a, b, prior: posterior(max(a, -700), max(b, -700), prior), "improbable texts"),
    ("excess", lambda p, q: max(abs(x - y) for x, y in zip(p, q, strict=True)), "excess log2"),
    ("excess", lambda p, q: excess(p, q) + 0.1 * (0 in p), "must be skipped"),
]
