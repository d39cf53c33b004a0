"""Is it elastic? Experiments in which elasticity and its rivals predict different things."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from helpers import world
from helpers.behaviour import Scorer
from helpers.experiments import FRESH, NEGATIVES, UNRELATED, Runs, companions_of, examples, measures, stages_of
from helpers.models import Loaded, fork, seeded

RANDOM = "random step"
STRAIGHT_BACK = "straight back"
ALIGNED = "aligned"
PRETRAINED = "pre-trained"


def coin(positives: Sequence[int], negatives: int, learning_rate: float = 0.05) -> pd.DataFrame:
    """The rebound of a model without any pre-training: one number z, with P(good) = sigmoid(z), and z = 0 at first.

    Gradient descent on its loss, one example a step: a positive adds learning_rate * (1 - P(good)) to z, a negative
    takes learning_rate * P(good) away.

    Returns:
        one row a number of negatives from 0 on, for each number of positives: positives, examples, share, log_odds.

    Raises:
        ValueError: sizes or a learning rate that are not positive.
    """
    if min(positives, default=0) < 1 or negatives < 1 or not learning_rate > 0:
        raise ValueError("coin needs positives, negatives and a learning_rate above zero.")
    rows = []
    for size in positives:
        z = 0.0
        for _ in range(size):
            z += learning_rate * (1 - _sigmoid(z))
        for seen in range(negatives + 1):
            rows.append((size, seen, _sigmoid(z), z))
            z -= learning_rate * _sigmoid(z)
    return pd.DataFrame(rows, columns=["positives", "examples", "share", "log_odds"])


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def in_weight_space(
    base: Loaded,
    behaviour: str,
    *,
    positives: int = 1024,
    negatives: int = 256,
    seeds: Sequence[int] = (0,),
    learning_rate: float = 3e-4,
    batch_size: int = 8,
    at: Sequence[int] = (0, 16, 32, 64, 128, 256),
    draws: int = 4,
    prompts: int = 64,
    documents: int = 16,
    on_measure: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Where the weights go when an aligned model is reversed, and what steps of the same length do elsewhere.

    Beside the negatives, as many documents of fresh and of unrelated text. For each measurement of the negatives also
    random steps (normal, as long as the negatives' step in every tensor) and a step straight back to the base model's
    weights (as long over all).

    Args:
        base: the pre-trained model; it is left as it is.
        behaviour: "mood", "refusal", "truth" or "instruction".
        positives: good-pole examples of the alignment.
        negatives: bad-pole examples that follow.
        seeds: each draws its own examples, their order and the random steps.
        learning_rate: constant, throughout.
        batch_size: examples an optimiser step.
        at: numbers of examples at which to measure.
        draws: random steps for each measurement.
        prompts: held-out prompts of the score.
        documents: of each pole, for losses and divergences as in `rebound`.
        on_measure: called with the table so far at every measurement of a run.

    Returns:
        one row a measurement (of the random steps: their mean), with columns seed, run, examples, length (of the step
        from the aligned weights, over the distance from there to base), cosine (of its angle with the way to base) and
        the columns that `rebound` measures.
    """
    source, measure = world.load(), measures(behaviour, base, prompts, documents)
    good, bad = source.behaviours[behaviour].poles
    rows: list[pd.DataFrame] = []
    for seed in seeds:
        data, _ = examples("sft", behaviour, good, positives, 2 * seed + 1)
        settings = {"learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
        (aligned,) = stages_of(base, data, [positives], **settings)
        start, way = _flat(aligned.model), _flat(base.model) - _flat(aligned.model)
        lengths: list[list[float]] = []  # of the negatives' steps, by tensor

        def look(loaded: Loaded, start=start, way=way) -> Callable:
            inner = measure(loaded)
            return lambda *m: inner(*m) | _step(_flat(m[0]) - start, way)

        def keep(loaded: Loaded, start=start, way=way, aligned=aligned, lengths=lengths) -> Callable:
            inner = look(loaded, start, way)

            def measured(model, tokenizer) -> dict[str, float]:
                lengths.append(_distances(model, aligned.model))
                return inner(model, tokenizer)

            return measured

        runs = Runs(keep, on_measure, learning_rate, batch_size)
        negative, _ = examples("sft", behaviour, bad, negatives, 2 * seed + 2)
        runs.train(fork(aligned), negative, at, seed=seed, run=NEGATIVES)
        runs.measure = look
        for run, _, texts in companions_of(source, base, aligned, negative, seed, (FRESH, UNRELATED)):
            runs.train(fork(aligned), texts, at, seed=seed, run=run)
        table = runs.table("seed", "run")
        rows += [table, _other_steps(table, lengths, aligned, way, look(aligned), seed, draws)]
    return pd.concat(rows, ignore_index=True)


def _other_steps(table, lengths, aligned: Loaded, way, measure, seed: int, draws: int) -> pd.DataFrame:
    """Random steps and steps straight back, as long as the negatives' at each of their measurements."""
    rows = []
    counts = table.loc[table["run"] == NEGATIVES, "examples"]
    with seeded(seed), torch.no_grad():
        for examples_seen, sizes in zip(counts, lengths, strict=True):
            noisy = []
            for _ in range(draws):
                moved = fork(aligned)
                for weight, size in zip(moved.model.parameters(), sizes, strict=True):
                    noise = torch.randn_like(weight)
                    weight += size * noise / noise.norm().clamp_min(1e-30)
                noisy.append(measure(moved.model, moved.tokenizer))
            rows.append({"run": RANDOM, "examples": examples_seen, **pd.DataFrame(noisy).mean()})
            back = fork(aligned)
            total = math.sqrt(math.fsum(size**2 for size in sizes))
            _move(back.model, way * (total / way.norm().item()))
            rows.append({"run": STRAIGHT_BACK, "examples": examples_seen, **measure(back.model, back.tokenizer)})
    return pd.DataFrame(rows).assign(seed=seed)


def _flat(model) -> torch.Tensor:
    return torch.cat([weight.detach().double().reshape(-1) for weight in model.parameters()])


def _move(model, step: torch.Tensor) -> None:
    for weight, part in zip(model.parameters(), step.split([w.numel() for w in model.parameters()]), strict=True):
        weight += part.reshape(weight.shape).to(weight.dtype)


def _distances(model, other) -> list[float]:
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return [float((a.detach() - b.detach()).double().norm()) for a, b in pairs]


def _step(step: torch.Tensor, way: torch.Tensor) -> dict[str, float]:
    length, whole = float(step.norm()), float(way.norm())
    cosine = float(step @ way) / (length * whole) if length else np.nan
    return {"length": length / whole, "cosine": cosine}


def same_score(
    base: Loaded,
    other: Loaded,
    behaviour: str,
    *,
    most: int = 512,
    negatives: int = 256,
    seeds: Sequence[int] = (0,),
    learning_rate: float = 3e-4,
    batch_size: int = 8,
    at: Sequence[int] = (0, 8, 16, 32, 64, 128, 256),
    prompts: int = 64,
    documents: int = 16,
    on_measure: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """The same data for two models of one score and different histories.

    `other` has its score from pre-training. `base` is aligned until it has it too: of all optimiser steps of an
    alignment run, the one with the nearest log-odds. Then both are given the same negatives and the same fresh text of
    the book's pre-training mixture (where both poles are as frequent as `base` has seen them).

    Args:
        base: a pre-trained model; it is left as it is.
        other: pre-trained on text with more of the good pole; it is left as it is.
        behaviour: "mood", "refusal", "truth" or "instruction".
        most: examples of the alignment run.
        negatives: examples of each run that follows.
        seeds, learning_rate, batch_size, at, prompts, documents, on_measure: as in `in_weight_space`.

    Returns:
        one row a measurement, with columns seed, run (negatives or fresh text), history ("aligned" or "pre-trained"),
        positives (examples that `base` was aligned with, 0 for `other`), examples and the columns that `rebound`
        measures; KL is counted from each model's own pre-trained state.

    Raises:
        ValueError: `other` scores lower than `base`, so that no alignment leads there.
    """
    source, scorer = world.load(), Scorer(behaviour, n=prompts)
    good, bad = source.behaviours[behaviour].poles
    wanted = scorer(other.model, other.tokenizer)["log_odds"]
    if wanted <= scorer(base.model, base.tokenizer)["log_odds"]:
        raise ValueError(f"{other.name!r} must have a higher score in {behaviour!r} than {base.name!r} from the start.")
    rows: list[pd.DataFrame] = []
    for seed in seeds:
        data, _ = examples("sft", behaviour, good, most, 2 * seed + 1)
        sizes = range(batch_size, most + 1, batch_size)
        stages = stages_of(base, data, sizes, learning_rate=learning_rate, batch_size=batch_size, seed=seed)
        gaps = [abs(scorer(stage.model, stage.tokenizer)["log_odds"] - wanted) for stage in stages]
        nearest = int(np.argmin(gaps))
        negative, _ = examples("sft", behaviour, bad, negatives, 2 * seed + 2)
        fresh = source.text(negatives, seed=2 * seed + 2)
        for history, start, origin, size in (
            (ALIGNED, stages[nearest], base, sizes[nearest]),
            (PRETRAINED, other, other, 0),
        ):
            runs = Runs(measures(behaviour, origin, prompts, documents), on_measure, learning_rate, batch_size)
            labels: dict[str, Any] = {"seed": seed, "history": history, "positives": size}
            runs.train(fork(start), negative, at, run=NEGATIVES, **labels)
            runs.train(fork(start), fresh, at, run=FRESH, **labels)
            rows.append(runs.table("seed", "run", "history", "positives"))
    return pd.concat(rows, ignore_index=True)
