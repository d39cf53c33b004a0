"""The book's experiments: resistance, the rebound with its companions, and compression rates along a run.

A model is aligned with examples of a behaviour's good pole and then perturbed. Runs are nested: one pass over the
examples visits every smaller size, so no size is trained for twice.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers import hub, results, world
from helpers.behaviour import Completions, Measure, Scorer, kl_divergence, sample
from helpers.cache import Cache
from helpers.compression import bits_per_byte, encode, token_bits
from helpers.corpora import source_of
from helpers.finetune import finetune
from helpers.models import Loaded, adapter_of, compute_dtype, fork, trained
from helpers.scorers import reward_of, scored_by, scorer_of

POSITIVES = "positives"
NEGATIVES = "negatives"
FRESH = "fresh pre-training text"
UNRELATED = "unrelated text"
FROM_BASE = "negatives on the base model"
COMPANIONS = (FRESH, UNRELATED, FROM_BASE)

FORWARD = "forward"
INVERSE = "inverse"
FROM_THE_BASE = "from base"


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
    companions: bool | Sequence[str] = False,
    reverse_learning_rate: float | None = None,
    reverse_batch_size: int | None = None,
    method: str = "sft",
    reverse_method: str = "sft",
    swap_poles: bool = False,
    at: Sequence[int] | None = None,
    prompts: int = 128,
    documents: int = 0,
    classifier: str | None = None,
    folder: str | Path | None = None,
    on_measure: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Align with each number of good-pole examples, then turn back with bad-pole ones (the paper's section 5.2).

    Args:
        base: the pre-trained model; it is left as it is.
        behaviour: of the micro-world, "mood", "refusal", "truth" or "instruction"; or a data set (`helpers.corpora`).
        positives: numbers of good-pole examples; one alignment run a seed visits them all.
        negatives: number of bad-pole examples that follow.
        seeds: each draws its own examples and their order; the held-out prompts stay the same.
        learning_rate: constant, for both phases.
        batch_size: examples an optimiser step.
        reverse_learning_rate: another one after the alignment.
        reverse_batch_size: another one after the alignment.
        method: of the alignment (`helpers.methods`); an example is a completion ("sft", "kto", whose labels alternate),
            a pair ("dpo", "simpo") or a prompt ("rloo", whose reward is the posterior of the pole wanted).
        reverse_method: of the reversal, and of the negatives given to the base model.
        swap_poles: align with the bad pole and reverse with the good one; the names of the runs stay.
        companions: after the last alignment also train on fresh text of the pre-training mixture and on unrelated
            stories, as many documents as negatives, and give the base model the same negatives; or those of the three
            that are named (FRESH, UNRELATED, FROM_BASE).
        at: numbers of negatives at which to measure; by default 0, then doubling from the first step on.
        prompts: held-out prompts of the score.
        documents: if not 0, losses and KL divergences are measured too, on so many held-out documents of each pole,
            and the compression of as many documents of the pre-training mixture as of both poles.
        classifier: another than the default, of a data set that is scored by one (data/hub.yaml).
        folder: where finished runs and aligned models are kept, so that the same call goes on after a lost session; by
            default what `hub.results_folder` says.
        on_measure: called with the table so far at every measurement, to draw it live.

    Returns:
        one row a measurement, with columns seed, run (what the model was perturbed with), positives, step, examples,
        tokens, train_loss, share, log_odds, and in the micro-world legal; with documents also loss_good, loss_bad,
        kl_base and kl_start (`Completions.measure`; start is the model before the perturbation) and bpb_text (bits per
        byte of the pre-training mixture).

    Raises:
        ValueError: an unknown behaviour or companion, or sizes that are not positive.
    """
    sizes, beside = sorted(set(positives)), COMPANIONS if companions is True else tuple(companions or ())
    if unknown := set(beside) - set(COMPANIONS):
        raise ValueError(f"Unknown companion {min(unknown)!r}: choose from {', '.join(COMPANIONS)}.")
    if not sizes or sizes[0] < 1 or negatives < 1 or not len(seeds):
        raise ValueError("rebound needs at least one seed and whole numbers of positives and negatives above zero.")
    source, measure = source_of(behaviour), measures(behaviour, base, prompts, documents, classifier)
    kept = Cache(
        folder or hub.results_folder(),
        experiment="rebound",
        **_identity(base, behaviour, classifier),
        positives=sizes,
        negatives=negatives,
        rates=(learning_rate, reverse_learning_rate),
        batches=(batch_size, reverse_batch_size),
        methods=(method, reverse_method),
        swap_poles=swap_poles,
        at=at and list(at),
        measured=(prompts, documents),
    )
    runs = Runs(measure, on_measure, reverse_learning_rate or learning_rate, reverse_batch_size or batch_size, kept)
    poles = source.behaviours[behaviour].poles
    first, second = reversed(poles) if swap_poles else poles
    counts = doubling(negatives, min(runs.batch_size, negatives)) if at is None else at
    for seed in seeds:
        good, by = examples(method, behaviour, first, sizes[-1], 2 * seed + 1)
        settings = {"learning_rate": learning_rate, "batch_size": batch_size, "seed": seed, **by}
        stages = kept.models(
            [f"seed {seed}, {size} positives" for size in sizes],
            base,
            lambda good=good, settings=settings: stages_of(base, good, sizes, **settings),
        )
        bad, by = examples(reverse_method, behaviour, second, negatives, 2 * seed + 2)
        for size, model in zip(sizes, stages, strict=True):
            runs.train(fork(model), bad, counts, by, seed=seed, run=NEGATIVES, positives=size)
        for run, start, data in companions_of(source, base, stages[-1], bad, seed, beside):
            own, depth = (by, 0) if start is base else ({}, sizes[-1])
            runs.train(fork(start), data, counts, own, seed=seed, run=run, positives=depth)
    return runs.table("seed", "run", "positives")


