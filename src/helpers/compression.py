"""Code length: a language model read as a compressor. A token of probability p costs -log2 p bits."""

from __future__ import annotations

import math

import numpy as np
import torch


def encode(tokenizer, texts: list[str], end: bool = True) -> list[list[int]]:
    """Token ids of each text behind one beginning-of-text token; END behind it if `end`.

    Raises:
        ValueError: no texts, or something that is not a string.
    """
    if isinstance(texts, str) or not len(texts):
        raise ValueError("texts must be a list with at least one string.")
    wrong = [type(text).__name__ for text in texts if not isinstance(text, str)]
    if wrong:
        raise ValueError(f"texts must hold strings, not {wrong[0]}.")
    begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [[begin, *row, *([tokenizer.eos_token_id] if end else [])] for row in rows]


@torch.no_grad()
def logits(model, rows: list[list[int]]) -> torch.Tensor:
    """Logits of token lists, padded on the right: float32 (rows, longest, vocabulary)."""
    limit = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, rows))
    if limit and longest > limit:
        raise ValueError(f"A text has {longest} tokens; the model reads at most {limit}. Cut it into shorter ones.")
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    was_training = model.training
    model.eval()
    try:
        return model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits.float()
    finally:
        model.train(was_training)


def token_bits(model, tokenizer, texts: list[str], batch_size: int = 64) -> list[np.ndarray]:
    """Bits that the model needs for each token of each text, END included.

    Returns:
        one float64 array a text, of length tokens + 1.
    """
    rows = encode(tokenizer, texts)
    bits: list[np.ndarray] = [np.empty(0)] * len(rows)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # equal lengths together: little padding
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        log_probs = torch.log_softmax(logits(model, [rows[i] for i in chosen]), -1).cpu()
        for i, table in zip(chosen, log_probs, strict=True):
            targets = torch.tensor(rows[i][1:])
            said = table[: len(targets)].gather(1, targets[:, None])[:, 0]
            bits[i] = -said.double().numpy() / math.log(2)
    return bits


def code_length(model, tokenizer, texts: list[str]) -> np.ndarray:
    """Bits of each whole text under the model, END included: float64 (texts,)."""
    return np.array([row.sum() for row in token_bits(model, tokenizer, texts)])


def bits_per_byte(model, tokenizer, texts: list[str]) -> float:
    """Code length of all texts over their UTF-8 bytes; the bits of END are counted, it has no bytes.

    Unlike bits per token this can be compared between models with different tokenizers.
    """
    return float(code_length(model, tokenizer, texts).sum() / sum(len(text.encode()) for text in texts))
