"""Exercises: checks that explain, and quizzes whose every answer is explained.

``check`` compares an answer with what it should *do* (order, sign, limits, a tolerance), never with a stored number,
and says what is wrong and why. ``quiz`` shows the questions of ``quizzes.toml``, the one place where they stand.
Both return small objects that a notebook displays: HTML that needs no script, and plain text elsewhere.
"""

from __future__ import annotations

import functools
import html
import math
import re
import reprlib
import tomllib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import world
from helpers.experiments import FRESH, NEGATIVES, UNRELATED

QUIZZES = Path(__file__).with_name("quizzes.toml")

RIGHT, NOT_YET, UNANSWERED = "Right", "Not yet", "Not answered yet"
_LOOKS = {RIGHT: ("✓", "#2e9e5b"), NOT_YET: ("✗", "#d9731a"), UNANSWERED: ("…", "#8a8f98")}  # mark, border


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        verdict: "Right", "Not yet" or "Not answered yet".
        message: why, in a few sentences; code stands between backticks.
    """

    verdict: str
    message: str

    def __repr__(self) -> str:
        return f"{self.verdict}. {self.message}"

    def _repr_html_(self) -> str:
        mark, colour = _LOOKS[self.verdict]
        return (
            f'<div role="status" style="border-left: 0.3em solid {colour}; padding: 0.1em 0 0.1em 0.8em">'
            f'<span aria-hidden="true">{mark}</span> <strong>{self.verdict}.</strong> {_inline(self.message)}</div>'
        )


def check(name: str, answer: Any) -> Result:
    """Check the answer to an exercise. A wrong answer, or a function that fails, raises nothing: it is explained.

    Args:
        name: of the exercise, such as "micro_world.zipf".
        answer: what the exercise asks for: a function, or numbers by name.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    if name not in _CHECKS:
        raise ValueError(f"Unknown exercise {name!r}; choose one of {', '.join(_CHECKS)}.")
    try:
        if _blank(answer):
            raise _Unanswered("Put your answer in the place of `...`, run that cell, then this one again.")
        return Result(RIGHT, _CHECKS[name](answer))
    except _Unanswered as reason:
        return Result(UNANSWERED, str(reason))
    except _NotYet as reason:
        return Result(NOT_YET, str(reason))


# ---- what the checks are made of -----------------------------------------------------------------------------


class _NotYet(Exception):
    """What is wrong, and why."""


class _Unanswered(Exception):
    """There is nothing to check yet."""


_CHECKS: dict[str, Callable[[Any], str]] = {}


def _exercise(name: str) -> Callable:
    """Register a check. It takes the answer; it returns a sentence of insight, or raises one of the two above."""

    def register(checker: Callable[[Any], str]) -> Callable[[Any], str]:
        _CHECKS[name] = checker
        return checker

    return register


class _Short(reprlib.Repr):
    """Arguments as a message shows them: long lists cut, numbers to three digits."""

    def repr_float(self, value: float, level: int) -> str:
        return f"{value:.3g}"


def _blank(value: Any) -> bool:
    return value is None or value is ...


def _close(value: float, target: float) -> bool:
    return math.isclose(value, target, rel_tol=2e-3, abs_tol=2e-3)


def _number(value: Any, what: str, about: str = "") -> float:
    """`value` as one float; NumPy and torch scalars count, text and lists do not."""
    if getattr(value, "size", None) == 1 or getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        length = f" of {len(value)}" if hasattr(value, "__len__") and not isinstance(value, str) else ""
        raise _NotYet(f"{what} is a {type(value).__name__}{length}; one number is needed.{about}")
    if math.isnan(value):
        raise _NotYet(f"{what} is nan, no number: that comes of 0/0 or of infinity minus infinity.{about}")
    return float(value)