def examples(method: str, behaviour: str, pole: str, n: int, seed: int) -> tuple[Any, dict[str, Any]]:
    """Examples that pull toward a pole, in the shape that a method needs, and what `finetune` needs to know beside."""
    source = source_of(behaviour)
    if method in ("dpo", "simpo"):
        return source.preferences(behaviour, n, seed, chosen=pole), {"method": method}
    if method == "kto":
        return source.labelled(behaviour, n, seed, desirable=pole), {"method": method}
    reward = {"reward": reward_of(behaviour, pole)} if method == "rloo" else {}
    return source.examples(behaviour, pole, n, seed), {"method": method, **reward}


def measures(
    behaviour: str, base: Loaded, prompts: int, documents: int, classifier: str | None = None
) -> Callable[[Loaded], Callable]:
    """What `rebound` measures, as a function of the model that a run starts from."""
    scorer = scorer_of(behaviour, prompts, classifier=classifier)
    if not documents:
        return lambda start: scorer
    completions = Completions(behaviour, base.tokenizer, documents)
    texts = [document.text for document in source_of(behaviour).sample(2 * documents, 0, split="held_out")]

    def measure(start: Loaded) -> Callable:
        distances = completions.measure(base=base.model, start=start.model)
        return lambda *m: scorer(*m) | distances(*m) | {"bpb_text": bits_per_byte(*m, texts)}

    return measure


def stages_of(base: Loaded, data, sizes: Sequence[int], **settings) -> list[Loaded]:
    """The model after each number of examples, of one run through them all."""
    stages: list[Loaded] = []
    model = fork(base)

    def keep(*_) -> dict:
        stages.append(fork(model))
        return {}

    finetune(model, data, measure=keep, at=sizes, label=POSITIVES, **settings)
    return stages


