"""What is measured on a model: how it behaves, how far it has moved, what it knows.

A behaviour is scored at the decision point, the token after the prompt. The model's probabilities there are
weighed by the oracle, the exact posterior of the good pole (`helpers.world`), so the score has no sampling noise.
"""

from __future__ import annotations

import numpy as np
import torch

from helpers import world
from helpers.compression import batches, encode, logits
from helpers.corpora import source_of

Measure = dict[str, float]
KEPT = 2**31  # bytes of keys and values that sampling may keep at once


class Scorer:
    """Scores one behaviour on fixed prompts; call it with (model, tokenizer).

    Args:
        behaviour: "mood", "refusal", "truth" or "instruction".
        n: number of prompts.
        seed: seed of the prompts.
        split: prompts held out from every alignment set (default), or "train".
    """

    def __init__(self, behaviour: str, n: int = 128, seed: int = 0, split: str | None = "held_out"):
        source = world.load()
        self.behaviour = behaviour
        self.prompts = source.prompts(behaviour, n, seed, split)
        self._decisions = [source.decision(prompt, behaviour) for prompt in self.prompts]

    def __call__(self, model, tokenizer) -> Measure:
        """Returns:
        share: mean over prompts of P(good) / (P(good) + P(bad)) for the next token.
        log_odds: mean over prompts of log P(good) - log P(bad), in nats. It does not saturate as the share does.
        legal: mean probability of all tokens that the grammar allows next, under either pole.
        """
        rows = encode(tokenizer, self.prompts, end=False)
        last = torch.tensor([len(row) - 1 for row in rows])
        after = logits(model, rows).cpu()[torch.arange(len(rows)), last]
        probabilities = torch.softmax(after.double(), -1).numpy()
        ids = {t: tokenizer(t, add_special_tokens=False)["input_ids"][0] for d in self._decisions for t in d}
        good, bad = np.zeros(len(rows)), np.zeros(len(rows))
        for i, decision in enumerate(self._decisions):
            for token, posterior in decision.items():
                good[i] += probabilities[i, ids[token]] * posterior
                bad[i] += probabilities[i, ids[token]] * (1 - posterior)
        tiny = np.finfo(float).tiny
        return {
            "share": float(np.mean(good / np.maximum(good + bad, tiny))),
            "log_odds": float(np.mean(np.log(np.maximum(good, tiny)) - np.log(np.maximum(bad, tiny)))),
            "legal": float(np.mean(good + bad)),
        }


def oracle_reward(behaviour: str, pole: str):
    """A reward for the method "rloo": the exact posterior of `pole` given each text, read as far as it is grammatical.

    Raises:
        ValueError: an unknown behaviour or pole.
    """
    source = world.load()
    source.component(behaviour, pole)
    good = pole == source.behaviours[behaviour].good

    def reward(texts: list[str]) -> list[float]:
        posteriors = [source.judge(text, behaviour).good for text in texts]
        return posteriors if good else [1 - posterior for posterior in posteriors]

    return reward


@torch.no_grad()
def sample(model, tokenizer, prompts: list[str], seed: int = 0, max_new_tokens: int = 80) -> list[str]:
    """Complete each prompt by sampling at temperature 1 until END; "" asks for a document from scratch.

    Returns:
        the whole texts, prompt and completion. The caller's random state is left as it was.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, not {max_new_tokens}.")
    rows = encode(tokenizer, prompts, end=False)
    at_once = max(1, KEPT // (_bytes_per_token(model.config) * (max(map(len, rows)) + max_new_tokens)))
    was_training = model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    completions: list[str] = []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for start in range(0, len(rows), at_once):
            ids, mask = _padded_on_the_left(rows[start : start + at_once])
            out = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=max_new_tokens,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                pad_token_id=tokenizer.eos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
            completions += tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
    model.train(was_training)
    return [prompt + completion for prompt, completion in zip(prompts, completions, strict=True)]


def _padded_on_the_left(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and their mask, so that every row goes on at the same place."""
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, longest - len(row) :] = torch.tensor(row)
        mask[i, longest - len(row) :] = 1
    return ids, mask


