"""The rebound grid, nested and on two workers by the sweep engine, against one plain SFTTrainer run after another.

Both sides train on the same examples in the same order and batches. The engine's workers and the naive side's imports
are warm; the engine runs before and after the naive side, so that a machine that grows slower helps neither.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from helpers import grid, models, results, world
from helpers.behaviour import Scorer
from helpers.experiments import NEGATIVES
from helpers.finetune import tokenize

POSITIVE, NEGATIVE, SEEDS = (32, 64, 128, 256), (8, 16, 32, 64, 128, 256), 3
BEHAVIOUR, BATCH, RATE, PROMPTS = "mood", 8, 1e-3, 64


def nested(seed: int, model: str, root: str, positives: list[int], negatives: list[int]) -> pd.DataFrame:
    """A cell of the sweep: every size of one seed."""
    from helpers.experiments import rebound
    from helpers.models import load

    sizes = {"positives": positives, "negatives": max(negatives), "at": negatives}
    settings = {"learning_rate": RATE, "batch_size": BATCH, "prompts": PROMPTS}
    return rebound(load(model, root=root), BEHAVIOUR, seeds=[seed], **sizes, **settings)


def naive(base: models.Loaded, seed: int, score: Scorer) -> list[dict]:
    """All sizes of one seed, each from the base model on."""
    source = world.load()
    poles = source.behaviours[BEHAVIOUR]
    rows = {}
    for pole, most, offset in ((poles.good, max(POSITIVE), 1), (poles.bad, max(NEGATIVE), 2)):
        examples = tokenize(source.examples(BEHAVIOUR, pole, most, seed=2 * seed + offset), base)
        order = np.random.Generator(np.random.PCG64(seed)).permutation(most)  # that of `finetune`
        rows[pole] = [examples[i] for i in order]
    table = []
    for positives in POSITIVE:
        for negatives in NEGATIVE:
            loaded = models.fork(base)
            train(loaded, rows[poles.good][:positives])
            train(loaded, rows[poles.bad][:negatives])
            share = score(loaded.model.eval(), loaded.tokenizer)["share"]
            table.append({"seed": seed, "positives": positives, "examples": negatives, "share": share})
    return table


def train(loaded: models.Loaded, rows: list[dict]) -> None:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        bf16=False,
        gradient_checkpointing=False,  # it saves memory, which is not short here, and costs time
        use_cpu=True,
        dataloader_pin_memory=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        loaded.model, arguments, train_dataset=Dataset.from_list(rows), processing_class=loaded.tokenizer
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def sweep(name: str, model: str, root: Path, parts: Path, seeds: int = SEEDS, **sizes) -> tuple[pd.DataFrame, float]:
    settings = {"model": model, "root": str(root), "positives": list(POSITIVE), "negatives": list(NEGATIVE)} | sizes
    start = time.perf_counter()
    grid.run(name, grid.Experiment(nested, settings, seeds=seeds), workers=2, parts=parts)
    return results.read(name), time.perf_counter() - start


def main(model: str = "neox-0.1m") -> float:
    """Print the times and return their ratio."""
    from datasets import disable_progress_bars

    disable_progress_bars()
    torch.set_num_threads(1)
    root, score = models.data_root(), Scorer(BEHAVIOUR, n=PROMPTS)
    base = models.load(model)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SPRINGBACK_DATA"] = folder  # where the sweep stores its table
        sweep("warm", model, root, Path(folder), seeds=4, positives=[8], negatives=[8])
        train(models.fork(base), tokenize(world.load().examples(BEHAVIOUR, "positive", BATCH, seed=0), base))
        ours, before = sweep("before", model, root, Path(folder))
        start = time.perf_counter()
        theirs = pd.DataFrame([row for seed in range(SEEDS) for row in naive(base, seed, score)])
        seconds = time.perf_counter() - start
        _, after = sweep("after", model, root, Path(folder))
    ratio = seconds / ((before + after) / 2)
    curves = {
        name: table.pivot_table("share", ["positives", "examples"], "seed").loc[:, range(SEEDS)]
        for name, table in (("ours", ours[(ours["run"] == NEGATIVES) & (ours["examples"] > 0)]), ("theirs", theirs))
    }
    difference = (curves["ours"].mean(axis=1) - curves["theirs"].mean(axis=1)).abs().max()
    noise = curves["theirs"].std(axis=1).mean()
    one_worker = ours.groupby("seed")["seconds"].first().sum()
    print(
        f"sweep, {model}, {len(POSITIVE)} x {len(NEGATIVE)} sizes x {SEEDS} seeds: nested on two workers "
        f"{before:.1f} s and {after:.1f} s (the cells took {one_worker:.0f} s in all), one SFTTrainer run after "
        f"another {seconds:.0f} s, ratio {ratio:.1f} (aim: 3); means of the share differ by at most {difference:.4f}, "
        f"between seeds its standard deviation is {noise:.4f}"
    )
    return ratio


if __name__ == "__main__":
    main()
