"""Models trained until the gradient vanishes, in double precision: where the elasticity theorem's ratio holds.

A small GPT-NeoX learns a corner of the micro-world (``corner.toml``). It is pre-trained on D_p, then aligned on D_a
with a share of D_p replayed, until the gradient norm certifies that it has arrived. Then it is pulled a little towards
D_t. All losses are means over a whole data set, so nothing is noisy; they are in nats a token. ``ordinary_replay``
asks the same of a micro model trained as everyone trains.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize

from helpers import world
from helpers.compression import encode
from helpers.finetune import finetune
from helpers.models import Loaded, fork, seeded
from helpers.pretrain import Recipe, make_model

CORNER = Path(__file__).with_name("corner.toml")
CONTEXT = 16  # tokens; the corner's longest document has 9, and END on either side
TYPING_ERRORS = 0.05  # of all tokens: there stands any token, evenly. So the best logits are finite
MEMORY = 50  # steps whose curvature L-BFGS remembers


@dataclass(frozen=True)
class DataSets:
    """D_p, D_a and D_t over the same documents.

    Attributes:
        ids: tokens, behind END and with END behind them: int64 (documents, longest).
        weights: each token's weight in the mean of each data set: float64 (3, documents, longest - 1). Each sums to 1.
    """

    ids: torch.Tensor
    weights: torch.Tensor

    @property
    def vocabulary(self) -> int:
        """Number of tokens of the corner."""
        return len(_corner().tokens)


def _corner() -> world.World:
    return world.World.from_file(CORNER)


def sample(pretraining: int = 400, alignment: int = 400, perturbation: int = 400, seed: int = 0) -> DataSets:
    """Draw the three data sets: text of the corner, positive reviews, negative reviews.

    Args:
        pretraining, alignment, perturbation: documents of D_p, D_a and D_t.

    Raises:
        ValueError: a number of documents below 1.
    """
    for name, n in {"pretraining": pretraining, "alignment": alignment, "perturbation": perturbation}.items():
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"{name} must be a whole number of documents, at least 1, not {n!r}.")
    source = _corner()
    mixtures = (None, source.component("mood", "positive"), source.component("mood", "negative"))
    counts = [
        Counter(document.text for document in source.sample(n, 3 * seed + i, mixture, split=None))
        for i, (n, mixture) in enumerate(zip((pretraining, alignment, perturbation), mixtures, strict=True))
    ]
    numbers = {token: i for i, token in enumerate(source.tokens)}
    end = numbers[world.END]
    texts = sorted(set().union(*counts))
    rows = [[end, *(numbers[token] for token in world.tokenize(text)), end] for text in texts]
    ids = torch.full((len(rows), max(map(len, rows))), end)
    weights = torch.zeros(3, *ids[:, 1:].shape, dtype=torch.float64)
    for i, (text, row) in enumerate(zip(texts, rows, strict=True)):
        ids[i, : len(row)] = torch.tensor(row)
        for data, count in zip(weights, counts, strict=True):
            data[i, : len(row) - 1] = count[text]
    return DataSets(ids, weights / weights.sum((1, 2), keepdim=True))


class Model:
    """A one-layer GPT-NeoX in double precision, with its losses on D_p, D_a and D_t as functions of one weight vector.

    Attributes:
        start: freshly drawn weights: float64 (parameters,).
    """

    def __init__(self, data: DataSets, hidden: int = 24, seed: int = 0):
        self.data = data
        recipe = Recipe("gpt_neox", hidden, layers=1, heads=2, learning_rate=0, steps=0, checkpoints=())
        with seeded(seed):
            # Eager attention takes its softmax in single precision.
            self._network = make_model(recipe, data.vocabulary, CONTEXT, attention="sdpa").double()
        self._parameters = list(self._network.parameters())
        self.start = torch.nn.utils.parameters_to_vector(self._parameters).detach().numpy().copy()

    def _losses(self, weights: np.ndarray) -> torch.Tensor:
        if weights.shape != self.start.shape:
            raise ValueError(f"weights must be {len(self.start)} numbers, as many as `start` has, not {weights.size}.")
        torch.nn.utils.vector_to_parameters(torch.from_numpy(weights), self._parameters)
        ids = self.data.ids
        log_probs = self._network(input_ids=ids[:, :-1], use_cache=False).logits.log_softmax(-1)
        typed = log_probs.gather(-1, ids[:, 1:, None])[..., 0]
        nats = -(1 - TYPING_ERRORS) * typed - TYPING_ERRORS * log_probs.mean(-1)
        return (self.data.weights * nats).sum((1, 2))

    def _gradient(self, loss: torch.Tensor) -> np.ndarray:
        parts = torch.autograd.grad(loss, self._parameters, retain_graph=True)
        return torch.cat([part.reshape(-1) for part in parts]).numpy()

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """Losses on D_p, D_a and D_t: float64 (3,)."""
        with torch.no_grad():
            return self._losses(weights).numpy()

    def gradients(self, weights: np.ndarray) -> np.ndarray:
        """Gradients of the three losses: float64 (3, parameters)."""
        return np.stack([self._gradient(loss) for loss in self._losses(weights)])

    def train(
        self,
        weights: np.ndarray,
        shares: Sequence[float],
        steps: int,
        on_step: Callable[[int, np.ndarray], None] | None = None,
    ) -> np.ndarray:
        """Minimise a weighted sum of the losses by L-BFGS (SciPy's), over all data at each step.

        Args:
            weights: where to start.
            shares: of the losses on D_p, D_a and D_t: (1, 0, 0) is pre-training, (rho, 1 - rho, 0) alignment with a
                share rho of replay.
            steps: at most so many.
            on_step: called with each step's number and weights.

        Returns:
            the weights reached.

        Raises:
            ValueError: shares that are not three numbers, of which none is negative and one is positive; weights that
                are not finite or too many or few; steps < 1.
        """
        if steps < 1 or not np.isfinite(weights).all():
            raise ValueError(f"train needs finite weights and at least 1 step, not {steps}.")
        shares = torch.as_tensor(np.asarray(shares, dtype=float))
        if shares.shape != (3,) or not (shares >= 0).all() or not 0 < shares.sum() < math.inf:
            raise ValueError(
                f"shares must be three numbers, for D_p, D_a and D_t, none negative: not {shares.tolist()}."
            )

        def objective(at: np.ndarray) -> tuple[float, np.ndarray]:
            loss = self._losses(at) @ shares
            return loss.item(), self._gradient(loss)

        step = 0

        def count(at: np.ndarray) -> None:
            nonlocal step
            step += 1
            if on_step:
                on_step(step, at)

        options = {"maxiter": steps, "maxfun": 10 * steps, "maxcor": MEMORY, "ftol": 0, "gtol": 0, "maxls": 50}
        return minimize(objective, weights, jac=True, method="L-BFGS-B", callback=count, options=options).x

    def pull(self, weights: np.ndarray, size: float, direction: np.ndarray | None = None) -> np.ndarray:
        """What one small step does to the losses: the changes on D_p, D_a and D_t: float64 (3,).

        Args:
            size: length of the step, in units of the weights.
            direction: where to; by default down the gradient of the loss on D_t.

        Raises:
            ValueError: a size that is not above 0 and finite, or a direction of length 0.
        """
        if not 0 < size < math.inf:
            raise ValueError(f"size must be above 0 and finite, not {size}.")
        if direction is None:
            direction = -self.gradients(weights)[2]
        if not np.linalg.norm(direction) > 0:
            raise ValueError("direction must not be zero: it leads nowhere.")
        step = size * direction / np.linalg.norm(direction)
        return self.losses(weights + step) - self.losses(weights)


def certificate(gradients: np.ndarray, replay: float) -> dict[str, float]:
    """What a small step towards D_t does to the losses, and how close its ratio must be to -replay / (1 - replay).

    Args:
        gradients: of the losses on D_p, D_a and D_t: (3, parameters).
        replay: share of D_p in the objective (1 - replay) L_a + replay L_p.

    Returns:
        gradient_norm: of the objective; 0 at a stationary point.
        ratio: change of L_a over that of L_p, for an infinitely small step down the gradient of L_t.
        bound: the ratio lies no further than this from -replay / (1 - replay) (our proposition, chapter 5 of Part I).
        cosine: between the gradients of L_p and L_t; where it is positive, the step makes L_p fall.

    Raises:
        ValueError: replay is not from 0 to below 1, there are not three gradients, or the step does not change L_p.
    """
    if not 0 <= replay < 1:
        raise ValueError(f"replay must be a share from 0 to below 1, not {replay}: without D_a there is no ratio.")
    if len(gradients) != 3:
        raise ValueError(f"gradients must be three, of the losses on D_p, D_a and D_t, not {len(gradients)}.")
    on_p, on_a, on_t = gradients
    if on_p @ on_t == 0:
        raise ValueError("gradients: the step does not change L_p to first order, so there is no ratio.")
    norm = float(np.linalg.norm(replay * on_p + (1 - replay) * on_a))
    pull = float(np.linalg.norm(on_t))
    return {
        "gradient_norm": norm,
        "ratio": float(on_a @ on_t / (on_p @ on_t)),
        "bound": norm * pull / ((1 - replay) * abs(float(on_p @ on_t))),
        "cosine": float(on_p @ on_t / (np.linalg.norm(on_p) * pull)),
    }


# ---- the experiments -----------------------------------------------------------------------------------------

PRETRAINING_STEPS = 1000
STEPS = (1, 3, 10, 30, 100, 300, 1000)  # of alignment, after which is measured


def replay(
    seed: int,
    shares: Sequence[float],
    pretraining: int = 400,
    at: Sequence[int] = STEPS,
    on_measure: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Pre-train, then align from there with each share of replay; measure the ratio and how stationary the weights are.

    Args:
        seed: of the data, the initial weights and the random direction.
        shares: of D_p in the objective of the alignment.
        pretraining: documents of D_p; D_a and D_t have 400 each.
        at: steps after which to measure.
        on_measure: called with the table so far at every measurement.

    Returns:
        one row a measurement: seed, replay, pretraining, step, loss_p, loss_a, loss_t, what ``certificate`` gives, and
        ratio_random, the ratio for a step into a random direction.

    Raises:
        ValueError: a share that is not from 0 to below 1, or steps that are not whole numbers above 0.
    """
    if not all(0 <= share < 1 for share in shares):
        raise ValueError(f"shares must lie between 0 and below 1, not {list(shares)}.")
    if not len(at) or min(at) < 1:
        raise ValueError(f"at must hold numbers of steps, each at least 1, not {list(at)}.")
    model = Model(sample(pretraining, seed=seed), seed=seed)
    base = model.train(model.start, (1, 0, 0), PRETRAINING_STEPS)
    anywhere = np.random.Generator(np.random.PCG64(seed)).normal(size=len(base))
    rows: list[dict] = []
    for share in shares:

        def measure(step: int, weights: np.ndarray, share: float = share) -> None:
            if step not in at:
                return
            gradients = model.gradients(weights)
            on_p, on_a, _ = gradients
            losses = dict(zip(("loss_p", "loss_a", "loss_t"), model.losses(weights).tolist(), strict=True))
            place = {"seed": seed, "replay": share, "pretraining": pretraining, "step": step}
            random = {"ratio_random": float(on_a @ anywhere / (on_p @ anywhere))}
            rows.append(place | losses | certificate(gradients, share) | random)
            if on_measure:
                on_measure(pd.DataFrame(rows))

        model.train(base, (share, 1 - share, 0), max(at), measure)
    return pd.DataFrame(rows)


STEP, ADDED = "one step down the gradient of L_t", "D_t added, optimum found again"


def joint_optimum(seed: int, k: float, size: float = 1e-7, added: float = 0.01) -> pd.DataFrame:
    """Train to the joint optimum of D_p and D_a, then pull towards D_t in two ways.

    Args:
        k: size of D_p over that of D_a.
        size: length of the step down the gradient of the loss on D_t.
        added: size of D_t over that of D_a, the theorem's l.

    Returns:
        one row a pull: seed, k, pull; at the optimum gradient_norm, slopes (the ratio of the two slopes) and bound; and
        change_p, change_a and their ratio.

    Raises:
        ValueError: k is not above 0 and finite.
    """
    if not 0 < k < math.inf:
        raise ValueError(f"k must be above 0 and finite, not {k}.")
    share = k / (1 + k)
    model = Model(sample(seed=seed), seed=seed)
    base = model.train(model.start, (1, 0, 0), PRETRAINING_STEPS)
    optimum = model.train(base, (share, 1 - share, 0), 2 * PRETRAINING_STEPS)
    before = model.losses(optimum)
    again = model.train(optimum, (share, 1 - share, added * (1 - share)), 300)
    changes = {STEP: model.pull(optimum, size), ADDED: model.losses(again) - before}
    found = certificate(model.gradients(optimum), share)
    place = {"seed": seed, "k": k, "gradient_norm": found["gradient_norm"]}
    place |= {"slopes": found["ratio"], "bound": found["bound"]}
    rows = [
        {**place, "pull": pull, "change_p": on_p, "change_a": on_a, "ratio": on_a / on_p}
        for pull, (on_p, on_a, _) in changes.items()
    ]
    return pd.DataFrame(rows)


def ordinary_replay(
    base: Loaded,
    seed: int,
    shares: Sequence[float],
    *,
    examples: int = 1024,
    at: Sequence[int] = (0, 64, 256, 1024),
    learning_rate: float = 1e-3,
    batch_size: int = 8,
    held_out: int = 256,
) -> pd.DataFrame:
    """The same question to a pre-trained model that is fine-tuned as everyone does: small batches, one pass, AdamW.

    Args:
        base: a micro model; it is left as it is.
        shares: of the documents that are text of the pre-training mixture; the rest are positive reviews.
        examples: documents of the alignment.
        at: example counts at which to measure.
        held_out: documents in each of the three sets on which losses and gradients are measured.

    Returns:
        one row a measurement: seed, replay, tokens_replayed (as a share of the tokens, which the losses count),
        examples, loss_p, loss_a, loss_t and what ``certificate`` gives.
    """
    from datasets import Dataset

    source = world.load()
    good, bad = (source.component("mood", pole) for pole in source.behaviours["mood"].poles)
    measured = [
        [document.text for document in source.sample(held_out, 0, mixture, split="held_out")]
        for mixture in (None, good, bad)
    ]
    tables = []
    for share in shares:
        replayed = round(share * examples)
        old = [d.text for d in source.sample(replayed, 2 * seed + 1)] if replayed else []
        new = [d.text for d in source.sample(examples - replayed, 2 * seed + 2, good)] if replayed < examples else []
        of_old, of_new = (sum(map(len, encode(base.tokenizer, texts))) if texts else 0 for texts in (old, new))
        of_tokens = of_old / (of_old + of_new)

        def measure(model, tokenizer, of_tokens: float = of_tokens) -> dict[str, float]:
            with torch.enable_grad():
                found = [_loss_and_gradient(model, tokenizer, texts) for texts in measured]
            losses = dict(zip(("loss_p", "loss_a", "loss_t"), (loss for loss, _ in found), strict=True))
            return losses | certificate(np.stack([gradient for _, gradient in found]), of_tokens)

        run = finetune(
            fork(base),
            Dataset.from_dict({"text": old + new}),
            learning_rate=learning_rate,
            batch_size=batch_size,
            measure=measure,
            at=at,
            seed=seed,
            label=f"replay {share:g}",
        )
        tables.append(run.table.assign(seed=seed, replay=share, tokens_replayed=of_tokens))
    return pd.concat(tables, ignore_index=True)


def _loss_and_gradient(model, tokenizer, texts: list[str]) -> tuple[float, np.ndarray]:
    """Mean nats a token over whole documents, END included, and the gradient by all trainable weights."""
    rows = encode(tokenizer, texts)
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    targets = torch.full_like(ids[:, 1:], -100)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        targets[i, : len(row) - 1] = torch.tensor(row[1:])
    said = model(input_ids=ids.to(model.device)).logits[:, :-1].transpose(1, 2)
    loss = torch.nn.functional.cross_entropy(said, targets.to(model.device))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradient = torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, trainable)])
    return loss.item(), gradient.double().cpu().numpy()
