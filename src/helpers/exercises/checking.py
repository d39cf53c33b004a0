"""What checks are made of: a registry, three verdicts, and careful calls of what a reader wrote."""

from __future__ import annotations

import html
import math
import re
import reprlib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

RIGHT, NOT_YET, UNANSWERED = "Right", "Not yet", "Not answered yet"
LOOKS = {RIGHT: ("✓", "#2e9e5b"), NOT_YET: ("✗", "#d9731a"), UNANSWERED: ("…", "#8a8f98")}  # mark, border


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
        mark, colour = LOOKS[self.verdict]
        return (
            f'<div role="status" style="border-left: 0.3em solid {colour}; padding: 0.1em 0 0.1em 0.8em">'
            f'<span aria-hidden="true">{mark}</span> <strong>{self.verdict}.</strong> {inline(self.message)}</div>'
        )


def check(name: str, answer: Any) -> Result:
    """Check the answer to an exercise. A wrong answer, or a function that fails, raises nothing: it is explained.

    Args:
        name: of the exercise, such as "micro_world.zipf".
        answer: what the exercise asks for: a function, or numbers by name.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    if name not in CHECKS:
        raise ValueError(f"Unknown exercise {name!r}; choose one of {', '.join(CHECKS)}.")
    try:
        if _blank(answer):
            raise Unanswered("Put your answer in the place of `...`, run that cell, then this one again.")
        return Result(RIGHT, CHECKS[name](answer))
    except Unanswered as reason:
        return Result(UNANSWERED, str(reason))
    except NotYet as reason:
        return Result(NOT_YET, str(reason))


# ---- what the checks are made of -----------------------------------------------------------------------------


class NotYet(Exception):
    """What is wrong, and why."""


class Unanswered(Exception):
    """There is nothing to check yet."""


CHECKS: dict[str, Callable[[Any], str]] = {}


def exercise(name: str) -> Callable:
    """Register a check. It takes the answer; it returns a sentence of insight, or raises one of the two above."""

    def register(checker: Callable[[Any], str]) -> Callable[[Any], str]:
        CHECKS[name] = checker
        return checker

    return register


class _Short(reprlib.Repr):
    """Arguments as a message shows them: long lists cut, numbers to three digits."""

    def repr_float(self, value: float, level: int) -> str:
        return f"{value:.3g}"

    def repr_Generator(self, value: Any, level: int) -> str:
        return "rng"


def _blank(value: Any) -> bool:
    return value is None or value is ...


def close(value: float, target: float) -> bool:
    return math.isclose(value, target, rel_tol=2e-3, abs_tol=2e-3)


def number(value: Any, what: str, about: str = "") -> float:
    """`value` as one float; NumPy and torch scalars count, text and lists do not."""
    if getattr(value, "size", None) == 1 or getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        length = f" of {len(value)}" if hasattr(value, "__len__") and not isinstance(value, str) else ""
        raise NotYet(f"{what} is a {type(value).__name__}{length}; one number is needed.{about}")
    if math.isnan(value):
        raise NotYet(f"{what} is nan, no number: that comes of 0/0 or of infinity minus infinity.{about}")
    return float(value)


def call(function: Any, *arguments: Any, about: str = "") -> float:
    """The number that the reader's function gives.

    Args:
        about: what is special about these arguments, to be said if the function fails on them.
    """
    shown, value, about = _answer(function, arguments, about)
    return number(value, f"What {shown} gives back", about)


def listed(function: Any, *arguments: Any, length: int, about: str = "") -> list[float]:
    """As `call`, of a function that gives so many numbers: as a list, a tuple, an array or a tensor."""
    shown, value, about = _answer(function, arguments, about)
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple) or len(value) != length:
        size = f" of {len(value)}" if isinstance(value, list | tuple) else ""
        raise NotYet(f"{shown} gives back a {type(value).__name__}{size}; {length} numbers are needed.{about}")
    return [number(each, f"Number {i} of what {shown} gives back", about) for i, each in enumerate(value, 1)]


def _answer(function: Any, arguments: tuple, about: str) -> tuple[str, Any, str]:
    """The call as a message shows it, what it gave, and what is special about it."""
    if not callable(function):
        raise NotYet(
            f"A function is needed, and this is a {type(function).__name__}. Hand over its name alone, without "
            "parentheses behind it."
        )
    shown = f"`{getattr(function, '__name__', 'answer')}({', '.join(map(_Short().repr, arguments))})`"
    about = f" {about}" if about else ""
    try:
        value = function(*arguments)
    except Exception as error:
        number = getattr(error, "line_of_cell", None) or line_of_cell(function, error)  # grading brings it along
        line = f" in line {number} of its cell" if number else ""
        what = traceback.format_exception_only(error)[-1].strip()
        raise NotYet(f"{shown} stopped{line} with {what}.{about}") from error
    if _blank(value):
        raise Unanswered(f"{shown} gave nothing back. If you have filled it in, does it end with `return`?{about}")
    return shown, value, about


def line_of_cell(function: Any, error: BaseException) -> int | None:
    """The line of the function's own cell in which it failed, None if it did not come to run."""
    code = getattr(function, "__code__", None)
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code is code]
    return lines[-1] if lines else None


def numbers(answer: Any, names: tuple, what: str) -> dict[Any, float]:
    """The reader's numbers by name, from a dictionary or a pandas Series; further names are left out."""
    if hasattr(answer, "to_dict"):
        answer = answer.to_dict()
    if not isinstance(answer, Mapping):
        raise NotYet(f"A dictionary is needed, {what} by name; this is a {type(answer).__name__}.")
    missing = [name for name in names if name not in answer]
    if missing:
        raise NotYet(f"There is no {missing[0]!r} in your answer. It needs {', '.join(map(repr, names))}.")
    blank = [name for name in names if _blank(answer[name])]
    if blank:
        raise Unanswered(f"{len(blank)} of {len(names)} values are still `...`: {', '.join(map(repr, blank))}.")
    values = {name: number(answer[name], f"The value of {name!r}") for name in names}
    endless = next((name for name, value in values.items() if math.isinf(value)), None)
    if endless is not None:
        raise NotYet(f"The value of {endless!r} is infinite, which no measurement gives.")
    return values


def inline(text: str) -> str:
    """Text as HTML: `code` between backticks, *emphasis* between stars."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"(?<![\w*])\*([^\s*][^*]*)\*", r"<em>\1</em>", text)