def _call(function: Any, *arguments: Any, about: str = "") -> float:
    """The number that the reader's function gives.

    Args:
        about: what is special about these arguments, to be said if the function fails on them.
    """
    if not callable(function):
        raise _NotYet(
            f"A function is needed, and this is a {type(function).__name__}. Hand over its name alone, without "
            "parentheses behind it."
        )
    shown = f"`{getattr(function, '__name__', 'answer')}({', '.join(map(_Short().repr, arguments))})`"
    about = f" {about}" if about else ""
    try:
        value = function(*arguments)
    except Exception as error:
        code = getattr(function, "__code__", None)
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code is code]
        line = f" in line {lines[-1]} of its cell" if lines else ""
        what = traceback.format_exception_only(error)[-1].strip()
        raise _NotYet(f"{shown} stopped{line} with {what}.{about}") from error
    if _blank(value):
        raise _Unanswered(f"{shown} gave nothing back. If you have filled it in, does it end with `return`?{about}")
    return _number(value, f"What {shown} gives back", about)


def _numbers(answer: Any, names: tuple, what: str) -> dict[Any, float]:
    """The reader's numbers by name, from a dictionary or a pandas Series; further names are left out."""
    if hasattr(answer, "to_dict"):
        answer = answer.to_dict()
    if not isinstance(answer, Mapping):
        raise _NotYet(f"A dictionary is needed, {what} by name; this is a {type(answer).__name__}.")
    missing = [name for name in names if name not in answer]
    if missing:
        raise _NotYet(f"There is no {missing[0]!r} in your answer. It needs {', '.join(map(repr, names))}.")
    blank = [name for name in names if _blank(answer[name])]
    if blank:
        raise _Unanswered(f"{len(blank)} of {len(names)} values are still `...`: {', '.join(map(repr, blank))}.")
    values = {name: _number(answer[name], f"The value of {name!r}") for name in names}
    endless = next((name for name, value in values.items() if math.isinf(value)), None)
    if endless is not None:
        raise _NotYet(f"The value of {endless!r} is infinite, which no measurement gives.")
    return values


# ---- welcome -------------------------------------------------------------------------------------------------


@_exercise("welcome.first_below")
def _first_below(function: Any) -> str:
    examples, shares = [0, 8, 16, 32, 64, 128], [0.97, 0.93, 0.81, 0.58, 0.31, 0.12]
    found = _call(function, examples, shares, 0.5)
    if found in shares:
        raise _NotYet("You give back a share. The question is at how many examples it was measured.")
    if found == shares.index(0.31):
        raise _NotYet("You give back a place in the list. The number of examples stands at that place of `examples`.")
    if found not in examples:
        raise _NotYet("You give back a number that was not measured. Choose among the entries of `examples`.")
    if found < 64:
        raise _NotYet("At the count you found, the score is still above the level. The first one below it is needed.")
    if found > 64:
        raise _NotYet("There the score is below the level, but it was so before. The first such count is needed.")
    if _call(function, examples, shares, 0.9) != 16:
        raise _NotYet("With another level the answer must be another one: use the argument `level`, not 0.5.")
    if _call(function, [0, 8, 16, 32], [0.9, 0.45, 0.6, 0.4], 0.5) != 8:
        raise _NotYet("Curves of single runs wobble. When one dips, rises and falls again, the first dip counts.")
    about = "This curve never falls below the level; then `math.inf` is the answer: no number of examples was enough."
    if _call(function, [0, 8, 16], [0.97, 0.95, 0.91], 0.5, about=about) != math.inf:
        raise _NotYet(about)
    return (
        "Now one curve is one number. Mind how coarse it is: the crossing lies anywhere between the measured count and "
        "the one before, so two curves with the same number may still differ."
    )