def resistance(
    base: Loaded,
    behaviour: str,
    *,
    slice_size: int = 64,
    slices: int = 3,
    answers: int = 256,
    seeds: Sequence[int] = (0,),
    learning_rate: float = 3e-4,
    batch_size: int = 8,
    folder: str | Path | None = None,
    on_measure: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Forward against inverse alignment (the paper's section 5.1).

    One alignment run is cut into slices: the model before it is theta_0, after the first slice theta_1, and so on. All
    but theta_0 answer the same held-out prompts; theta_l's answers are the set D_l. Then every theta_k is trained on
    every D_l: forward if k < l, inverse if k > l, and from base (k = 0), which the paper does not report.

    Args:
        base: the pre-trained model theta_0; it is left as it is.
        behaviour: as in `rebound`.
        slice_size: good-pole examples a slice.
        slices: how many.
        answers: size of each D_l. A quarter as many more are held out, to measure KL divergence on.
        seeds: each draws its own examples, prompts and answers.
        learning_rate: constant, throughout.
        batch_size: examples an optimiser step.
        folder: as in `rebound`.
        on_measure: called with the table so far after every run.

    Returns:
        one row a run, with columns seed, direction, start (k), target (l); in nats per token of the answers:
        train_loss (mean over the run's steps), last_loss (over its last quarter), entropy (theta_l's own loss in the
        same batches: what no model can beat in the mean), kl_before and kl_after (KL(theta_l || model) on held-out
        answers, exact at each position); share_start and share_target (good-pole share of theta_k and theta_l).

    Raises:
        ValueError: an unknown behaviour, or sizes that are too small.
    """
    if slice_size < 1 or slices < 2 or answers < 4 or not len(seeds):
        raise ValueError("resistance needs slice_size of 1, slices of 2, answers of 4 and one seed at least.")
    source, scorer = source_of(behaviour), scorer_of(behaviour)
    sizes = [slice_size * (i + 1) for i in range(slices)]
    kept = Cache(
        folder or hub.results_folder(),
        experiment="resistance",
        **_identity(base, behaviour),
        sizes=(slice_size, slices, answers),
        rate=learning_rate,
        batch=batch_size,
    )
    done: list[pd.DataFrame] = []

    told: list[int] = []

    def tell(rows: list[dict]) -> None:
        told.append(len(rows))
        if on_measure:
            on_measure(pd.concat([*done, *([pd.DataFrame(rows)] if rows else [])], ignore_index=True))

    for seed in seeds:
        settings = {"learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
        good = source.examples(behaviour, source.behaviours[behaviour].good, sizes[-1], seed=2 * seed + 1)
        aligned = kept.models(
            [f"seed {seed}, {size} positives" for size in sizes],
            base,
            lambda good=good, settings=settings: stages_of(base, good, sizes, **settings),
        )
        stages = [base, *aligned]
        shares = [scorer(stage.model, stage.tokenizer)["share"] for stage in stages]
        prompts = source.prompts(behaviour, answers + answers // 4, seed)
        for target in range(1, slices + 1):

            def make(stages=stages, shares=shares, target=target, prompts=prompts, settings=settings) -> pd.DataFrame:
                return _towards(target, stages, shares, prompts, answers, settings, tell)

            told.clear()
            done.append(kept.table(f"seed {seed}, target {target}", make))
            if not told:  # nothing was left to do, and all the same there is something to draw
                tell([])
    return pd.concat(done, ignore_index=True)


def _towards(
    target: int,
    stages: Sequence[Loaded],
    shares: Sequence[float],
    prompts: list[str],
    answers: int,
    settings: dict[str, Any],
    tell: Callable[[list[dict]], None],
) -> pd.DataFrame:
    """Train every other stage on what stage `target` answers: the rows of `resistance` for that target."""
    teacher = stages[target]
    texts = sample(teacher.model, teacher.tokenizer, prompts, settings["seed"])
    asked, said = prompts[:answers], texts[:answers]
    pairs = {"prompt": asked, "completion": [t.removeprefix(p) for t, p in zip(said, asked, strict=True)]}

    def distance(model, tokenizer) -> Measure:
        return {"kl": kl_divergence(teacher.model, model, tokenizer, texts[answers:], prompts=prompts[answers:])}

    # The same batches at a rate that moves no weight: the loss of the model that wrote the answers.
    own = _losses(teacher, pairs, **{**settings, "learning_rate": 1e-12})
    rows: list[dict] = []
    for start, stage in enumerate(stages):
        if start == target:
            continue
        rows.append(
            {
                "seed": settings["seed"],
                "direction": FROM_THE_BASE if not start else FORWARD if start < target else INVERSE,
                "start": start,
                "target": target,
                **_losses(stage, pairs, measure=distance, **settings),
                "entropy": own["train_loss"],
                "share_start": shares[start],
                "share_target": shares[target],
            }
        )
        tell(rows)
    return pd.DataFrame(rows)


def _identity(base: Loaded, behaviour: str, classifier: str | None = None) -> dict[str, Any]:
    """All beside the experiment's own settings that decides a result, for a `Cache`."""
    digest = hashlib.sha256()
    for weight in (base.model.get_input_embeddings().weight, *trained(base.model).values()):
        digest.update(weight.detach().float().cpu().numpy().tobytes())
    return {
        "model": base.name,
        "revision": base.revision,
        "weights": digest.hexdigest(),
        "adapter": adapter_of(base.model),
        "computed_in": str(compute_dtype(base.model.device.type)),
        "behaviour": behaviour,
        "data": getattr(source_of(behaviour), "identity", ""),
        "scored_by": scored_by(behaviour, classifier),
        "versions": results.versions(),
    }


def _losses(start: Loaded, pairs: dict, *, batch_size: int, measure=None, **settings) -> Measure:
    """Train a copy of a model on pairs of prompt and completion: its losses, and the measure before and after."""
    from datasets import Dataset

    n = len(pairs["prompt"])
    last_quarter = -(-3 * n // (4 * batch_size)) * batch_size
    at = [0, min(last_quarter, n), n]
    result = finetune(
        fork(start),
        Dataset.from_dict(pairs),
        batch_size=batch_size,
        measure=measure,
        at=at,
        label="answers",
        **settings,
    )
    rows = result.table.iloc[1:]
    steps = rows["step"].diff().fillna(rows["step"])
    first, last = result.table.iloc[0], result.table.iloc[-1]
    losses = {"train_loss": float(np.average(rows["train_loss"], weights=steps)), "last_loss": last["train_loss"]}
    return losses | ({"kl_before": first["kl"], "kl_after": last["kl"]} if measure else {})


class Rates:
    """Bits per byte of fixed held-out documents; call it with (model, tokenizer).

    Pre-training text is measured in the three parts into which Theorem 4.2 of the paper divides it: documents of the
    good pole (D_2, from whose source the alignment set comes), of the bad pole (D_3), and everything else (D_1). The
    rate of the whole weighs the parts with their shares in the mixture. (That is ours: documents drawn from the
    mixture would give the same mean, with more noise.)

    Args:
        behaviour: "mood", "refusal", "truth" or "instruction".
        base: the model from which the KL divergence is counted; it is not changed.
        documents: of each pole; of everything else there are twice as many. The KL divergence is measured on a quarter
            of them.
        seed: of the documents.
    """

    def __init__(self, behaviour: str, base: Loaded, documents: int = 48, seed: int = 0):
        source = world.load()
        poles = dict(zip("at", source.behaviours[behaviour].poles, strict=True))
        whole = source.mixture()
        shares = dict(whole.shares)
        self.base = base.model
        self.weights = {part: shares.pop((behaviour, pole)) for part, pole in poles.items()}
        self.weights["other"] = math.fsum(shares.values())
        own = {part: source.component(behaviour, pole) for part, pole in poles.items()}
        own["other"] = world.Mixture(tuple((part, share / self.weights["other"]) for part, share in shares.items()))
        counts = {"a": documents, "t": documents, "other": 2 * documents}
        drawn = {part: source.sample(counts[part], seed, mixture, "held_out") for part, mixture in own.items()}
        self.texts = {part: [document.text for document in drawn[part]] for part in own}
        self.prompts = {part: [document.prompt for document in drawn[part]] for part in poles}
        self.bytes = {part: _mean(len(text.encode()) for text in texts) for part, texts in self.texts.items()}

        def floor(part: str, mixture: world.Mixture) -> float:
            return _mean(-source.log_prob(text, mixture) / math.log(2) for text in self.texts[part])

        self.floors = {part: floor(part, own[part]) / self.bytes[part] for part in poles}
        self.floors["p"] = self._whole({part: floor(part, whole) for part in own}, self.bytes)

    def __call__(self, model, tokenizer) -> Measure:
        """Returns:
        rate_p, rate_a, rate_t: bits per byte of pre-training text, of the good pole and of the bad one.
        rate_other: the part of pre-training text that is neither pole.
        prompt_a, prompt_t: the prompts' part of rate_a and rate_t; the rest is the completions'.
        excess_p, excess_a, excess_t: the rate less the text's own exact code length, under the mixture for p and under
            its pole for a and t: what the model needs beyond the best possible one that knows which text is coming.
        kl_p, kl_poles: KL(model || base) in nats per token, on pre-training text and on documents of both poles.
        """
        rows = iter(token_bits(model, tokenizer, [text for texts in self.texts.values() for text in texts]))
        bits = {part: [next(rows) for _ in texts] for part, texts in self.texts.items()}
        mean = {part: _mean(row.sum() for row in bits[part]) for part in bits}
        rates = {"p": self._whole(mean, self.bytes), **{part: mean[part] / self.bytes[part] for part in mean}}
        prompts = {}
        for part, texts in self.prompts.items():
            ends = [len(row) - 1 for row in encode(tokenizer, texts, end=False)]
            said = _mean(row[:end].sum() for row, end in zip(bits[part], ends, strict=True))
            prompts[f"prompt_{part}"] = said / self.bytes[part]
        return {
            **{f"rate_{part}": rate for part, rate in rates.items()},
            **prompts,
            **{f"excess_{part}": rates[part] - floor for part, floor in self.floors.items()},
            **self._divergences(model, tokenizer),
        }

    def _divergences(self, model, tokenizer) -> Measure:
        few = {part: texts[: math.ceil(len(texts) / 4)] for part, texts in self.texts.items()}
        tokens = {part: _mean(len(row) - 1 for row in encode(tokenizer, texts)) for part, texts in few.items()}
        sums = {part: tokens[part] * kl_divergence(model, self.base, tokenizer, few[part]) for part in few}
        poles = sum(sums[part] for part in self.prompts) / sum(tokens[part] for part in self.prompts)
        return {"kl_p": self._whole(sums, tokens), "kl_poles": poles}

    def _whole(self, values: dict[str, float], sizes: dict[str, float]) -> float:
        """The mixture's value per size, from those of a mean document of each part."""
        value, size = (math.fsum(w * of[part] for part, w in self.weights.items()) for of in (values, sizes))
        return value / size


def rates_along_a_run(
    base: Loaded,
    behaviour: str,
    *,
    aligning: int = 256,
    reverting: int = 128,
    seeds: Sequence[int] = (0,),
    learning_rate: float = 3e-4,
    batch_size: int = 8,
    companions: bool = True,
    documents: int = 48,
    on_measure: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Compression rates, KL to base and score after every optimiser step of aligning and of turning back.

    Whole documents are trained on, prompts included: then the loss is the code length of the documents, which is what
    the rates measure (on other documents). The prompts of the score may be among them.

    Args:
        base: the pre-trained model; it is left as it is.
        behaviour: "mood", "refusal", "truth" or "instruction".
        aligning: number of good-pole documents.
        reverting: number of bad-pole documents that follow, and of the companions'.
        seeds: each draws its own documents and their order; those measured on stay the same.
        learning_rate: constant, for both phases.
        batch_size: documents an optimiser step.
        companions: after the alignment also train on fresh text of the pre-training mixture and on unrelated stories,
            and give the base model the same bad-pole documents.
        documents: measured on, see `Rates`; the score has as many prompts.
        on_measure: called with the table so far after every step.

    Returns:
        one row a step, with columns seed, run (what the model was trained on), phase ("align" or "revert"), step,
        examples, tokens (all three counted from the phase's beginning), train_loss, the columns of `Rates`, share,
        log_odds, legal.

    Raises:
        ValueError: an unknown behaviour, or sizes that are not positive.
    """
    if min(aligning, reverting, documents) < 1 or not len(seeds):
        raise ValueError("aligning, reverting and documents must be whole numbers above zero, with at least one seed.")
    scorer = Scorer(behaviour, n=documents)
    rates, source = Rates(behaviour, base, documents), world.load()
    runs = Runs(lambda start: lambda *m: rates(*m) | scorer(*m), on_measure, learning_rate, batch_size)
    good, bad = (source.component(behaviour, pole) for pole in source.behaviours[behaviour].poles)
    for seed in seeds:
        aligned = fork(base)
        positives = source.text(aligning, seed=2 * seed + 1, mixture=good)
        runs.train(aligned, positives, range(aligning + 1), seed=seed, run=POSITIVES, phase="align")
        negatives = source.text(reverting, seed=2 * seed + 2, mixture=bad)
        others = companions_of(source, base, aligned, negatives, seed) if companions else ()
        for run, start, data in [(NEGATIVES, aligned, negatives), *others]:
            runs.train(fork(start), data, range(reverting + 1), seed=seed, run=run, phase="revert")
    return runs.table("seed", "run", "phase")


def over_seeds(
    table: pd.DataFrame,
    by: Sequence[str],
    columns: Sequence[str] = ("share", "log_odds"),
    interval: float | None = None,
) -> pd.DataFrame:
    """Mean over seeds, and range or interval: for each column c, columns c, c_low, c_high, one row a value of `by`.

    Args:
        interval: None for the range over seeds; 0.95, say, for the 95 % bootstrap interval of the mean (percentiles of
            9,999 resamplings of the seeds).

    Raises:
        ValueError: an interval that does not lie between 0 and 1, or one seed alone, which has none.
    """
    groups = table.groupby(list(by), sort=False)[list(columns)]
    mean = groups.mean()
    if interval is None:
        low, high = groups.min(), groups.max()
    else:
        low, high = _bootstrap(groups, mean, interval)
    return pd.concat([mean, low.add_suffix("_low"), high.add_suffix("_high")], axis=1).reset_index()


def bootstrap_interval(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the bootstrap interval of the mean over the first axis (percentiles of 9,999 resamplings).

    Raises:
        ValueError: a level that does not lie between 0 and 1, or fewer than two values.
    """
    from scipy.stats import bootstrap

    if not 0 < level < 1:
        raise ValueError(f"interval must lie between 0 and 1, as 0.95 does, not {level!r}.")
    if len(values) < 2:
        raise ValueError("interval: the bootstrap needs at least two seeds in every group; use interval=None.")
    options = {"confidence_level": level, "method": "percentile", "random_state": 0}
    return tuple(bootstrap((values,), np.mean, axis=0, **options).confidence_interval)


def _bootstrap(groups, mean: pd.DataFrame, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    ends = [bootstrap_interval(rows.to_numpy(), level) for _, rows in groups]
    return tuple(pd.DataFrame([end[i] for end in ends], index=mean.index, columns=mean.columns) for i in (0, 1))


@dataclass
class Runs:
    """The fine-tuning runs of one experiment, and their tables, each row labelled."""

    measure: Callable[[Loaded], Callable[[Any, Any], Measure]]  # by the model that a run starts from
    on_measure: Callable[[pd.DataFrame], None] | None
    learning_rate: float
    batch_size: int
    kept: Cache = field(default_factory=lambda: Cache(None))
    done: list[pd.DataFrame] = field(default_factory=list)

    def train(
        self, model: Loaded, data, at: Sequence[int], options: dict | None = None, *, seed: int, run: str, **labels: Any
    ) -> None:
        """Train a model and keep the table; `options` are more arguments of `finetune`."""
        labels = {"seed": seed, "run": run, **labels}

        def show(table: pd.DataFrame) -> None:
            if self.on_measure:
                self.on_measure(pd.concat([*self.done, table.assign(**labels)], ignore_index=True))

        made = []

        def make() -> pd.DataFrame:
            made.append(run)
            result = finetune(
                model,
                data,
                learning_rate=self.learning_rate,
                batch_size=self.batch_size,
                seed=seed,
                measure=self.measure(model),
                at=at,
                on_measure=show,
                label=run,
                **(options or {}),
            )
            return result.table.assign(**labels)

        self.done.append(self.kept.table(", ".join(f"{key} {value}" for key, value in labels.items()), make))
        if self.on_measure and not made:  # nothing was left to do, and all the same there is something to draw
            self.on_measure(pd.concat(self.done, ignore_index=True))

    def table(self, *labels: str) -> pd.DataFrame:
        """All rows, their labels first."""
        first = [*labels, "step", "examples", "tokens", "train_loss"]
        table = pd.concat(self.done, ignore_index=True)
        return table[[*first, *(column for column in table if column not in first)]]


def companions_of(
    source, base: Loaded, aligned: Loaded, bad, seed: int, wanted: Sequence[str] = COMPANIONS
) -> Iterator[tuple[str, Loaded, Any]]:
    """The runs that belong beside the negatives `bad` of a source: (name, model to start from, as much data)."""
    n = len(bad)
    if FRESH in wanted:
        yield FRESH, aligned, source.text(n, seed=2 * seed + 2)
    if UNRELATED in wanted:
        yield UNRELATED, aligned, source.unrelated(n, seed=2 * seed + 2)
    if FROM_BASE in wanted:
        yield FROM_BASE, base, bad


def _mean(values) -> float:
    return float(np.mean(list(values)))
