"""Every exercise: solutions pass, stubs are not answered, plausible wrong answers are explained, nothing crashes."""

import importlib
import math
import re
import time

import answers
import numpy as np
import pandas as pd
import pytest

from helpers import exercises
from helpers.experiments import FRESH

# One module a notebook holds its answers: RIGHT by exercise, and WRONG with what the explanation must speak of.
NOTEBOOKS = list(dict.fromkeys(name.split(".")[0] for name in exercises.CHECKS))
ANSWERS = {notebook: importlib.import_module(f"answers.{notebook}") for notebook in NOTEBOOKS}
SOLUTIONS = {f"{book}.{exercise}": right for book in NOTEBOOKS for exercise, right in ANSWERS[book].RIGHT.items()}
STUBS = {f"{book}.{exercise}": stub for book in NOTEBOOKS for exercise, stub in answers.stubs(book).items()}
QUIZZES = exercises.read_quizzes(exercises.QUIZZES)
WRONG = [(f"{book}.{exercise}", *rest) for book in NOTEBOOKS for exercise, *rest in ANSWERS[book].WRONG]


@pytest.mark.parametrize("name", exercises.CHECKS)
class TestEveryExercise:
    def test_the_solution_is_right_and_adds_an_insight(self, name):
        result = exercises.check(name, SOLUTIONS[name])
        assert result.verdict == exercises.RIGHT, result
        assert len(result.message) > 80

    def test_the_stub_is_not_answered(self, name):
        for answer in (STUBS[name], ..., None):
            result = exercises.check(name, answer)
            assert result.verdict == exercises.UNANSWERED
            assert re.search(r"`(\.\.\.|return)`", result.message)  # what to do

    def test_nonsense_is_explained_and_never_raises(self, name):
        numbers = (0, 1, -1, 0.5, 5, 1e300, math.inf, -math.inf, math.nan)
        for value in (*numbers, "5", True, [1, 2], {}, 1j, np.array([1.0, 2.0]), np.float32(0.5)):
            assert exercises.check(name, value).verdict == exercises.NOT_YET, value
            assert exercises.check(name, lambda *_, value=value: value).verdict == exercises.NOT_YET, value
            if not callable(SOLUTIONS[name]):
                keyed = dict.fromkeys(SOLUTIONS[name], value)
                assert exercises.check(name, keyed).verdict == exercises.NOT_YET, value

    def test_a_crash_is_caught_and_told(self, name):
        def crashes(*arguments):
            return 1 / 0

        result = exercises.check(name, crashes)
        assert result.verdict == exercises.NOT_YET
        if callable(SOLUTIONS[name]):
            assert re.search(r"`crashes\(.*\)` stopped in line \d+ of its cell with ZeroDivisionError", result.message)
        else:
            assert "dictionary" in result.message

    def test_it_is_quick(self, name):
        start = time.perf_counter()
        exercises.check(name, SOLUTIONS[name])
        assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("name", "answer", "spoken_of"), WRONG, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_wrong_answer_is_explained(name, answer, spoken_of):
    result = exercises.check(name, answer)
    assert result.verdict == exercises.NOT_YET
    assert re.search(spoken_of, result.message), result.message


def test_every_exercise_has_two_wrong_answers_at_least():
    names = [name for name, *_ in WRONG]
    assert min(names.count(name) for name in exercises.CHECKS) >= 2


def test_each_notebook_has_three_exercises_and_a_quiz():
    assert list(QUIZZES) == NOTEBOOKS
    names = [name.split(".")[0] for name in exercises.CHECKS]
    assert min(names.count(notebook) for notebook in NOTEBOOKS) >= 3


def test_numbers_of_numpy_torch_and_pandas_count():
    import torch

    assert exercises.check("welcome.log_odds", lambda p: np.log(p / (1 - np.float64(p)))).verdict == exercises.RIGHT
    assert exercises.check("welcome.log_odds", lambda p: torch.logit(torch.tensor(p))).verdict == exercises.RIGHT
    assert (
        exercises.check("springs_back.companions", pd.Series(SOLUTIONS["springs_back.companions"])).verdict
        == exercises.RIGHT
    )


