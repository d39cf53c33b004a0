"""Every exercise: solutions pass, stubs are not answered, plausible wrong answers are explained, nothing crashes."""

import math
import re
import time

import numpy as np
import pandas as pd
import pytest

from helpers import exercises
from helpers.experiments import FRESH, NEGATIVES, UNRELATED

# ---- solutions -----------------------------------------------------------------------------------------------


def first_below(examples, shares, level=0.5):
    for count, share in zip(examples, shares, strict=True):
        if share < level:
            return count
    return math.inf


def log_odds(share):
    return math.log(share / (1 - share))


def steps(examples, batch_size):
    return math.ceil(examples / batch_size)


def score(probabilities, posteriors):
    good = sum(probabilities[token] * posterior for token, posterior in posteriors.items())
    return good / sum(probabilities[token] for token in posteriors)


def rebound_ratio(positives, negatives, shares, base):
    back = [count for count, share in zip(negatives, shares, strict=True) if share <= base]
    return (back[0] if back else math.inf) / positives


def bits_per_byte(log_probs, text):
    return -sum(log_probs) / math.log(2) / len(text.encode())


def zipf(rank, n):
    return 1 / rank / sum(1 / r for r in range(1, n + 1))


def posterior(log_good, log_bad, prior=0.5):
    difference = log_good - log_bad + log_odds(prior)
    return 1 / (1 + math.exp(-difference))


def excess(source, model):
    return sum(p * math.log2(p / q) for p, q in zip(source, model, strict=True) if p > 0)


# What the runs of the chapter gave (1 M model, mood, 256 positives, 128 negatives), to one digit.
CHANGES = {NEGATIVES: -6.9, FRESH: -4.5, UNRELATED: -0.1, "negatives on the base model": -2.7}
AFTER = {8: 0.0, 32: 3.8}

SOLUTIONS = {
    "welcome.first_below": first_below,
    "welcome.log_odds": log_odds,
    "welcome.steps": steps,
    "springs_back.score": score,
    "springs_back.rebound_ratio": rebound_ratio,
    "springs_back.companions": CHANGES,
    "springs_back.steps": AFTER,
    "micro_world.bits_per_byte": bits_per_byte,
    "micro_world.zipf": zipf,
    "micro_world.posterior": posterior,
    "micro_world.excess": excess,
}


@pytest.mark.parametrize("name", exercises.CHECKS)
class TestEveryExercise:
    def test_the_solution_is_right_and_adds_an_insight(self, name):
        result = exercises.check(name, SOLUTIONS[name])
        assert result.verdict == exercises.RIGHT, result
        assert len(result.message) > 80

    def test_the_stub_is_not_answered(self, name):
        solution = SOLUTIONS[name]

        def stub(*arguments): ...

        stubs = [..., None, stub if callable(solution) else dict.fromkeys(solution, ...)]
        assert [exercises.check(name, answer).verdict for answer in stubs] == [exercises.UNANSWERED] * 3

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


# ---- plausible wrong answers, and what the explanation must speak of ------------------------------------------


def last_below(examples, shares, level=0.5):
    return [count for count, share in zip(examples, shares, strict=True) if share < level][-1]


def below(examples, shares, level):
    return [count for count, share in zip(examples, shares, strict=True) if share < level][0]


def weights(posteriors, probabilities):
    return sum(probabilities[token] for token in posteriors)


def hard(probabilities, posteriors):
    return sum(probabilities[t] for t, p in posteriors.items() if p > 0.5) / weights(posteriors, probabilities)


def naive_posterior(a, b, prior=0.5):
    return math.exp(a) * prior / (math.exp(a) * prior + math.exp(b) * (1 - prior))


def entropy(p):
    return -sum(x * math.log2(x) for x in p if x)


