"""What holds an aligned model back: anchors at its weights, and the experiment that weighs their cost and benefit.

An anchor is a spring in the literal sense: it pulls each weight back to where it was, with its own stiffness. Elastic
weight consolidation (Kirkpatrick and others, 1612.00796) takes the stiffness from the Fisher information: weights on
which the aligned behaviour depends are held, the others may go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from helpers import world
from helpers.behaviour import Measure, Scorer
from helpers.compression import bits_per_byte
from helpers.experiments import NEGATIVES, Runs, examples, stages_of
from helpers.finetune import Penalty
from helpers.methods import tokenize
from helpers.models import Loaded, fork, trained

BENIGN = "another behaviour"
_MANY = (0, 32, 64, 128, 192, 256, 384, 512)
_FEW = (0, 128, 256, 512)
DEFENCES = ("none", "replay", "one stage", "l2", "ewc", "slower")


def fisher(loaded: Loaded, data) -> dict[str, torch.Tensor]:
    """Diagonal of the empirical Fisher information: mean over examples of each trained weight's squared gradient.

    The gradient is that of an example's log probability (of the completion, summed over its tokens).

    Args:
        loaded: the model whose weights are to be held.
        data: with the columns that `finetune` needs for "sft".

    Returns:
        a tensor of the weight's shape for the name of each weight that is trained, scaled to a mean of 1 over all
        weights (so that a stiffness means as much under `ewc` as under `l2`).

    Raises:
        ValueError: data that `finetune` would refuse.
    """
    model = loaded.model
    weights = trained(model)
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for row in tokenize(data, loaded):
        ids, labels = (torch.tensor([row[key]], device=model.device) for key in ("input_ids", "labels"))
        loss = model(input_ids=ids, labels=labels).loss * sum(label != -100 for label in row["labels"])
        for name, gradient in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
            squares[name] += gradient.square()
    total = sum(float(square.double().sum()) for square in squares.values())
    mean = total / sum(square.numel() for square in squares.values())
    return {name: square / mean for name, square in squares.items()}


def l2(loaded: Loaded, stiffness: float) -> Penalty:
    """Half the stiffness times the squared distance from the weights as they are now: a `penalty` for `finetune`.

    Raises:
        ValueError: a stiffness that is no finite number of zero or more.
    """
    return _anchor(loaded, stiffness, dict.fromkeys(trained(loaded.model), 1.0))


def ewc(loaded: Loaded, stiffness: float, information: dict[str, torch.Tensor] | None) -> Penalty:
    """As `l2`, with each weight's square times its Fisher information.

    Args:
        loaded: the model as it is to stay.
        stiffness: zero or more.
        information: of `fisher`, for the same model.

    Raises:
        ValueError: no Fisher information, or none for some weight.
    """
    missing = [name for name in trained(loaded.model) if name not in (information or {})]
    if missing:
        raise ValueError(
            f"ewc has no Fisher information for the weight {missing[0]!r}: "
            "give it information=fisher(loaded, data), made from the same model."
        )
    return _anchor(loaded, stiffness, information)


def _anchor(loaded: Loaded, stiffness: float, information: dict[str, Any]) -> Penalty:
    if not (math.isfinite(stiffness) and stiffness >= 0):
        raise ValueError(f"stiffness must be a finite number of zero or more, not {stiffness}.")
    kept = {name: loaded.model.get_parameter(name).detach().clone() for name in trained(loaded.model)}

    def penalty(model) -> torch.Tensor:
        terms = [
            (information[name] * (weight - kept[name]).square()).sum()
            for name, weight in model.named_parameters()
            if name in kept
        ]
        return stiffness / 2 * torch.stack(terms).sum()

    return penalty


def hold_back(
    base: Loaded,
    behaviour: str,
    defence: str = "none",
    strength: float = 0.0,
    *,
    beside: str = "instruction",
    positives: int = 1024,
    negatives: int = 512,
    benign: int = 128,
    seeds: Sequence[int] = (0,),
    learning_rate: float = 3e-4,
    batch_size: int = 8,
    at: Sequence[int] | None = None,
    prompts: int = 64,
    texts: int = 64,
    on_measure: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Align under a defence, then turn back, and measure benefit and cost.

    none        nothing; with a filtered base model, this is the defence of filtered pre-training.
    replay      strength is the share of fresh pre-training documents in the alignment; the positives stay as many.
    one stage   the negatives are shuffled among the positives, in a run of its own for each number of them.
    l2, ewc     strength is the stiffness of an anchor at the aligned weights, in all training that follows.
    slower      strength is the factor by which the learning rate of all training that follows is lower.

    Args:
        base: the pre-trained model; it is left as it is.
        behaviour: "mood", "refusal", "truth" or "instruction".
        defence: one of `DEFENCES`.
        strength: see above; "none" and "one stage" have none.
        beside: another behaviour, which the aligned model is then taught under the same defence: what a defence
            forbids to honest users. (Not measured for "one stage", which has one stage.)
        positives, negatives: numbers of examples.
        benign: number of good-pole examples of the other behaviour.
        seeds: each draws its own examples and their order.
        learning_rate: constant; see "slower".
        batch_size: examples an optimiser step.
        at: numbers of negatives at which to measure; by default eight of them up to 512, or four under "one stage",
            where each is a run of its own.
        prompts: held-out prompts of a score.
        texts: held-out documents of ordinary text (no behaviour's).
        on_measure: called with the table so far at every measurement.

    Returns:
        one row a measurement, with columns seed, run (negatives, or another behaviour), examples, share and log_odds
        (of the run's own behaviour), bpb (bits per byte of ordinary text), bpb_base (the same of the base model),
        aligning_tokens (read in the alignment, replay and Fisher information included), positives.

    Raises:
        ValueError: an unknown defence, or a strength out of its range.
    """
    _check(defence, strength)
    if at is None:
        at = [n for n in (_FEW if defence == "one stage" else _MANY) if n <= negatives]
    source = world.load()
    ordinary = [d.text for d in source.sample(texts, 0, _ordinary(source), "held_out")]
    scorers = {name: Scorer(name, n=prompts) for name in (behaviour, beside)}

    def measure(name: str) -> Callable[..., Measure]:
        return lambda *m: scorers[name](*m) | {"bpb": bits_per_byte(*m, ordinary)}

    rows: list[pd.DataFrame] = []
    before = bits_per_byte(base.model, base.tokenizer, ordinary)
    good, bad = source.behaviours[behaviour].poles
    for seed in seeds:
        data = examples("sft", behaviour, good, positives, 2 * seed + 1)[0]
        negative = examples("sft", behaviour, bad, negatives, 2 * seed + 2)[0]
        settings = {"learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
        if defence == "one stage":
            rows.append(_one_stage(base, data, negative, at, measure(behaviour), **settings))
            continue
        data = _with_replay(data, strength, seed) if defence == "replay" else data
        (aligned,) = stages_of(base, data, [len(data)], **settings)
        spent = _tokens(data, base)
        options: dict[str, Any] = {}
        if defence == "l2":
            options["penalty"] = l2(aligned, strength)
        elif defence == "ewc":
            known = data.select(range(min(128, len(data))))
            options["penalty"] = ewc(aligned, strength, fisher(aligned, known))
            spent += _tokens(known, base)
        rate = learning_rate / strength if defence == "slower" else learning_rate
        runs = Runs(lambda _: measure(behaviour), on_measure, rate, batch_size)
        runs.train(fork(aligned), negative, at, options, seed=seed, run=NEGATIVES)
        runs.measure = lambda _: measure(beside)
        other = examples("sft", beside, source.behaviours[beside].good, benign, 2 * seed + 3)[0]
        runs.train(fork(aligned), other, [0, benign], options, seed=seed, run=BENIGN)
        rows.append(runs.table("seed", "run").assign(aligning_tokens=spent))
    return pd.concat(rows, ignore_index=True).assign(positives=positives, bpb_base=before)


def _check(defence: str, strength: float) -> None:
    if defence not in DEFENCES:
        raise ValueError(f"Unknown defence {defence!r}: choose from {', '.join(DEFENCES)}.")
    low, high = {"replay": (0, 1), "slower": (1, math.inf), "l2": (0, math.inf), "ewc": (0, math.inf)}.get(
        defence, (-1, 1)
    )
    if defence in ("none", "one stage"):
        if strength:
            raise ValueError(f"Defence {defence!r} has no strength: leave it at 0.")
    elif not low < strength < high:
        raise ValueError(f"The strength of {defence!r} must lie between {low} and {high}, not {strength}.")


def _ordinary(source: world.World) -> world.Mixture:
    """The pre-training mixture without the behaviours' documents."""
    shares = {domain: share for (domain, pole), share in source.mixture().shares if pole is None}
    return source.mixture(shares)


def _with_replay(data, share: float, seed: int):
    """The positives with so many fresh pre-training documents that these are `share` of all."""
    from datasets import Dataset, concatenate_datasets

    extra = round(len(data) * share / (1 - share))
    fresh = world.load().text(extra, seed=2 * seed + 5)["text"]
    return concatenate_datasets([data, Dataset.from_dict({"prompt": [""] * extra, "completion": list(fresh)})])


def _one_stage(base: Loaded, data, negative, at: Sequence[int], measure, **settings: Any) -> pd.DataFrame:
    """The score after one run through the positives and the first negatives, shuffled together, for each number."""
    from datasets import concatenate_datasets

    rows = []
    for count in at:
        together = concatenate_datasets([data, negative.select(range(count))]) if count else data
        (model,) = stages_of(base, together, [len(together)], **settings)
        row = {"seed": settings["seed"], "run": NEGATIVES, "examples": count, "aligning_tokens": _tokens(data, base)}
        rows.append(row | measure(model.model, model.tokenizer))
    return pd.DataFrame(rows)


def _tokens(data, loaded: Loaded) -> int:
    return int(np.sum([len(row["input_ids"]) for row in tokenize(data, loaded)]))