def test_a_half_filled_answer_says_what_is_missing():
    result = exercises.check("springs_back.companions", {**SOLUTIONS["springs_back.companions"], FRESH: ...})
    assert result.verdict == exercises.UNANSWERED
    assert f"1 of 3 values are still `...`: {FRESH!r}" in result.message


def test_a_call_instead_of_a_function_is_recognised():
    assert "name alone" in exercises.check("welcome.log_odds", 0.0).message


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="Unknown exercise 'zipf'; choose one of welcome.first_below, .*excess"):
        exercises.check("zipf", ...)


def test_a_result_reads_as_text_and_as_html():
    result = exercises.Result(exercises.NOT_YET, "`a < b` is *not* <right>, 2 * 3 * 4")
    assert repr(result) == "Not yet. `a < b` is *not* <right>, 2 * 3 * 4"
    shown = result._repr_html_()
    assert "<strong>Not yet.</strong>" in shown
    assert "<code>a &lt; b</code> is <em>not</em> &lt;right&gt;, 2 * 3 * 4" in shown


# ---- quizzes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUIZZES)
class TestEveryQuiz:
    def test_it_has_three_questions_of_three_answers_at_least(self, name):
        counts = [len(question.answers) for question in QUIZZES[name].questions]
        assert len(counts) >= 3 and min(counts) >= 3

    def test_its_right_answers_do_not_all_stand_in_one_place(self, name):
        assert len({place_of(question) for question in QUIZZES[name].questions}) > 1

    def test_html_folds_each_answer_over_its_explanation_and_needs_no_script(self, name):
        quiz = exercises.quiz(name)
        shown = quiz._repr_html_()
        answers = [answer for question in quiz.questions for answer in question.answers]
        assert shown.count("<details") == shown.count("<summary") == len(answers)
        assert shown.count("<strong>Right.</strong>") == len(quiz.questions)
        assert "<script" not in shown and " id=" not in shown and "on" + "click" not in shown
        assert shown == exercises.quiz(name)._repr_html_()

    def test_text_puts_the_key_behind_the_questions(self, name):
        quiz = exercises.quiz(name)
        sheet, key = repr(quiz).split("\n\nKey\n")
        answers = [answer for question in quiz.questions for answer in question.answers]
        assert not [answer for answer in answers if answer.why in sheet or answer.why not in key]
        assert key.count(": Right. ") == len(quiz.questions)


def place_of(question):
    return [answer.right for answer in question.answers].index(True)


def test_neither_place_nor_length_gives_the_right_answer_away():
    """Whoever guesses always the same letter, always the longest or always the shortest hits two in five at most."""
    questions = [question for quiz in QUIZZES.values() for question in quiz.questions]
    places = [place_of(question) for question in questions]
    lengths = [[len(answer.text) for answer in question.answers] for question in questions]
    guesses = {letter: [place == i for place in places] for i, letter in enumerate("abc")}
    for kind, of in (("longest", max), ("shortest", min)):
        guesses[kind] = [row[place] == of(row) for row, place in zip(lengths, places, strict=True)]
    shares = {guess: sum(hits) / len(questions) for guess, hits in guesses.items()}
    assert max(shares.values()) <= 0.4, shares


def test_an_unknown_quiz_lists_the_known_ones():
    with pytest.raises(ValueError, match="Unknown quiz 'intro'; choose one of welcome, springs_back, micro_world"):
        exercises.quiz("intro")


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ('{ text = "a", why = "b" }', "exactly one answer with 'right = true'"),
        ('{ text = "a", why = "b", right = true }, { text = "c", why = "d", right = true }', "exactly one answer"),
        ('{ text = "a", why = "b", right = true }, { text = "c" }', "the answer 'c' needs a text and, under 'why'"),
    ],
)
def test_a_faulty_quiz_is_named(tmp_path, answers, complaint):
    path = tmp_path / "quizzes.toml"
    path.write_text(f'[[fruit]]\ntext = "Which?"\nanswers = [{answers}]\n')
    with pytest.raises(ValueError, match=f"quizzes.toml, fruit, question 1: .*{complaint}"):
        exercises.read_quizzes(path)