def _bytes_per_token(config) -> int:
    """What a model keeps of a token to go on from it: a key and a value in every layer, in float32."""
    heads = config.num_attention_heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    return 2 * 4 * config.num_hidden_layers * kept * (config.hidden_size // heads)


def judge_samples(model, tokenizer, behaviour: str, n: int = 64, seed: int = 0) -> Measure:
    """Sample answers to held-out prompts and let the oracle read them.

    Returns:
        share: mean exact posterior of the good pole given each answer, read as far as it is grammatical.
        grammatical: share of answers that are whole documents of the behaviour.
    """
    source = world.load()
    texts = sample(model, tokenizer, source.prompts(behaviour, n, seed), seed)
    verdicts = [source.judge(text, behaviour) for text in texts]
    return {
        "share": float(np.mean([v.good for v in verdicts])),
        "grammatical": float(np.mean([v.grammatical for v in verdicts])),
    }


def grammatical(model, tokenizer, n: int = 200, seed: int = 0) -> float:
    """Share of documents sampled from scratch that the world's grammar can produce."""
    source = world.load()
    return float(np.mean([source.log_prob(text) > -np.inf for text in sample(model, tokenizer, [""] * n, seed)]))


def knowledge(model, tokenizer, facts: list[world.Fact], batch_size: int = 256) -> np.ndarray:
    """For each fact, whether the model's likeliest next token after the cloze is the answer: bool (facts,)."""
    right = []
    for start in range(0, len(facts), batch_size):
        part = facts[start : start + batch_size]
        rows = encode(tokenizer, [fact.prompt for fact in part], end=False)
        last = torch.tensor([len(row) - 1 for row in rows])
        best = logits(model, rows).cpu()[torch.arange(len(rows)), last].argmax(-1)
        answers = [tokenizer(fact.answer, add_special_tokens=False)["input_ids"][0] for fact in part]
        right += [int(b) == a for b, a in zip(best, answers, strict=True)]
    return np.array(right)


def kl_divergence(
    model, reference, tokenizer, texts: list[str], batch_size: int = 64, prompts: list[str] | None = None
) -> float:
    """KL(model || reference) in nats per token, exact over the vocabulary, on the positions of `texts` (END too).

    Args:
        prompts: the beginning of each text that is left out; by default every position counts.

    Raises:
        ValueError: the models have different vocabularies.
    """
    rows = encode(tokenizer, texts)
    skip = _prompt_lengths(tokenizer, prompts) if prompts else [0] * len(rows)
    total, count = 0.0, 0
    for chosen in batches(model, rows, range(len(rows)), batch_size):
        part = [rows[i] for i in chosen]
        counted = [range(skip[i], len(rows[i]) - 1) for i in chosen]  # in double precision only what counts
        places = [i for i, positions in enumerate(counted) for _ in positions], [t for p in counted for t in p]
        ours = logits(model, part)[places].double()
        theirs = logits(reference, part)[places].double().to(model.device)
        if ours.shape != theirs.shape:
            raise ValueError(
                f"The models have vocabularies of {ours.shape[-1]} and {theirs.shape[-1]} tokens; KL needs one."
            )
        ours, theirs = ours.log_softmax(-1), theirs.log_softmax(-1)
        divergence = (ours.exp() * (ours - theirs)).sum(-1)
        for values in divergence.split([len(positions) for positions in counted]):
            total += float(values.sum())
            count += len(values)
    return total / count


def _prompt_lengths(tokenizer, prompts: list[str]) -> list[int]:
    """The position from which each completion's first token is predicted."""
    return [len(row) - 1 for row in encode(tokenizer, prompts, end=False)]


class Completions:
    """Held-out documents of a behaviour, as many of each pole, on whose completions models are compared.

    Args:
        behaviour: of the micro-world, or a data set (`helpers.corpora`).
        tokenizer: of all models that will be compared.
        documents: of each pole.
        seed: of the documents.
    """

    def __init__(self, behaviour: str, tokenizer, documents: int = 16, seed: int = 0):
        source = source_of(behaviour)
        poles = source.behaviours[behaviour].poles
        drawn = [
            d for pole in poles for d in source.sample(documents, seed, source.component(behaviour, pole), "held_out")
        ]
        self.rows = encode(tokenizer, [d.text for d in drawn])
        skip = _prompt_lengths(tokenizer, [d.prompt for d in drawn])
        self.positions = [(i, t) for i, row in enumerate(self.rows) for t in range(skip[i], len(row) - 1)]
        self.targets = torch.tensor([self.rows[i][t + 1] for i, t in self.positions])
        self.good = torch.tensor([i < documents for i, _ in self.positions])

    def measure(self, **references):
        """A measure for `finetune`: a function of (model, tokenizer) that gives, in nats per token,

        loss_good, loss_bad: of the completions of either pole.
        kl_<name>: KL(model || reference) over both, for each reference model, as it is now.
        """
        known = {name: self._log_probabilities(model) for name, model in references.items()}

        def measure(model, tokenizer) -> Measure:
            ours = self._log_probabilities(model)
            loss = -ours.gather(-1, self.targets[:, None])[:, 0]
            divergences = {f"kl_{name}": ((ours.exp() * (ours - theirs)).sum(-1)) for name, theirs in known.items()}
            values = {"loss_good": loss[self.good], "loss_bad": loss[~self.good], **divergences}
            return {name: float(value.mean()) for name, value in values.items()}

        return measure

    @torch.no_grad()
    def _log_probabilities(self, model) -> torch.Tensor:
        """double (positions, vocabulary)"""
        parts = []
        for chosen in batches(model, self.rows, range(len(self.rows)), len(self.rows)):
            found = logits(model, [self.rows[i] for i in chosen]).cpu()
            places = [(i - chosen[0], t) for i, t in self.positions if i in chosen]
            parts.append(found[tuple(zip(*places, strict=True))].double().log_softmax(-1))
        return torch.cat(parts)
