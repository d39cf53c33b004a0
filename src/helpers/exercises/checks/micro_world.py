"""Checks of the chapter: The micro-world and its models."""

from __future__ import annotations

import math
from typing import Any

from helpers import world
from helpers.exercises.checking import NotYet, call, close, exercise


@exercise("micro_world.bits_per_byte")
def _bits_per_byte(function: Any) -> str:
    value = call(function, [math.log(0.5)] * 8, "abcd")  # 8 bits for 4 bytes
    if value < 0:
        raise NotYet("A code length cannot be negative. Log probabilities are: change the sign.")
    if close(value, 2 * math.log(2)):
        raise NotYet("You count in nats. The log probabilities are natural ones; divide by `math.log(2)` for bits.")
    if close(value, 1):
        raise NotYet("That is bits per *token*. Divide the bits of all tokens by the bytes of the text.")
    if close(value, 8):
        raise NotYet("These are the bits of the whole text. Divide by its number of bytes.")
    if close(value, 0.5):
        raise NotYet("Bytes per bit: it is upside down.")
    if not close(value, 2):
        raise NotYet("A token of probability one half costs one bit. Add the costs up and divide by the bytes.")
    about = "The text is `crème`."
    accents = call(function, [math.log(0.25)] * 3, "crème", about=about)  # 6 bits for 6 bytes
    if close(accents, 6 / 5):
        raise NotYet("You count characters. A byte is not a letter: `crème` has one more, see `text.encode()`.")
    if not close(accents, 1):
        raise NotYet("Plain letters work, `crème` does not. Its bytes are `text.encode()`.")
    source = world.load()
    document = source.sample(1, seed=0, split="held_out")[0].text
    exact = call(function, list(source.log_prob(document, explain=True).token_log_probs), document)
    return (
        f"One document of the world takes {exact:.2f} bits per byte with the world's own probabilities; a plain text "
        "file takes 8. No tokens appear in the unit, so models with different tokenizers can be compared."
    )


@exercise("micro_world.zipf")
def _zipf(function: Any) -> str:
    first, second, third = (call(function, rank, 10) for rank in (1, 2, 3))
    total = sum(call(function, rank, 10) for rank in range(1, 11))
    if close(first, second):
        raise NotYet("All ranks are equally likely with you. The first one should be twice as likely as the second.")
    if first < second:
        raise NotYet("Rank 1 is the most frequent word, so the probability must fall with the rank; yours grows.")
    if not close(first, 2 * second):
        hint = " Do you count ranks from 0? Here the first one is 1." if close(first, 1.5 * second) else ""
        raise NotYet(f"The first rank should be twice as likely as the second, since 1 / rank says so.{hint}")
    if not close(second, 1.5 * third):
        raise NotYet(
            "From rank 1 to 2 it is right, from 2 to 3 not: it falls too fast or too slow. Zipf's law is 1 / rank; "
            "halving from rank to rank is a geometric law, whose tail is much thinner."
        )
    if not close(total, 1):
        raise NotYet(
            "The proportions are right, but all ranks together do not make 1. Divide by the sum of all 1 / rank."
        )
    source = world.load()
    people = sorted(source.next_token_probs("Review by", source.component("mood", "positive")).values(), reverse=True)
    if not all(close(call(function, rank, len(people)), p) for rank, p in enumerate(people, 1)):
        raise NotYet("For ten words it is right, for as many as the world has people it is not: does it depend on `n`?")
    return (
        f"These are the very probabilities of the world's {len(people)} people: the first is named in {people[0]:.0%} "
        f"of the reviews, the last in {people[-1]:.1%}. A model must see much text before it has learned the rare ones."
    )


