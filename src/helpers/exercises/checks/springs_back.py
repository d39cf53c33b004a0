"""Checks of the chapter: A model that springs back."""

from __future__ import annotations

import math
from typing import Any

from helpers import world
from helpers.exercises.checking import NotYet, call, close, exercise, numbers
from helpers.experiments import FRESH, NEGATIVES, UNRELATED


@exercise("springs_back.score")
def _score(function: Any) -> str:
    outside = "` river` is no answer that the grammar knows, so it has no posterior and stays out of the score."
    probabilities, posteriors = {" good": 0.6, " bad": 0.2, " river": 0.2}, {" good": 1.0, " bad": 0.0}
    score = call(function, probabilities, posteriors, about=outside)
    if close(score, 0.6):
        raise NotYet(
            "You give the weight of the good answers among *all* tokens. A model that wanders off would seem badly "
            "behaved; divide by the weight of all answers that the grammar knows, good and bad."
        )
    if close(score, 3):
        raise NotYet("These are the odds, good to bad. A share compares the good with the good and the bad together.")
    if close(score, 0.25):
        raise NotYet("You give the share of the bad pole: a posterior is the probability of the *good* one.")
    if close(score, 0.5):
        raise NotYet("Each answer counts the same with you. Weigh it with the model's probability for it.")
    if not close(score, 0.75):
        raise NotYet("With one purely good and one purely bad token, the score is the good one's part of both.")
    about = "Here a token speaks for both poles, a little more for one."
    soft = call(function, {" a": 0.5, " b": 0.25}, {" a": 0.9, " b": 0.5}, about=about)
    if close(soft, 1) or close(soft, 2 / 3):
        raise NotYet(
            "You count a token as wholly good or wholly bad. A posterior of 0.9 is nine parts good and one part bad: "
            "split the token's probability accordingly."
        )
    if not close(soft, (0.5 * 0.9 + 0.25 * 0.5) / 0.75):
        raise NotYet("Clear tokens you score right. One that speaks for both poles gives each its posterior's part.")
    source = world.load()
    prompt = source.prompts("mood", 1, seed=0)[0]
    for share in (0.2, 0.8):
        exact = source.next_token_probs(prompt, source.mixture(good={"mood": share}))
        if not close(call(function, exact, source.decision(prompt, "mood")), share):
            raise NotYet("On the world's own probabilities the score must be its share of good reviews; yours is not.")
    return (
        "Given the world's exact probabilities, your score finds the very share of good reviews that the world was set "
        "to. No classifier judged anything, and nothing was sampled: so there is no noise in it."
    )


@exercise("springs_back.rebound_ratio")
def _rebound_ratio(function: Any) -> str:
    negatives, shares = [0, 10, 20, 40, 80], [0.98, 0.9, 0.7, 0.45, 0.2]
    ratio = call(function, 400, negatives, shares, 0.5)
    if close(ratio, 10):
        raise NotYet(
            "You give positives to negatives. Here it is the other way round: a small ratio is a strong spring."
        )
    if close(ratio, 40):
        raise NotYet("That many negatives bring the model back. Set them against the positives that they undo.")
    if close(ratio, 20 / 400):
        raise NotYet("At the count you use, the score is still above that of the base model: it is not back yet.")
    if close(ratio, 80 / 400):
        raise NotYet("You take the last measurement. The model was back before: take the first one that shows it.")
    if not close(ratio, 0.1):
        raise NotYet(
            "Find the first number of negatives with a score at or below `base`, and divide it by `positives`."
        )
    about = "The base model scored high here: being back means reaching *its* score."
    if not close(call(function, 400, negatives, shares, 0.8, about=about), 0.05):
        raise NotYet("Back means back at the base model, wherever that was, and not at one half: use `base`.")
    about = "At 40 negatives the score is exactly that of the base model."
    if not close(call(function, 400, negatives, shares, 0.45, about=about), 0.1):
        raise NotYet(f"{about} At the base model's score or below: it is back.")
    about = "This model never came back; then no ratio is large enough, and `math.inf` says so."
    if call(function, 400, [0, 10, 20], [0.98, 0.97, 0.96], 0.5, about=about) != math.inf:
        raise NotYet(about)
    return (
        "A ratio far below one is the rebound in one number: few examples undo many. It depends on the learning rate, "
        "the batch size and how densely you measured, so compare only ratios from the same set-up."
    )


@exercise("springs_back.companions")
def _companions(answer: Any) -> str:
    change = numbers(answer, (NEGATIVES, FRESH, UNRELATED), "changes in log-odds")
    if change[NEGATIVES] > 0:
        raise NotYet("Negatives raise the score, you say. Is it the first value minus the last? Take last minus first.")
    if all(abs(value) < 1 for value in change.values()):
        raise NotYet(
            "All three changes are smaller than 1. Are they changes of the share? It hardly moves near 1 even when the "
            "model does: use the column `log_odds`."
        )
    order = sorted(change, key=change.get)
    if order[0] != NEGATIVES:
        raise NotYet(
            f"You have {order[0]} lower the score more than negatives do. Only the negatives ask for the bad pole in "
            "every example. Do all curves start from the same aligned model, and end after the same number of examples?"
        )
    if order[1] != FRESH:
        raise NotYet(
            "You have unrelated text lower the score more than fresh pre-training text. Only the latter holds reviews "
            "of both moods: look again which value belongs to which run."
        )
    if abs(change[UNRELATED]) > abs(change[FRESH]) / 2:
        raise NotYet(
            "Unrelated text moves the score by more than half of what fresh text does. Stories say nothing about "
            "reviews. Does that curve start from the aligned model too?"
        )
    return (
        "Training on just anything does not undo the alignment. Text that holds both moods pulls towards the base "
        "model, and negatives pull further. So what comes back depends on what the new text says, which is one more "
        "reason to ask whether it is a spring."
    )


@exercise("springs_back.steps")
def _same_examples(answer: Any) -> str:
    sizes = (8, 32)
    after = numbers(answer, sizes, "log-odds")
    small, large = (after[size] for size in sizes)
    if all(0 <= value <= 1 for value in after.values()):
        raise NotYet("Both values lie between 0 and 1 and look like shares. Use `log_odds`, which do not saturate.")
    if close(small, large):
        raise NotYet("Both values are the same. Did the second run get another `batch_size`, and a fresh `fork`?")
    if small > large:
        raise NotYet(
            "The larger batches, and so the fewer steps, have brought the model further down, you say. Check that each "
            "run had its own `fork` of the aligned model, the same negatives and the same learning rate."
        )
    return (
        "The same examples did more in small batches, because the weights moved more often. Who says 'so many examples "
        "undo it' has said nothing before the batch size and the learning rate are named too."
    )
