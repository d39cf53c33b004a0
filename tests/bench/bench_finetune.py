"""Tokens per second of `finetune`, its set-up included, against a bare PyTorch loop over the same batches."""

import statistics
import time

import torch

from helpers import models, world
from helpers.finetune import finetune, tokenize

EXAMPLES, BATCH, ROUNDS = 512, 8, 5


def bare_loop(model, rows: list[dict]) -> None:
    """The least that training needs: pad, forward, backward, clip, step."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0, fused=True)
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        shape = len(batch), max(len(row["input_ids"]) for row in batch)
        ids, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        labels = torch.full(shape, -100)
        for i, row in enumerate(batch):
            n = len(row["input_ids"])
            ids[i, :n], labels[i, :n], mask[i, :n] = torch.tensor(row["input_ids"]), torch.tensor(row["labels"]), 1
        model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def main(name: str = "neox-1m") -> float:
    """Print the rates and return their ratio: the median over rounds in which the two take turns."""
    base = models.load(name)
    data = world.load().examples("mood", "positive", EXAMPLES, seed=0)
    rows = tokenize(data, base)
    tokens = sum(len(row["input_ids"]) for row in rows)
    settings = {"learning_rate": 1e-4, "batch_size": BATCH, "at": [], "progress": False}
    finetune(models.fork(base), data.select(range(BATCH)), **settings)  # imports and first-time costs
    bare, ours = [], []
    for _ in range(ROUNDS):
        for rates, run in (
            (bare, lambda model: bare_loop(model.model, rows)),
            (ours, lambda model: finetune(model, data, **settings)),
        ):
            model = models.fork(base)
            start = time.perf_counter()
            run(model)
            rates.append(tokens / (time.perf_counter() - start))
    ratio = statistics.median(o / b for o, b in zip(ours, bare, strict=True))
    print(
        f"finetune, {name}, batch {BATCH}, {tokens / EXAMPLES:.0f} tokens an example, "
        f"{torch.get_num_threads()} thread(s): {statistics.median(ours):,.0f} tokens/s, bare loop "
        f"{statistics.median(bare):,.0f} tokens/s, ratio {ratio:.2f} (aim: 0.75)"
    )
    return ratio


if __name__ == "__main__":
    main()
