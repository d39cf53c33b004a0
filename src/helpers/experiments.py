"""The book's experiments. So far: the rebound with its companions.

A model is aligned with examples of a behaviour's good pole and then perturbed. Runs are nested: one pass over the
examples visits every smaller size, so no size is trained for twice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pandas as pd

from helpers import world
from helpers.behaviour import Scorer
from helpers.finetune import finetune
from helpers.models import Loaded, fork

NEGATIVES = "negatives"
FRESH = "fresh pre-training text"
UNRELATED = "unrelated text"
FROM_BASE = "negatives on the base model"


def doubling(last: int, first: int) -> list[int]:
    """Example counts 0, first, 2 first, 4 first, ... up to and with `last`."""
    if not 1 <= first <= last:
        raise ValueError(f"doubling counts from first={first} to last={last}: it needs 1 <= first <= last.")
    counts = [0]
    while first < last:
        counts.append(first)
        first *= 2
    return [*counts, last]


def rebound(
    base: Loaded,
    behaviour: str,
    *,
    positives: Sequence[int] = (64, 256, 1024),
    negatives: int = 256,
    seeds: Sequence[int] = (0,),
    learning_rate: float = 3e-4,
    batch_size: int = 8,
    companions: bool = False,
    on_measure: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Align with each number of good-pole examples, then turn back with bad-pole ones.

    Args:
        base: the pre-trained model; it is left as it is.
        behaviour: "mood", "refusal", "truth" or "instruction".
        positives: numbers of good-pole examples; one alignment run a seed visits them all.
        negatives: number of bad-pole examples that follow.
        seeds: each draws its own examples and their order; the held-out prompts stay the same.
        learning_rate: constant, for both steps.
        batch_size: examples an optimiser step.
        companions: after the last alignment also train on fresh text of the pre-training mixture and on unrelated
            stories, as many documents as negatives, and give the base model the same negatives.
        on_measure: called with the table so far at every measurement, to draw it live.

    Returns:
        one row a measurement, with columns seed, run (what the model was perturbed with), positives, step, examples,
        tokens, train_loss, share, log_odds, legal.

    Raises:
        ValueError: an unknown behaviour, or sizes that are not positive.
    """
    sizes = sorted(set(positives))
    if not sizes or sizes[0] < 1 or negatives < 1 or not len(seeds):
        raise ValueError("rebound needs at least one seed and whole numbers of positives and negatives above zero.")
    source, scorer = world.load(), Scorer(behaviour)
    poles = source.behaviours[behaviour]
    done: list[pd.DataFrame] = []

    def perturb(model: Loaded, data, run: str, size: int, seed: int) -> None:
        def show(table: pd.DataFrame) -> None:
            if on_measure:
                on_measure(pd.concat([*done, label(table)], ignore_index=True))

        def label(table: pd.DataFrame) -> pd.DataFrame:
            return table.assign(seed=seed, run=run, positives=size)

        counts = doubling(len(data), min(batch_size, len(data)))
        arguments = {"learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
        result = finetune(model, data, measure=scorer, at=counts, on_measure=show, label=run, **arguments)
        done.append(label(result.table))

    for seed in seeds:
        aligned: list[dict] = []
        model = fork(base)
        finetune(
            model,
            source.examples(behaviour, poles.good, sizes[-1], seed=2 * seed + 1),
            learning_rate=learning_rate,
            batch_size=batch_size,
            seed=seed,
            measure=lambda m, _, kept=aligned: kept.append(copy.deepcopy(m.state_dict())) or {},
            at=sizes,
            label="positives",
        )
        bad = source.examples(behaviour, poles.bad, negatives, seed=2 * seed + 2)
        for size, state in zip(sizes, aligned, strict=True):
            model.model.load_state_dict(state)
            perturb(fork(model), bad, NEGATIVES, size, seed)
        if companions:
            mixture = source.text(negatives, seed=2 * seed + 2)
            stories = source.text(negatives, seed=2 * seed + 2, mixture=source.component("stories"))
            perturb(fork(model), mixture, FRESH, sizes[-1], seed)
            perturb(fork(model), stories, UNRELATED, sizes[-1], seed)
            perturb(fork(base), bad, FROM_BASE, 0, seed)
    first = ["seed", "run", "positives", "step", "examples", "tokens", "train_loss"]
    table = pd.concat(done, ignore_index=True)
    return table[[*first, *(column for column in table if column not in first)]]


def over_seeds(table: pd.DataFrame, by: Sequence[str], columns: Sequence[str] = ("share", "log_odds")) -> pd.DataFrame:
    """Mean and range over seeds: for each column c, the columns c, c_low, c_high, one row for each value of `by`."""
    groups = table.groupby(list(by), sort=False)[list(columns)]
    mean, low, high = groups.mean(), groups.min().add_suffix("_low"), groups.max().add_suffix("_high")
    return pd.concat([mean, low, high], axis=1).reset_index()