@exercise("micro_world.posterior")
def _posterior(function: Any) -> str:
    log = math.log
    even, value = call(function, log(0.2), log(0.2), 0.5), call(function, log(0.3), log(0.1), 0.5)
    if close(value, log(3)):
        raise NotYet("These are the log-odds, the difference of the logarithms. One more step makes it a probability.")
    if close(value, 3):
        raise NotYet("These are the odds, good to bad. A probability is the good part of good and bad together.")
    if close(value, 0.3) or close(value, 0.15):
        raise NotYet("That is how likely the text is, not the pole. Divide by the probability of the text under both.")
    if close(value, 0.25):
        raise NotYet(
            "You give the posterior of the bad pole. A text that is likelier under the good one speaks for good."
        )
    if not 0 <= value <= 1:
        raise NotYet("A probability lies between 0 and 1; yours does not. The arguments are logarithms: use `exp`.")
    if not (close(even, 0.5) and close(value, 0.75)):
        raise NotYet(
            "Take a text three times as likely under the good pole: with even priors the posterior must be three "
            "quarters. Each pole's part is its prior times `exp` of its log probability."
        )
    prior = call(function, log(0.3), log(0.1), 0.2)
    if close(prior, 0.75):
        raise NotYet("The prior changes nothing with you. When good texts are rare, the same evidence must count less.")
    if not close(prior, 3 / 7):
        raise NotYet("With an uneven prior it is wrong. The bad pole's prior is 1 minus the good one's.")
    about = "`exp` of these is 0 in a computer, and so are both parts. Only the *difference* of the two matters."
    if not close(call(function, -800.0, -803.0, 0.5, about=about), 1 / (1 + math.exp(-3))):
        raise NotYet(f"For improbable texts it goes wrong: whole documents have log probabilities like -800. {about}")
    about = "The text is far likelier under the bad pole, and `exp` of a large number is more than a computer holds."
    if not close(call(function, -2000.0, -1000.0, 0.5, about=about), 0):
        raise NotYet(f"{about} The posterior must be 0.")
    source = world.load()
    text = source.sample(1, 0, source.component("mood", "positive"))[0].text
    logs = [source.log_prob(text, source.component("mood", pole)) for pole in source.behaviours["mood"].poles]
    about = "The bad pole cannot produce this text at all: its log probability is minus infinity."
    if not close(call(function, *logs, 0.5, about=about), 1):
        raise NotYet(f"{about} The posterior must be 1.")
    return (
        "This is the oracle that scores all behaviour in this book. A classifier has an opinion; Bayes' rule with the "
        "grammar that wrote the text has the answer."
    )


@exercise("micro_world.excess")
def _excess(function: Any) -> str:
    if close(call(function, [0.5, 0.5], [0.5, 0.5]), 1):
        raise NotYet(
            "A model that equals the source has no excess, and yours is 1 bit. That is the whole code length; "
            "subtract what the source itself needs."
        )
    source, model = [0.25, 0.75], [0.6, 0.4]
    value = call(function, source, model)

    def bits(p, q):
        return sum(x * math.log2(x / y) for x, y in zip(p, q, strict=True))

    entropy = [-sum(x * math.log2(x) for x in p) for p in (source, model)]
    if value < 0:
        raise NotYet("Negative: no model can beat the source on average. Turn the fraction or the sign round.")
    if close(value, bits(model, source)):
        raise NotYet("The texts come from the *source*, so the mean is over its probabilities, not over the model's.")
    if close(value, entropy[1] - entropy[0]):
        raise NotYet(
            "That is the difference of two entropies. The model pays -log2 of *its own* q, as often as p says."
        )
    if close(value, bits(source, model) * math.log(2)):
        raise NotYet("The idea is right, the unit is not: use `math.log2`, so that the result is in bits.")
    if not close(value, bits(source, model)):
        raise NotYet("Each symbol has the excess log2(p / q). Average it with the weights p of the source.")
    about = "The third symbol never occurs in the source: it costs nothing and must be skipped."
    if not close(call(function, [0.5, 0.5, 0.0], [0.4, 0.4, 0.2], about=about), math.log2(1.25)):
        raise NotYet(f"With a probability of 0 in the source it is wrong. {about}")
    return (
        "Never negative, and zero only for the source itself: its entropy is a floor that no model can pass on "
        "average. One that seems to was lucky with its sample, or has seen it before."
    )