WRONG = [
    ("welcome.first_below", lambda e, s, level: next(v for v in s if v < level), "a share"),
    ("welcome.first_below", lambda e, s, level: next(i for i, v in enumerate(s) if v < level), "place in the list"),
    ("welcome.first_below", lambda e, s, level: e[sum(v > level for v in s) - 1], "still above the level"),
    ("welcome.first_below", last_below, "first such count"),
    ("welcome.first_below", lambda e, s, level: 50, "not measured"),
    ("welcome.first_below", lambda e, s, level: first_below(e, s), "argument `level`"),
    ("welcome.first_below", lambda e, s, level: ([0, *e])[sum(v >= level for v in s) + 1], "wobble"),
    ("welcome.first_below", below, "never falls below"),
    ("welcome.first_below", lambda e, s, level: below(e, s, level) if min(s) < level else e[-1], "never falls below"),
    ("welcome.log_odds", lambda p: p / (1 - p), "logarithm is missing"),
    ("welcome.log_odds", lambda p: math.log(p), "1 minus the share"),
    ("welcome.log_odds", lambda p: -log_odds(p), "sign is turned"),
    ("welcome.log_odds", lambda p: log_odds(p) / math.log(10), "nats"),
    ("welcome.log_odds", lambda p: log_odds(p) / math.log(2), "nats"),
    ("welcome.log_odds", lambda p: p - 0.5, "size is not"),
    ("welcome.log_odds", lambda p: min(max(log_odds(p), -3), 3), "stop short"),
    ("welcome.log_odds", lambda p: math.log(2 * p), "alike"),
    ("welcome.steps", lambda n, b: n * b, "multiply"),
    ("welcome.steps", lambda n, b: n // b, "left after the last full batch"),
    ("welcome.steps", lambda n, b: n / b, "fraction of a step"),
    ("welcome.steps", lambda n, b: n // b + 1, "64 examples"),
    ("welcome.steps", lambda n, b: n, "64 examples"),
    ("springs_back.score", lambda p, g: sum(p[t] * g[t] for t in g), r"\*all\* tokens"),
    ("springs_back.score", lambda p, g: sum(p[t] * g[t] for t in p), "KeyError.*stays out of the score"),
    ("springs_back.score", lambda p, g: sum(g.values()) / len(g), "counts the same"),
    ("springs_back.score", lambda p, g: 1 - score(p, g), "bad pole"),
    ("springs_back.score", lambda p, g: score(p, g) / (1 - score(p, g)), "odds"),
    ("springs_back.score", hard, "wholly good or wholly bad"),
    ("springs_back.rebound_ratio", lambda *a: 1 / rebound_ratio(*a), "other way round"),
    ("springs_back.rebound_ratio", lambda n, *a: rebound_ratio(1, *a), "Set them against the positives"),
    ("springs_back.rebound_ratio", lambda n, e, s, base: e[2] / n, "still above that of the base"),
    ("springs_back.rebound_ratio", lambda n, e, s, base: e[-1] / n, "last measurement"),
    ("springs_back.rebound_ratio", lambda n, e, s, base: rebound_ratio(n, e, s, 0.5), "not at one half"),
    ("springs_back.rebound_ratio", lambda n, e, s, base: below(e, s, base) / n, "IndexError.*never came back"),
    ("springs_back.companions", {k: -v for k, v in CHANGES.items()}, "last minus first"),
    ("springs_back.companions", {NEGATIVES: -0.5, FRESH: -0.1, UNRELATED: 0.0}, "changes of the share"),
    ("springs_back.companions", {**CHANGES, FRESH: -8.0}, "same aligned model"),
    ("springs_back.companions", {**CHANGES, FRESH: -0.1, UNRELATED: -4.5}, "both moods"),
    ("springs_back.companions", {**CHANGES, UNRELATED: -4.0}, "more than half"),
    ("springs_back.companions", {"negatives": -3.0, "fresh": -1.0}, "There is no 'fresh pre-training text'"),
    ("springs_back.companions", [-3.0, -2.0, -0.1], "dictionary"),
    ("springs_back.steps", {8: 4.9, 32: 0.0}, "fewer steps"),
    ("springs_back.steps", {8: 0.5, 32: 0.9}, "shares"),
    ("springs_back.steps", {8: 3.1, 32: 3.1}, "fresh `fork`"),
    ("springs_back.steps", {8: "low", 32: 3.1}, "value of 8 is a str"),
    ("micro_world.bits_per_byte", lambda logs, text: -bits_per_byte(logs, text), "negative"),
    ("micro_world.bits_per_byte", lambda logs, text: bits_per_byte(logs, text) * math.log(2), "nats"),
    ("micro_world.bits_per_byte", lambda logs, text: -sum(logs) / math.log(2) / len(logs), "per \\*token\\*"),
    ("micro_world.bits_per_byte", lambda logs, text: -sum(logs) / math.log(2), "whole text"),
    ("micro_world.bits_per_byte", lambda logs, text: 1 / bits_per_byte(logs, text), "upside down"),
    ("micro_world.bits_per_byte", lambda logs, text: -sum(logs) / math.log(2) / len(text), "characters"),
    ("micro_world.bits_per_byte", lambda logs, text: bits_per_byte(logs, text.encode("ascii").decode()), "crème"),
    ("micro_world.zipf", lambda rank, n: 1 / rank, "do not make 1"),
    ("micro_world.zipf", lambda rank, n: 1 / n, "equally likely"),
    ("micro_world.zipf", lambda rank, n: rank / sum(range(1, n + 1)), "fall with the rank"),
    ("micro_world.zipf", lambda rank, n: zipf(rank + 1, n), "ranks from 0"),
    ("micro_world.zipf", lambda rank, n: 2.0**-rank, "geometric"),
    ("micro_world.zipf", lambda rank, n: zipf(rank, 10), "depend on `n`"),
    ("micro_world.posterior", lambda a, b, prior: a - b, "log-odds"),
    ("micro_world.posterior", lambda a, b, prior: math.exp(a - b), "odds, good to bad"),
    ("micro_world.posterior", lambda a, b, prior: math.exp(a) * prior, "not the pole"),
    ("micro_world.posterior", lambda a, b, prior: 1 - posterior(a, b, prior), "bad pole"),
    ("micro_world.posterior", lambda a, b, prior: a / (a + b), "three times as likely"),
    ("micro_world.posterior", lambda a, b, prior: posterior(a, b), "rare"),
    ("micro_world.posterior", naive_posterior, "ZeroDivisionError.*difference"),
    ("micro_world.posterior", lambda a, b, prior: posterior(max(a, b - 20), max(b, a - 5), prior), "minus infinity"),
    ("micro_world.excess", lambda p, q: entropy(p) + excess(p, q), "whole code length"),
    ("micro_world.excess", lambda p, q: excess(q, p), "\\*source\\*"),
    ("micro_world.excess", lambda p, q: -excess(p, q), "Negative"),
    ("micro_world.excess", lambda p, q: entropy(q) - entropy(p), "two entropies"),
    ("micro_world.excess", lambda p, q: excess(p, q) * math.log(2), "unit is not"),
    ("micro_world.excess", lambda p, q: sum(x * math.log2(x / y) for x, y in zip(p, q)), "ValueError.*skipped"),  # noqa: B905
    ("welcome.log_odds", lambda p: 4 * (p - 0.5) ** 2, "grow with the share"),
    ("welcome.steps", lambda n, b: math.ceil(n / b) + (n % b > 0), "One step too many"),
    ("springs_back.score", lambda p, g: score(p, g) ** 2, "purely good"),
    ("springs_back.score", lambda p, g: sum(p[t] * g[t] ** 2 for t in g) / weights(g, p), "posterior's part"),
    ("springs_back.rebound_ratio", lambda n, e, s, base: s[1], "divide it by `positives`"),
    ("springs_back.rebound_ratio", lambda n, e, s, base: min(rebound_ratio(n, e, s, base), e[-1] / n), "never came"),
    ("micro_world.bits_per_byte", lambda logs, text: bits_per_byte(logs, text) ** 2, "Add the costs up"),
    ("micro_world.bits_per_byte", lambda logs, text: bits_per_byte(logs, text + "é" * ("è" in text)), "Its bytes"),
    ("micro_world.posterior", lambda a, b, prior: a + b, "between 0 and 1"),
    ("micro_world.posterior", lambda a, b, prior: posterior(a + math.log(prior), b + math.log(0.5)), "1 minus"),
    ("micro_world.posterior", lambda a, b, prior: posterior(max(a, -700), max(b, -700), prior), "improbable texts"),
    ("micro_world.excess", lambda p, q: max(abs(x - y) for x, y in zip(p, q, strict=True)), "excess log2"),
    ("micro_world.excess", lambda p, q: excess(p, q) + 0.1 * (0 in p), "must be skipped"),
]


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
    notebooks = [name.split(".")[0] for name in exercises.CHECKS]
    assert set(exercises.read_quizzes(exercises.QUIZZES)) == set(notebooks)
    assert min(notebooks.count(notebook) for notebook in notebooks) >= 3


def test_numbers_of_numpy_torch_and_pandas_count():
    import torch

    assert exercises.check("welcome.log_odds", lambda p: np.log(p / (1 - np.float64(p)))).verdict == exercises.RIGHT
    assert exercises.check("welcome.log_odds", lambda p: torch.logit(torch.tensor(p))).verdict == exercises.RIGHT
    assert exercises.check("springs_back.companions", pd.Series(CHANGES)).verdict == exercises.RIGHT


def test_a_half_filled_answer_says_what_is_missing():
    result = exercises.check("springs_back.companions", {**CHANGES, FRESH: ...})
    assert result.verdict == exercises.UNANSWERED
    assert f"1 of 3 values are still `...`: {FRESH!r}" in result.message


def test_a_call_instead_of_a_function_is_recognised():
    assert "name alone" in exercises.check("welcome.log_odds", log_odds(0.5)).message


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


@pytest.mark.parametrize("name", exercises.read_quizzes(exercises.QUIZZES))
class TestEveryQuiz:
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
