"""Quizzes: every answer is explained. They stand in quizzes.toml and nowhere else."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

from helpers.exercises.checking import LOOKS, NOT_YET, RIGHT, inline

QUIZZES = Path(__file__).with_name("quizzes.toml")


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

    def lettered(self) -> list[tuple[str, Answer]]:
        """The answers, each with the letter that it has on paper."""
        return list(zip("abcdefgh", self.answers, strict=False))


@dataclass(frozen=True)
class Quiz:
    """Questions to think about; opening an answer says whether it is right, and why. Plain text comes with a key."""

    questions: tuple[Question, ...]

    def numbered(self) -> list[tuple[str, Question]]:
        """The questions, each with its title: "Question 1", or "Question" if there is one only."""
        many = len(self.questions) > 1
        return [(f"Question {i}" if many else "Question", q) for i, q in enumerate(self.questions, 1)]

    def __repr__(self) -> str:
        sheet, key = [], ["Key"]
        for title, question in self.numbered():
            sheet.append(f"{title}. {question.text}")
            for letter, answer in question.lettered():
                sheet.append(f"  {letter}) {answer.text}")
                key.append(f"{title} {letter}: {RIGHT if answer.right else 'Wrong'}. {answer.why}")
        return "\n".join([*sheet, "", *key])

    def _repr_html_(self) -> str:
        parts = []
        for title, question in self.numbered():
            parts.append(f'<p style="margin-top: 1.2em"><strong>{title}.</strong> {inline(question.text)}</p>')
            for answer in question.answers:
                mark, colour = LOOKS[RIGHT if answer.right else NOT_YET]
                verdict = f'<span aria-hidden="true">{mark}</span> <strong>{RIGHT if answer.right else "No"}.</strong>'
                parts.append(
                    '<details style="border: 1px solid #8a8f98; border-radius: 0.4em; margin: 0.5em 0">'
                    f'<summary style="cursor: pointer; padding: 0.4em 0.8em">{inline(answer.text)}</summary>'
                    f'<p style="border-left: 0.3em solid {colour}; margin: 0.2em 0.8em 0.8em; padding-left: 0.8em">'
                    f"{verdict} {inline(answer.why)}</p></details>"
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
