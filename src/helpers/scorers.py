"""How a behaviour is scored: exactly in the micro-world, by a classifier or by a choice of answers in a data set."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from helpers import hub
from helpers.behaviour import Measure, Scorer, oracle_reward, sample
from helpers.compression import encode, row_bits
from helpers.corpora import ANSWER, FILES, QUESTION, Corpus, source_of
from helpers.hub_errors import told
from helpers.models import default_device
from helpers.world import World

NEW_TOKENS = 32  # that a model writes to be classified


def scorer_of(behaviour: str, n: int = 128, seed: int = 0, classifier: str | None = None) -> Callable[..., Measure]:
    """The score of a behaviour on `n` held-out prompts: a function of (model, tokenizer) that gives share and log_odds.

    Of the micro-world `behaviour.Scorer`; of a data set `Classified`, or `Choice` where there is no classifier.

    Raises:
        ValueError: a classifier is named for a behaviour that is scored without one.
    """
    source = source_of(behaviour)
    if getattr(source, "classifier", None):
        return Classified(source, n, seed, classifier)
    if classifier:
        raise ValueError(f"{behaviour} is scored without a classifier: leave out classifier={classifier!r}.")
    return Scorer(behaviour, n, seed) if isinstance(source, World) else Choice(source, n, seed)


def scored_by(behaviour: str, classifier: str | None = None) -> str:
    """What scores a behaviour, by name: a classifier and its commit, "choice of answers" or "exact posterior"."""
    known = hub.table("data_sets").get(behaviour)
    if known is None and Path(behaviour).suffix not in FILES:
        return "exact posterior"
    if known is None or "classifier" not in known:
        return "choice of answers"
    name = _named(known["classifier"], classifier)
    return f"{name}@{hub.pinned(name)}"


class Classified:
    """Scores a behaviour by a classifier that reads what the model writes; call it with (model, tokenizer).

    What is written is sampled, at temperature 1 and from a fixed seed: unlike the micro-world's, this score has
    sampling noise, and the classifier's own mistakes.

    Args:
        corpus: whose held-out prompts the model goes on from.
        n: number of prompts.
        seed: of the prompts.
        classifier: a name from data/hub.yaml; by default the first of its kind there.
    """

    def __init__(self, corpus: Corpus, n: int = 128, seed: int = 0, classifier: str | None = None):
        self.prompts, self.shown = corpus.prompts(corpus.name, n, seed), corpus.shown
        name = _named(corpus.classifier, classifier)
        self.form = hub.table("classifiers")[corpus.classifier][name].get("form")
        self.log_odds = classifier_of(corpus.classifier, name)

    def __call__(self, model, tokenizer) -> Measure:
        """Returns:
        share: mean over prompts of the classifier's probability of the good pole.
        log_odds: mean over prompts of its log-odds, in nats.
        """
        texts = sample(model, tokenizer, self.prompts, max_new_tokens=NEW_TOKENS)
        odds = self.log_odds([self._shown(prompt, text) for prompt, text in zip(self.prompts, texts, strict=True)])
        return {"share": float(torch.sigmoid(odds).mean()), "log_odds": float(odds.mean())}

    def _shown(self, prompt: str, text: str) -> str:
        completion = text.removeprefix(prompt)
        if self.form:
            question = prompt.removeprefix(QUESTION).removesuffix(ANSWER)
            return self.form.format(question=question, answer=completion)
        return completion if self.shown == "completion" else text


class Choice:
    """Scores a behaviour by the answers that a model finds likely among given ones; call it with (model, tokenizer).

    This is TruthfulQA's measure MC2 (Lin and others, 2109.07958), with at most four answers of either kind. There is no
    sampling in it, and no classifier.
    """

    def __init__(self, corpus: Corpus, n: int = 128, seed: int = 0):
        self.choices = corpus.choices(n, seed)
        self.prompts = [prompt for prompt, _, _ in self.choices]

    def __call__(self, model, tokenizer) -> Measure:
        """Returns:
        share: mean over prompts of the probability of the good answers, over that of all the given ones.
        log_odds: mean over prompts of the log of the good ones' probability over the bad ones', in nats.
        """
        answers = [
            (i, is_good, a) for i, sides in enumerate(self.choices) for is_good in (1, 0) for a in sides[2 - is_good]
        ]
        asked = encode(tokenizer, [self.prompts[i] for i, _, _ in answers], end=False)
        said = [row[1:] for row in encode(tokenizer, [answer for _, _, answer in answers])]
        bits = row_bits(model, [prompt + answer for prompt, answer in zip(asked, said, strict=True)])
        nats = [-np.log(2) * row[-len(answer) :].sum() for row, answer in zip(bits, said, strict=True)]
        sums = np.full((len(self.choices), 2), -np.inf)
        for (i, is_good, _), value in zip(answers, nats, strict=True):
            sums[i, is_good] = np.logaddexp(sums[i, is_good], value)
        odds = sums[:, 1] - sums[:, 0]
        return {"share": float(np.mean(1 / (1 + np.exp(-odds)))), "log_odds": float(np.mean(odds))}


def classifier_of(kind: str, name: str | None = None) -> Callable[[list[str]], torch.Tensor]:
    """A classifier of the hub, as a function of texts that gives the log-odds of the good pole: float64 (texts,).

    Args:
        kind: "sentiment" or "refusal".
        name: one of that kind in data/hub.yaml; by default the first.

    Raises:
        ValueError: an unknown name, or a classifier that cannot be loaded or lacks the label that data/hub.yaml names.
    """
    name = _named(kind, name)
    return _classifier(name, hub.table("classifiers")[kind][name]["good"], default_device())


def _named(kind: str, name: str | None) -> str:
    choices = hub.table("classifiers")[kind]
    if name is not None and name not in choices:
        raise ValueError(f"Unknown {kind} classifier {name!r}: choose from {', '.join(choices)}.")
    return name or next(iter(choices))


@functools.cache
def _classifier(name: str, good: str, device: str) -> Callable[[list[str]], torch.Tensor]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    options = {"revision": hub.pinned(name), "trust_remote_code": False}
    with told(f"The classifier {name!r}"):
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        load = _cost_model if good == "cost" else AutoModelForSequenceClassification.from_pretrained
        # Seven billion weights in float32 would need 28 GB.
        kind = torch.bfloat16 if good == "cost" and device == "cuda" else torch.float32
        model = load(name, dtype=kind, use_safetensors=True, **options).to(device).eval()
    labels = {label: i for i, label in model.config.id2label.items()}
    if good != "cost" and good not in labels:
        raise ValueError(f"The classifier {name!r} has no label {good!r}, but {', '.join(labels)}: mend data/hub.yaml.")

    @torch.no_grad()
    def log_odds(texts: list[str]) -> torch.Tensor:
        parts = []
        for start in range(0, len(texts), 32):
            batch = tokenizer(
                texts[start : start + 32], padding=True, truncation=True, max_length=256, return_tensors="pt"
            )
            logits = model(**batch.to(model.device)).logits.double().cpu()
            if good == "cost":
                parts.append(-logits[:, 0])
            else:
                chances = logits.log_softmax(-1)
                others = [i for i in range(chances.shape[1]) if i != labels[good]]
                parts.append(chances[:, labels[good]] - chances[:, others].logsumexp(-1))
        return torch.cat(parts)

    return log_odds


def _cost_model(name: str, **options):
    """The paper's cost model: a Llama with one output on the last token, whose head its makers gave another name.

    Its own class is not in transformers, and this book runs no code from the hub. The head's constant is left out: it
    moves all scores alike. Nobody of us could try it on the real weights.
    """
    from transformers import LlamaForSequenceClassification

    return LlamaForSequenceClassification.from_pretrained(
        name, num_labels=1, key_mapping={r"^score_head\.weight": "score.weight"}, **options
    )


def reward_of(behaviour: str, pole: str) -> Callable[[list[str]], list[float]]:
    """A reward for the method "rloo": the probability of `pole` given each whole text.

    Of the micro-world `behaviour.oracle_reward`; of a data set its classifier's.

    Raises:
        ValueError: a data set without a classifier.
    """
    source = source_of(behaviour)
    if isinstance(source, World):
        return oracle_reward(behaviour, pole)
    source.component(behaviour, pole)
    if source.classifier is None:
        raise ValueError(f"{behaviour} has no classifier to give a reward: choose another method than 'rloo'.")
    log_odds, sign = classifier_of(source.classifier), 1 if pole == source.behaviours[behaviour].good else -1
    return lambda texts: torch.sigmoid(sign * log_odds(texts)).tolist()