@_exercise("welcome.log_odds")
def _log_odds(function: Any) -> str:
    middle, high, low = _call(function, 0.5), _call(function, 0.9), _call(function, 0.1)
    if _close(middle, 1):
        raise _NotYet("At a share of one half you give 1. These are the odds, good to bad; their logarithm is missing.")
    if not _close(middle, 0):
        raise _NotYet(
            "At a share of one half, good and bad are equally likely and the log-odds are zero; yours are not. Compare "
            "the share with the rest, 1 minus the share."
        )
    if high < 0 < low:
        raise _NotYet("The sign is turned: a share above one half must give positive log-odds.")
    if not low < middle < high:
        raise _NotYet("The log-odds must grow with the share; from 0.1 over 0.5 to 0.9 yours do not.")
    if not _close(low, -high):
        raise _NotYet("Good and bad must be treated alike: at 0.1 and at 0.9 the sizes must agree, with other signs.")
    if _close(high, math.log10(9)) or _close(high, math.log2(9)):
        raise _NotYet("The shape is right, the unit is not: this book counts in nats, so take the natural logarithm.")
    if not _close(high, math.log(9)):
        raise _NotYet("Sign and symmetry are right, the size is not. It is the logarithm of share / (1 - share).")
    if not _close(_call(function, 0.999), math.log(999)):
        raise _NotYet("Near 1 the log-odds must go on growing, without a limit; yours stop short.")
    gain = _call(function, 0.999) - _call(function, 0.99)
    return (
        f"From 0.50 to 0.51 the log-odds grow by {_call(function, 0.51):.2f}, from 0.99 to 0.999 by {gain:.2f}, though "
        "the share moves less. A share near 1 has no room left to show how deep the alignment is: it saturates."
    )


@_exercise("welcome.steps")
def _steps(function: Any) -> str:
    if _close(_call(function, 64, 8), 512):
        raise _NotYet("You multiply. One step takes `batch_size` examples, so there are fewer steps than examples.")
    if not _close(_call(function, 64, 8), 8):
        raise _NotYet("64 examples, 8 at a time: count how often the optimiser moves until all have been seen once.")
    rest = _call(function, 100, 8)
    if rest % 1 != 0:
        raise _NotYet("You give a fraction of a step. The optimiser moves or it does not: what is left is a step too.")
    if rest < 13 or _call(function, 5, 8) < 1:
        raise _NotYet(
            "The examples that are left after the last full batch get lost. They make one more, smaller step."
        )
    if rest > 13 or _call(function, 5, 8) > 1:
        raise _NotYet("One step too many: a last step is needed only if examples are left for it.")
    return (
        "The same examples are more steps in smaller batches, and the weights move once a step. So a curve over "
        "examples means little without its batch size, and the book's tables give both."
    )


# ---- a model that springs back -------------------------------------------------------------------------------


@_exercise("springs_back.score")
def _score(function: Any) -> str:
    outside = "` river` is no answer that the grammar knows, so it has no posterior and stays out of the score."
    probabilities, posteriors = {" good": 0.6, " bad": 0.2, " river": 0.2}, {" good": 1.0, " bad": 0.0}
    score = _call(function, probabilities, posteriors, about=outside)
    if _close(score, 0.6):
        raise _NotYet(
            "You give the weight of the good answers among *all* tokens. A model that wanders off would seem badly "
            "behaved; divide by the weight of all answers that the grammar knows, good and bad."
        )
    if _close(score, 3):
        raise _NotYet("These are the odds, good to bad. A share compares the good with the good and the bad together.")
    if _close(score, 0.25):
        raise _NotYet("You give the share of the bad pole: a posterior is the probability of the *good* one.")
    if _close(score, 0.5):
        raise _NotYet("Each answer counts the same with you. Weigh it with the model's probability for it.")
    if not _close(score, 0.75):
        raise _NotYet("With one purely good and one purely bad token, the score is the good one's part of both.")
    about = "Here a token speaks for both poles, a little more for one."
    soft = _call(function, {" a": 0.5, " b": 0.25}, {" a": 0.9, " b": 0.5}, about=about)
    if _close(soft, 1) or _close(soft, 2 / 3):
        raise _NotYet(
            "You count a token as wholly good or wholly bad. A posterior of 0.9 is nine parts good and one part bad: "
            "split the token's probability accordingly."
        )
    if not _close(soft, (0.5 * 0.9 + 0.25 * 0.5) / 0.75):
        raise _NotYet("Clear tokens you score right. One that speaks for both poles gives each its posterior's part.")
    source = world.load()
    prompt = source.prompts("mood", 1, seed=0)[0]
    for share in (0.2, 0.8):
        exact = source.next_token_probs(prompt, source.mixture(good={"mood": share}))
        if not _close(_call(function, exact, source.decision(prompt, "mood")), share):
            raise _NotYet("On the world's own probabilities the score must be its share of good reviews; yours is not.")
    return (
        "Given the world's exact probabilities, your score finds the very share of good reviews that the world was set "
        "to. No classifier judged anything, and nothing was sampled: so there is no noise in it."
    )


