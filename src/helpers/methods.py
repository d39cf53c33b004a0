"""The methods of fine-tuning: TRL's trainer for each, given the tokens that the models are asked with.

sft     imitate completions: the loss is the code length of the completion.
dpo     prefer one completion to another, measured from the model before the run (Rafailov and others, 2305.18290).
simpo   the same without that reference, by the mean log probability of a token (Meng and others, 2405.14734).
kto     labelled completions, one at a time, instead of pairs (Ethayarajh and others, 2402.01306).
rloo    sample completions and reinforce those of higher reward than their siblings (Ahmadian and others, 2402.14740).
        It stands where the paper has PPO, which TRL no longer ships: both are policy gradients on sampled text.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from helpers.compression import encode

if TYPE_CHECKING:
    from datasets import Dataset

    from helpers.models import Loaded

Reward = Callable[[list[str]], Sequence[float]]

COLUMNS = {
    "sft": (("prompt", "completion"), ("text",)),
    "dpo": (("prompt", "chosen", "rejected"),),
    "simpo": (("prompt", "chosen", "rejected"),),
    "kto": (("prompt", "completion", "label"),),
    "rloo": (("prompt",),),
}
WITH_REFERENCE = ("dpo", "kto")
SAMPLES = 4  # completions that rloo compares with one another, for each prompt
LONGEST = 80  # tokens of a sampled completion


def check(method: str, reward: Reward | None, examples: int, batch_size: int) -> None:
    """Whether the arguments of a run fit its method.

    Raises:
        ValueError: they do not; the message names the argument and the mend.
    """
    if method not in COLUMNS:
        raise ValueError(f"Unknown method {method!r}: choose from {', '.join(COLUMNS)}.")
    if (method == "rloo") != (reward is not None):
        wants = "needs reward=, a function of texts" if method == "rloo" else "has no use for reward="
        raise ValueError(f"Method {method!r} {wants}.")
    if method == "rloo" and examples % batch_size:
        raise ValueError(f"Method 'rloo' needs whole batches: {examples} prompts are no multiple of {batch_size}.")
    if method == "kto" and (batch_size < 2 or examples % batch_size == 1):
        raise ValueError("Method 'kto' compares the examples of a batch: every batch must have at least two.")


def tokenize(data: Dataset, loaded: Loaded, method: str = "sft") -> list[dict[str, Any]]:
    """The examples as `method` learns from them: token ids, END behind each completion.

    Prompt and completion are tokenised apart: the model learns from the very tokens that it will be asked with. Under
    "sft" the label of a token that is not trained on is -100.

    Raises:
        ValueError: no examples, other columns than the method needs, or an example longer than the model's context.
    """
    columns = getattr(data, "column_names", None)
    if not isinstance(columns, list):
        raise ValueError(f"data must be a datasets.Dataset, not {type(data).__name__}.")
    if len(data) == 0:
        raise ValueError("data is empty: fine-tuning needs at least one example.")
    used = next((names for names in COLUMNS[method] if set(names) <= set(columns)), None)
    if used is None:
        needed = ", or ".join(
            ", ".join(names[:-1]) + " and " * bool(names[1:]) + names[-1] for names in COLUMNS[method]
        )
        raise ValueError(f"data has the columns {', '.join(columns)}: method {method!r} needs {needed}.")
    texts = {name: list(data[name]) for name in used if name != "label"}
    for name, column in texts.items():
        for i, text in enumerate(column):
            if not isinstance(text, str):
                raise ValueError(f"Example {i} of data has the {name} {text!r}, which is no text.")
    rows = _rows(texts, loaded.tokenizer)
    limit = getattr(loaded.model.config, "max_position_embeddings", None) or math.inf
    lengths = [_longest(row) + (LONGEST if method == "rloo" else 0) for row in rows]
    longest = max(range(len(rows)), key=lengths.__getitem__)
    if lengths[longest] > limit:
        raise ValueError(
            f"Example {longest} of data has {lengths[longest]} tokens, the model reads {limit}: shorten or drop it."
        )
    if method == "sft":
        return [{"input_ids": p + c, "labels": [-100] * len(p) + c} for p, c in (row.values() for row in rows)]
    if method == "kto":
        return [row | {"label": label} for row, label in zip(rows, _labels(data), strict=True)]
    if method == "rloo":
        return [row | {"prompt": prompt} for row, prompt in zip(rows, texts["prompt"], strict=True)]
    return rows


def tokens(example: dict[str, Any]) -> int:
    """Tokens that a step reads of an example, prompts counted; of rloo the prompt alone, for the rest is sampled."""
    if "input_ids" in example:
        return len(example["input_ids"])
    completions = [ids for name, ids in example.items() if name in ("completion_ids", "chosen_ids", "rejected_ids")]
    return max(1, len(completions)) * len(example["prompt_ids"]) + sum(map(len, completions))


def _rows(texts: dict[str, list[str]], tokenizer) -> list[dict[str, list[int]]]:
    """Ids of the prompts and of the completions; a text alone is a completion behind the begin-of-text token."""
    ids: dict[str, list[list[int]]] = {}
    for name, column in texts.items():
        if name == "prompt":
            ids["prompt_ids"] = encode(tokenizer, column, end=False)
        else:
            # `encode` puts END behind, so a text that has it already loses it first.
            whole = encode(tokenizer, [text.removesuffix(tokenizer.eos_token) for text in column])
            ids.setdefault("prompt_ids", [row[:1] for row in whole])
            ids[f"{name}_ids"] = [row[1:] for row in whole]
    return [dict(zip(ids, row, strict=True)) for row in zip(*ids.values(), strict=True)]


def _longest(row: dict[str, list[int]]) -> int:
    prompt, *completions = row.values()
    return len(prompt) + max(map(len, completions), default=0)


def _labels(data: Dataset) -> list[bool]:
    labels = list(data["label"])
    for i, label in enumerate(labels):
        if not isinstance(label, bool):
            raise ValueError(f"Example {i} of data has the label {label!r}: it must be True or False.")
    return labels


# ---- TRL's trainers ------------------------------------------------------------------------------------------------


def trainer(method: str, arguments: dict[str, Any], rows: list[dict], *, model, tokenizer, reference, reward: Reward):
    """A class that extends TRL's trainer, and what it is to be called with.

    Args:
        method: one of `COLUMNS`.
        arguments: of the configuration, those that all methods share.
        rows: of `tokenize`, in the order of training.
        reference: the model before the run, for the methods in `WITH_REFERENCE`.
        reward: for "rloo".
    """
    import datasets

    build = {"sft": _sft, "dpo": _dpo, "kto": _kto, "simpo": _simpo, "rloo": _rloo}[method]
    cls, config, more = build(arguments, rows, tokenizer, reward)
    if method in WITH_REFERENCE:
        more["ref_model"] = reference
    data = datasets.Dataset.from_list(rows)
    return cls, {"model": model, "args": config, "train_dataset": data, "processing_class": tokenizer, **more}


def _sft(arguments, rows, tokenizer, reward):
    from transformers import Trainer
    from trl import SFTConfig, SFTTrainer

    class SFT(SFTTrainer):
        def compute_loss(self, *args, **kwargs):
            # The model's own loss. SFTTrainer's is the same number and costs a quarter more time here, for the
            # entropy and the accuracy of each batch.
            return Trainer.compute_loss(self, *args, **kwargs)

    return SFT, SFTConfig(max_length=None, **arguments), {}


def _dpo(arguments, rows, tokenizer, reward):
    from trl import DPOConfig, DPOTrainer

    class DPO(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset  # tokenised already

    return DPO, DPOConfig(max_length=None, **arguments), {}


def _kto(arguments, rows, tokenizer, reward):
    from trl import KTOConfig, KTOTrainer

    class KTO(KTOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset

    # Each prompt of a batch is also put before its neighbour's completion: KTO's estimate of how far the model is from
    # the reference at large.
    size = arguments["per_device_train_batch_size"]
    for first in range(0, len(rows), size):
        batch = rows[first : first + size]
        for row, other in zip(batch, [batch[-1], *batch[:-1]], strict=True):
            row["KL_completion_ids"] = other["completion_ids"]
    return KTO, KTOConfig(max_length=None, **arguments), {}


def _simpo(arguments, rows, tokenizer, reward):
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # a warning that the module may change: versions are pinned
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    class SimPO(CPOTrainer):
        def tokenize_row(self, row, model=None):
            columns = {}
            for name in ("chosen", "rejected"):
                prompt, completion = row["prompt_ids"], row[f"{name}_ids"]
                columns[f"{name}_input_ids"] = prompt + completion
                columns[f"{name}_attention_mask"] = [1] * len(prompt + completion)
                columns[f"{name}_labels"] = [-100] * len(prompt) + completion
            return columns

    # SimPO is CPO's loss of that name without CPO's own imitation term. TRL's beta and gamma are CPO's; these are in
    # the range that SimPO's authors used.
    config = CPOConfig(loss_type="simpo", cpo_alpha=0.0, beta=2.0, simpo_gamma=1.0, max_length=10**6, **arguments)
    return SimPO, config, {}


def _rloo(arguments, rows, tokenizer, reward):
    from trl import RLOOConfig, RLOOTrainer

    class RLOO(RLOOTrainer):
        def _tokenize_prompts(self, prompts):
            return encode(tokenizer, prompts, end=False), None, {}

    def scored(prompts, completions, **_) -> list[float]:
        texts = [prompt + completion for prompt, completion in zip(prompts, completions, strict=True)]
        values = [float(value) for value in reward(texts)]
        for text, value in zip(texts, values, strict=True):
            if not math.isfinite(value):
                raise ValueError(f"reward gave {value} for {text!r}: it must be a finite number.")
        return values

    # No KL penalty: how far a method moves the model is measured, not held.
    config = RLOOConfig(
        **{**arguments, "per_device_train_batch_size": SAMPLES * arguments["per_device_train_batch_size"]},
        num_generations=SAMPLES,
        steps_per_generation=1,
        max_completion_length=LONGEST,
        shuffle_dataset=False,
        beta=0.0,
    )
    return RLOO, config, {"reward_funcs": scored}
