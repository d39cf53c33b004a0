"""Exercises: checks that explain, and quizzes whose every answer is explained.

``check`` compares an answer with what it should *do* (order, sign, limits, a tolerance), never with a stored number,
and says what is wrong and why. ``quiz`` shows the questions of ``quizzes.toml``, the one place where they stand.
Both return small objects that a notebook displays: HTML that needs no script, and plain text elsewhere.

``checking`` holds what checks are made of; the checks themselves stand in ``checks``, one module a notebook.
"""

from helpers.exercises import checks  # noqa: F401  (registers them)
from helpers.exercises.checking import CHECKS, NOT_YET, RIGHT, UNANSWERED, Result, check
from helpers.exercises.quiz import QUIZZES, quiz, read_quizzes

__all__ = ["CHECKS", "NOT_YET", "QUIZZES", "RIGHT", "UNANSWERED", "Result", "check", "quiz", "read_quizzes"]