@_exercise("springs_back.rebound_ratio")
def _rebound_ratio(function: Any) -> str:
    negatives, shares = [0, 10, 20, 40, 80], [0.98, 0.9, 0.7, 0.45, 0.2]
    ratio = _call(function, 400, negatives, shares, 0.5)
    if _close(ratio, 10):
        raise _NotYet(
            "You give positives to negatives. Here it is the other way round: a small ratio is a strong spring."
        )
    if _close(ratio, 40):
        raise _NotYet("That many negatives bring the model back. Set them against the positives that they undo.")
    if _close(ratio, 20 / 400):
        raise _NotYet("At the count you use, the score is still above that of the base model: it is not back yet.")
    if _close(ratio, 80 / 400):
        raise _NotYet("You take the last measurement. The model was back before: take the first one that shows it.")
    if not _close(ratio, 0.1):
        raise _NotYet(
            "Find the first number of negatives with a score at or below `base`, and divide it by `positives`."
        )
    about = "The base model scored high here: being back means reaching *its* score."
    if not _close(_call(function, 400, negatives, shares, 0.8, about=about), 0.05):
        raise _NotYet("Back means back at the base model, wherever that was, and not at one half: use `base`.")
    about = "This model never came back; then no ratio is large enough, and `math.inf` says so."
    if _call(function, 400, [0, 10, 20], [0.98, 0.97, 0.96], 0.5, about=about) != math.inf:
        raise _NotYet(about)
    return (
        "A ratio far below one is the rebound in one number: few examples undo many. It depends on the learning rate, "
        "the batch size and how densely you measured, so compare only ratios from the same set-up."
    )


@_exercise("springs_back.companions")
def _companions(answer: Any) -> str:
    change = _numbers(answer, (NEGATIVES, FRESH, UNRELATED), "changes in log-odds")
    if change[NEGATIVES] > 0:
        raise _NotYet(
            "Negatives raise the score, you say. Is it the first value minus the last? Take last minus first."
        )
    if all(abs(value) < 1 for value in change.values()):
        raise _NotYet(
            "All three changes are smaller than 1. Are they changes of the share? It hardly moves near 1 even when the "
            "model does: use the column `log_odds`."
        )
    order = sorted(change, key=change.get)
    if order[0] != NEGATIVES:
        raise _NotYet(
            f"You have {order[0]} lower the score more than negatives do. Only the negatives ask for the bad pole in "
            "every example. Do all curves start from the same aligned model, and end after the same number of examples?"
        )
    if order[1] != FRESH:
        raise _NotYet(
            "You have unrelated text lower the score more than fresh pre-training text. Only the latter holds reviews "
            "of both moods: look again which value belongs to which run."
        )
    if abs(change[UNRELATED]) > abs(change[FRESH]) / 2:
        raise _NotYet(
            "Unrelated text moves the score by more than half of what fresh text does. Stories say nothing about "
            "reviews. Does that curve start from the aligned model too?"
        )
    return (
        "Training on just anything does not undo the alignment. Text that holds both moods pulls towards the base "
        "model, and negatives pull further. So what comes back depends on what the new text says, which is one more "
        "reason to ask whether it is a spring."
    )


@_exercise("springs_back.steps")
def _same_examples(answer: Any) -> str:
    sizes = (8, 32)
    after = _numbers(answer, sizes, "log-odds")
    small, large = (after[size] for size in sizes)
    if all(0 <= value <= 1 for value in after.values()):
        raise _NotYet("Both values lie between 0 and 1 and look like shares. Use `log_odds`, which do not saturate.")
    if _close(small, large):
        raise _NotYet("Both values are the same. Did the second run get another `batch_size`, and a fresh `fork`?")
    if small > large:
        raise _NotYet(
            "The larger batches, and so the fewer steps, have brought the model further down, you say. Check that each "
            "run had its own `fork` of the aligned model, the same negatives and the same learning rate."
        )
    return (
        "The same examples did more in small batches, because the weights moved more often. Who says 'so many examples "
        "undo it' has said nothing before the batch size and the learning rate are named too."
    )


# ---- the micro-world -----------------------------------------------------------------------------------------


@_exercise("micro_world.bits_per_byte")
def _bits_per_byte(function: Any) -> str:
    value = _call(function, [math.log(0.5)] * 8, "abcd")  # 8 bits for 4 bytes
    if value < 0:
        raise _NotYet("A code length cannot be negative. Log probabilities are: change the sign.")
    if _close(value, 2 * math.log(2)):
        raise _NotYet("You count in nats. The log probabilities are natural ones; divide by `math.log(2)` for bits.")
    if _close(value, 1):
        raise _NotYet("That is bits per *token*. Divide the bits of all tokens by the bytes of the text.")
    if _close(value, 8):
        raise _NotYet("These are the bits of the whole text. Divide by its number of bytes.")
    if _close(value, 0.5):
        raise _NotYet("Bytes per bit: it is upside down.")
    if not _close(value, 2):
        raise _NotYet("A token of probability one half costs one bit. Add the costs up and divide by the bytes.")
    about = "The text is `crème`."
    accents = _call(function, [math.log(0.25)] * 3, "crème", about=about)  # 6 bits for 6 bytes
    if _close(accents, 6 / 5):
        raise _NotYet("You count characters. A byte is not a letter: `crème` has one more, see `text.encode()`.")
    if not _close(accents, 1):
        raise _NotYet("Plain letters work, `crème` does not. Its bytes are `text.encode()`.")
    source = world.load()
    document = source.sample(1, seed=0, split="held_out")[0].text
    exact = _call(function, list(source.log_prob(document, explain=True).token_log_probs), document)
    return (
        f"One document of the world takes {exact:.2f} bits per byte with the world's own probabilities; a plain text "
        "file takes 8. No tokens appear in the unit, so models with different tokenizers can be compared."
    )


@_exercise("micro_world.zipf")
def _zipf(function: Any) -> str:
    first, second, third = (_call(function, rank, 10) for rank in (1, 2, 3))
    total = sum(_call(function, rank, 10) for rank in range(1, 11))
    if _close(first, second):
        raise _NotYet("All ranks are equally likely with you. The first one should be twice as likely as the second.")
    if first < second:
        raise _NotYet("Rank 1 is the most frequent word, so the probability must fall with the rank; yours grows.")
    if not _close(first, 2 * second):
        hint = " Do you count ranks from 0? Here the first one is 1." if _close(first, 1.5 * second) else ""
        raise _NotYet(f"The first rank should be twice as likely as the second, since 1 / rank says so.{hint}")
    if not _close(second, 1.5 * third):
        raise _NotYet(
            "From rank 1 to 2 it is right, from 2 to 3 not: it falls too fast or too slow. Zipf's law is 1 / rank; "
            "halving from rank to rank is a geometric law, whose tail is much thinner."
        )
    if not _close(total, 1):
        raise _NotYet(
            "The proportions are right, but all ranks together do not make 1. Divide by the sum of all 1 / rank."
        )
    source = world.load()
    people = sorted(source.next_token_probs("Review by", source.component("mood", "positive")).values(), reverse=True)
    if not all(_close(_call(function, rank, len(people)), p) for rank, p in enumerate(people, 1)):
        raise _NotYet(
            "For ten words it is right, for as many as the world has people it is not: does it depend on `n`?"
        )
    return (
        f"These are the very probabilities of the world's {len(people)} people: the first is named in {people[0]:.0%} "
        f"of the reviews, the last in {people[-1]:.1%}. A model must see much text before it has learned the rare ones."
    )


@_exercise("micro_world.posterior")
def _posterior(function: Any) -> str:
    log = math.log
    even, value = _call(function, log(0.2), log(0.2), 0.5), _call(function, log(0.3), log(0.1), 0.5)
    if _close(value, log(3)):
        raise _NotYet("These are the log-odds, the difference of the logarithms. One more step makes it a probability.")
    if _close(value, 3):
        raise _NotYet("These are the odds, good to bad. A probability is the good part of good and bad together.")
    if _close(value, 0.3) or _close(value, 0.15):
        raise _NotYet("That is how likely the text is, not the pole. Divide by the probability of the text under both.")
    if _close(value, 0.25):
        raise _NotYet(
            "You give the posterior of the bad pole. A text that is likelier under the good one speaks for good."
        )
    if not 0 <= value <= 1:
        raise _NotYet("A probability lies between 0 and 1; yours does not. The arguments are logarithms: use `exp`.")
    if not (_close(even, 0.5) and _close(value, 0.75)):
        raise _NotYet(
            "Take a text three times as likely under the good pole: with even priors the posterior must be three "
            "quarters. Each pole's part is its prior times `exp` of its log probability."
        )
    prior = _call(function, log(0.3), log(0.1), 0.2)
    if _close(prior, 0.75):
        raise _NotYet(
            "The prior changes nothing with you. When good texts are rare, the same evidence must count less."
        )
    if not _close(prior, 3 / 7):
        raise _NotYet("With an uneven prior it is wrong. The bad pole's prior is 1 minus the good one's.")
    about = "`exp` of these is 0 in a computer, and so are both parts. Only the *difference* of the two matters."
    if not _close(_call(function, -800.0, -803.0, 0.5, about=about), 1 / (1 + math.exp(-3))):
        raise _NotYet(f"For improbable texts it goes wrong: whole documents have log probabilities like -800. {about}")
    source = world.load()
    text = source.sample(1, 0, source.component("mood", "positive"))[0].text
    logs = [source.log_prob(text, source.component("mood", pole)) for pole in source.behaviours["mood"].poles]
    about = "The bad pole cannot produce this text at all: its log probability is minus infinity."
    if not _close(_call(function, *logs, 0.5, about=about), 1):
        raise _NotYet(f"{about} The posterior must be 1.")
    return (
        "This is the oracle that scores all behaviour in this book. A classifier has an opinion; Bayes' rule with the "
        "grammar that wrote the text has the answer."
    )


@_exercise("micro_world.excess")
def _excess(function: Any) -> str:
    if _close(_call(function, [0.5, 0.5], [0.5, 0.5]), 1):
        raise _NotYet(
            "A model that equals the source has no excess, and yours is 1 bit. That is the whole code length; "
            "subtract what the source itself needs."
        )
    source, model = [0.25, 0.75], [0.6, 0.4]
    value = _call(function, source, model)

    def bits(p, q):
        return sum(x * math.log2(x / y) for x, y in zip(p, q, strict=True))

    entropy = [-sum(x * math.log2(x) for x in p) for p in (source, model)]
    if value < 0:
        raise _NotYet("Negative: no model can beat the source on average. Turn the fraction or the sign round.")
    if _close(value, bits(model, source)):
        raise _NotYet("The texts come from the *source*, so the mean is over its probabilities, not over the model's.")
    if _close(value, entropy[1] - entropy[0]):
        raise _NotYet(
            "That is the difference of two entropies. The model pays -log2 of *its own* q, as often as p says."
        )
    if _close(value, bits(source, model) * math.log(2)):
        raise _NotYet("The idea is right, the unit is not: use `math.log2`, so that the result is in bits.")
    if not _close(value, bits(source, model)):
        raise _NotYet("Each symbol has the excess log2(p / q). Average it with the weights p of the source.")
    about = "The third symbol never occurs in the source: it costs nothing and must be skipped."
    if not _close(_call(function, [0.5, 0.5, 0.0], [0.4, 0.4, 0.2], about=about), math.log2(1.25)):
        raise _NotYet(f"With a probability of 0 in the source it is wrong. {about}")
    return (
        "Never negative, and zero only for the source itself: its entropy is a floor that no model can pass on "
        "average. One that seems to was lucky with its sample, or has seen it before."
    )


# ---- quizzes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An answer to choose: what it says, whether it is right, and why."""

    text: str
    why: str
    right: bool = False


@dataclass(frozen=True)
class Question:
    """A question with its answers, of which one is right."""

    text: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Quiz:
    """Questions to think about; opening an answer says whether it is right, and why. Plain text comes with a key."""

    questions: tuple[Question, ...]

    def _numbered(self) -> list[tuple[str, Question]]:
        many = len(self.questions) > 1
        return [(f"Question {i}" if many else "Question", q) for i, q in enumerate(self.questions, 1)]

    def __repr__(self) -> str:
        sheet, key = [], ["Key"]
        for title, question in self._numbered():
            sheet.append(f"{title}. {question.text}")
            for letter, answer in zip("abcdefgh", question.answers, strict=False):
                sheet.append(f"  {letter}) {answer.text}")
                key.append(f"{title} {letter}: {RIGHT if answer.right else 'Wrong'}. {answer.why}")
        return "\n".join([*sheet, "", *key])

    def _repr_html_(self) -> str:
        parts = []
        for title, question in self._numbered():
            parts.append(f'<p style="margin-top: 1.2em"><strong>{title}.</strong> {_inline(question.text)}</p>')
            for answer in question.answers:
                mark, colour = _LOOKS[RIGHT if answer.right else NOT_YET]
                verdict = f'<span aria-hidden="true">{mark}</span> <strong>{RIGHT if answer.right else "No"}.</strong>'
                parts.append(
                    '<details style="border: 1px solid #8a8f98; border-radius: 0.4em; margin: 0.5em 0">'
                    f'<summary style="cursor: pointer; padding: 0.4em 0.8em">{_inline(answer.text)}</summary>'
                    f'<p style="border-left: 0.3em solid {colour}; margin: 0.2em 0.8em 0.8em; padding-left: 0.8em">'
                    f"{verdict} {_inline(answer.why)}</p></details>"
                )
        return (
            f'<section aria-label="Quiz" style="max-width: 40em">{"".join(parts)}'
            "<p><small>Choose before you open: each answer says whether it is right, and why.</small></p></section>"
        )


def quiz(name: str) -> Quiz:
    """The quiz of a notebook, from quizzes.toml.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    quizzes = read_quizzes(QUIZZES)
    if name not in quizzes:
        raise ValueError(f"Unknown quiz {name!r}; choose one of {', '.join(quizzes)}.")
    return quizzes[name]


@functools.cache
def read_quizzes(path: Path) -> dict[str, Quiz]:
    """Every quiz of a file, by name.

    Raises:
        ValueError: a question without exactly one right answer, or an answer without an explanation; the message names
            the file, the quiz and the question.
    """
    quizzes = {}
    for name, questions in tomllib.loads(path.read_text("utf-8")).items():
        for number, question in enumerate(questions, 1):
            place = f"{path.name}, {name}, question {number}"
            answers = question.get("answers", [])
            if not question.get("text") or sum(answer.get("right", False) for answer in answers) != 1:
                raise ValueError(f"{place}: it needs a text and exactly one answer with 'right = true'.")
            bare = next((a for a in answers if not (a.get("text") and a.get("why"))), None)
            if bare is not None:
                raise ValueError(
                    f"{place}: the answer {bare.get('text', '')!r} needs a text and, under 'why', a reason."
                )
        quizzes[name] = Quiz(
            tuple(Question(q["text"], tuple(Answer(**answer) for answer in q["answers"])) for q in questions)
        )
    return quizzes


def _inline(text: str) -> str:
    """Text as HTML: `code` between backticks, *emphasis* between stars."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"(?<![\w*])\*([^\s*][^*]*)\*", r"<em>\1</em>", text)
