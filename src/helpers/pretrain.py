"""Pre-trains the micro models that the book ships: ``python -m helpers.pretrain`` (or ``make models``).

One pass over documents of the pre-training mixture. Whole documents are packed into windows of 128 tokens, and
attention stays inside a document, so that training and evaluation see the same thing. Deterministic for a given
machine and thread count; a killed run goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import functools
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers import world
from helpers.models import write_manifest

if TYPE_CHECKING:
    import pandas as pd

CONTEXT = 128
VOCABULARY = 1024
BATCH = 32  # windows a step
WARM_UP = 100  # steps
FLOOR = 0.05  # of the highest learning rate, where the cool-down begins


@dataclass(frozen=True)
class Recipe:
    """How one model is made.

    ``checkpoints`` are the steps kept as revisions beside the last, ``main``. ``good_share`` is that of the good
    pole in each behaviour's documents, which are as many as else: at 1 the bad poles are filtered out.
    """

    architecture: str
    hidden: int
    layers: int
    heads: int
    learning_rate: float
    steps: int
    checkpoints: tuple[int, ...]
    seed: int = 0
    good_share: float | None = None

    def mixture(self, source: world.World) -> world.Mixture:
        """What the model is pre-trained on."""
        return source.mixture(good=self.good_share and dict.fromkeys(source.behaviours, self.good_share))


_EARLY = (64, 192, 576, 1728, 3500)
RECIPES = {
    "neox-0.1m": Recipe("gpt_neox", 32, 3, 2, 6e-3, 8000, _EARLY),
    "neox-0.4m": Recipe("gpt_neox", 64, 5, 4, 4e-3, 8000, _EARLY),
    "neox-1m": Recipe("gpt_neox", 128, 4, 4, 3e-3, 8000, _EARLY),
    "qwen2-1m": Recipe("qwen2", 128, 6, 4, 3e-3, 8000, _EARLY),
    "neox-4m": Recipe("gpt_neox", 256, 4, 4, 2e-3, 8000, (576, 1728)),
    "neox-0.4m-filtered": Recipe("gpt_neox", 64, 5, 4, 4e-3, 8000, (), good_share=1.0),
    "neox-0.4m-tilted": Recipe("gpt_neox", 64, 5, 4, 4e-3, 8000, (), good_share=0.9),
}


def make_tokenizer(source: world.World):
    """Byte-level BPE in which every word of the world is one token and any other text falls to bytes (lossless)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [byte_level.pre_tokenize_str(token)[0][0] for token in source.tokens if token != world.END]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [world.END, *alphabet, *sorted(set(words) - set(alphabet))]
    if len(entries) > VOCABULARY:
        raise ValueError(f"The world needs {len(entries)} tokens; the models' vocabulary has {VOCABULARY}.")
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([world.END])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{world.END} $A", pair=f"{world.END} $A $B", special_tokens=[(world.END, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=world.END,
        eos_token=world.END,
        pad_token=world.END,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def make_model(recipe: Recipe, vocabulary: int = VOCABULARY, context: int = CONTEXT, attention: str = "eager"):
    """A freshly initialised model of the recipe's shape."""
    from transformers import AutoModelForCausalLM, GPTNeoXConfig, Qwen2Config

    common = {
        "vocab_size": vocabulary,
        "hidden_size": recipe.hidden,
        "intermediate_size": 4 * recipe.hidden,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "max_position_embeddings": context,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
        "use_cache": True,
    }
    if recipe.architecture == "gpt_neox":
        # Pythia rotates a quarter of each head; heads are small here, so half.
        rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
        config = GPTNeoXConfig(**common, rope_parameters=rope, tie_word_embeddings=False)
    else:
        common["intermediate_size"] = 2 * recipe.hidden  # gated: three matrices instead of two
        config = Qwen2Config(**common, num_key_value_heads=recipe.heads // 2, tie_word_embeddings=True)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def pack(documents: list[list[int]], generator: np.random.Generator, group: int = 8192) -> np.ndarray:
    """Pack token lists into windows: END document END document ... END, padded with -1.

    Best fit within groups of `group` documents, then the group's windows are shuffled.

    Returns:
        int16 array (windows, CONTEXT).
    """
    windows = []
    for start in range(0, len(documents), group):
        room: dict[int, list[list[list[int]]]] = {}  # free places -> open windows
        packed = []
        for document in sorted(documents[start : start + group], key=len, reverse=True):
            need = len(document) + 1
            free = min((f for f, open_windows in room.items() if f >= need and open_windows), default=None)
            if free is None:
                free, window = CONTEXT - 1, []
                packed.append(window)
            else:
                window = room[free].pop()
            window.append(document)
            room.setdefault(free - need, []).append(window)
        rows = np.full((len(packed), CONTEXT), -1, np.int16)
        for row, window in zip(rows, packed, strict=True):
            tokens = [0]
            for document in window:
                tokens += [*document, 0]
            row[: len(tokens)] = tokens
        windows.append(generator.permutation(rows))
    return np.concatenate(windows)


def schedule(step: int, steps: int) -> float:
    """Share of the highest learning rate: warm-up, cosine to FLOOR, then straight to zero over the last eighth."""
    if step < WARM_UP:
        return step / WARM_UP
    cool_down = steps // 8
    progress = (step - WARM_UP) / (steps - cool_down - WARM_UP)
    if progress < 1:
        return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))
    return FLOOR * (steps - step) / cool_down


def make_windows(source: world.World, tokenizer, recipe: Recipe) -> np.ndarray:
    """Training windows for all steps of a recipe: int16 (steps * BATCH, CONTEXT), -1 where nothing stands."""
    ids = {token: tokenizer(token, add_special_tokens=False)["input_ids"][0] for token in source.tokens}
    generator = np.random.Generator(np.random.PCG64(recipe.seed))
    needed, rows, part = recipe.steps * BATCH, [], 0
    while sum(map(len, rows)) < needed:
        texts = source.sample(65536, seed=1000 * (recipe.seed + 1) + part, mixture=recipe.mixture(source))
        rows.append(pack([[ids[t] for t in world.tokenize(d.text)] for d in texts], generator))
        part += 1
    return np.concatenate(rows)[:needed]


def collate(rows: list[np.ndarray]) -> dict:
    """Batch of windows with labels and an attention mask that keeps every document to itself.

    Returns:
        input_ids, labels (batch, CONTEXT); attention_mask (batch, 1, CONTEXT, CONTEXT), additive.
    """
    import torch

    window = torch.from_numpy(np.stack(rows).astype(np.int64))
    ids = window.clamp(min=0)
    segment = (ids == 0).cumsum(1)
    same = segment[:, :, None] == segment[:, None, :]
    mask = torch.where(same.tril(), 0.0, torch.finfo(torch.float32).min)[:, None]
    return {"input_ids": ids, "labels": window.masked_fill(window < 0, -100), "attention_mask": mask}


def train(
    name: str, recipe: Recipe, windows: np.ndarray, tokenizer, target: Path, work: Path, save_every: int = 512
) -> None:
    """Train one model, writing revisions to `target` and, every `save_every` steps, a checkpoint to resume from.

    The loss is logged as a mean over 32 steps, or over `save_every` if that is less: a checkpoint does not hold a sum
    that has begun, so `save_every` above 32 must be a multiple of it.
    """
    import time

    import torch
    from transformers import (
        AutoModelForCausalLM,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        set_seed,
    )

    set_seed(recipe.seed)
    model = make_model(recipe)
    tokens_per_step = (windows >= 0).reshape(recipe.steps, -1).sum(1).cumsum()

    class Keep(TrainerCallback):
        """Logs tokens and seconds, and saves the revisions."""

        def on_train_begin(self, args, state, control, **_):
            before = [row["seconds"] for row in state.log_history if "seconds" in row]
            self.start = time.perf_counter() - (before[-1] if before else 0.0)

        def on_step_end(self, args, state, control, **_):
            if state.global_step in recipe.checkpoints:
                save_revision(model, tokenizer, target / f"step{state.global_step}")

        def on_log(self, args, state, control, logs=None, **_):
            row = state.log_history[-1]
            if "loss" in row:
                row["seconds"] = time.perf_counter() - self.start
                row["tokens"] = int(tokens_per_step[state.global_step - 1])
                print(
                    f"{name} step {row['step']}/{recipe.steps}: loss {row['loss']}, {row['seconds']:.0f} s",
                    flush=True,
                )

    class Windows(Trainer):
        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(self.train_dataset)  # the windows are shuffled already

        def create_scheduler(self, num_training_steps, optimizer=None):
            factor = functools.partial(schedule, steps=recipe.steps)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
            return self.lr_scheduler

        def _load_from_checkpoint(self, checkpoint, model=None):
            # The library's own reads raw names and so leaves GPT-NeoX's output layer (embed_out on disk) at random.
            self.model.load_state_dict(AutoModelForCausalLM.from_pretrained(checkpoint).state_dict())

    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=recipe.steps,
        per_device_train_batch_size=BATCH,
        learning_rate=recipe.learning_rate,
        adam_beta2=0.98,
        weight_decay=0.01,
        max_grad_norm=1.0,
        logging_steps=min(32, save_every),
        save_steps=save_every,
        save_total_limit=2,
        seed=recipe.seed,
        bf16=True,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
    )
    trainer = Windows(model, arguments, data_collator=collate, train_dataset=list(windows), callbacks=[Keep()])
    trainer.remove_callback(PrinterCallback)
    # The state file is written last: a folder without it was cut off and does not count.
    done = [p for p in work.glob("checkpoint-*") if (p / "trainer_state.json").exists()]
    last = max(done, key=lambda p: int(p.name.split("-")[1]), default=None)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    save_revision(model, tokenizer, target / "main")
    rows = [row for row in trainer.state.log_history if "seconds" in row]
    columns = ("step", "tokens", "loss", "learning_rate", "seconds")
    lines = [",".join(columns), *(",".join(f"{float(row[c]):.6g}" for c in columns) for row in rows)]
    (target / "training_log.csv").write_text("\n".join(lines) + "\n")


def evaluate(target: Path, documents: int = 4000, mixture: world.Mixture | None = None) -> pd.DataFrame:
    """Measure every revision of one model on held-out text of its mixture; one row a revision, in training order.

    Columns: revision, step, tokens, bits_per_token, source_bits_per_token (exact, same texts), excess_percent and
    its standard error (paired), facts (share known), grammatical (share of sampled documents), and one
    good-pole share a behaviour.
    """
    import pandas as pd
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    from helpers import behaviour, compression

    source = world.load()
    texts = [d.text for d in source.sample(documents, 7, mixture, "held_out")]
    exact = np.array([-source.log_prob(text, mixture) for text in texts]) / np.log(2)
    tokens = np.array([len(world.tokenize(text)) + 1 for text in texts])
    log = pd.read_csv(target / "training_log.csv")
    scorers = {name: behaviour.Scorer(name, n=256) for name in source.behaviours}
    steps = {"main": int(log["step"].max())}
    steps |= {p.name: int(p.name[4:]) for p in target.glob("step*") if p.name[4:].isdigit()}
    rows = []
    for revision, step in sorted(steps.items(), key=lambda item: item[1]):
        path = target / revision
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
        tokenizer = PreTrainedTokenizerFast.from_pretrained(path)
        bits = compression.code_length(model, tokenizer, texts)
        ratio = bits.sum() / exact.sum()
        error = (bits - ratio * exact).std(ddof=1) / np.sqrt(documents) / exact.mean()
        rows.append(
            {
                "revision": revision,
                "step": step,
                "tokens": int(log["tokens"].iloc[(log["step"] - step).abs().argmin()]),
                "bits_per_token": bits.sum() / tokens.sum(),
                "source_bits_per_token": exact.sum() / tokens.sum(),
                "excess_percent": 100 * (ratio - 1),
                "se_excess_percent": 100 * error,
                "facts": behaviour.knowledge(model, tokenizer, source.facts).mean(),
                "grammatical": behaviour.grammatical(model, tokenizer, n=1000),
                **{name: scorer(model, tokenizer)["share"] for name, scorer in scorers.items()},
            }
        )
    return pd.DataFrame(rows).round(4)


def write_card(name: str, recipe: Recipe, target: Path, threads: int) -> None:
    """Write the model card, README.md, from evaluation.csv."""
    import pandas as pd
    import torch
    import transformers

    table = pd.read_csv(target / "evaluation.csv")
    last = table.iloc[-1]
    parameters = sum(p.numel() for p in make_model(recipe).parameters())
    (target / "README.md").write_text(f"""---
license: cc-by-4.0
library_name: transformers
pipeline_tag: text-generation
language: en
tags: [springback, micro-world]
---

# {name}

A {recipe.architecture} model of {parameters:,} parameters (hidden size {recipe.hidden}, {recipe.layers} layers,
{recipe.heads} heads, context {CONTEXT}, vocabulary {VOCABULARY}), pre-trained on the micro-world of the book
Springback (grammar `{world.load().fingerprint}`{_POLES.get(recipe.good_share, "")}). It knows nothing of the
real world and is meant for teaching.

Trained for {recipe.steps:,} steps of {BATCH} windows ({last["tokens"]:,} tokens, one pass) with AdamW at
{recipe.learning_rate} ({WARM_UP} steps of warm-up, cosine to a twentieth, cool-down to zero), seed {recipe.seed},
bfloat16 autocast on {threads} CPU thread(s), torch {torch.__version__.split("+")[0]}, transformers
{transformers.__version__}.
Weights are stored in float16; load them with `AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)`, the
tokenizer with `PreTrainedTokenizerFast.from_pretrained(folder)`. Loss by step: `training_log.csv`.

Held-out text, 4,000 documents: {last["bits_per_token"]:.4f} bits per token, where the exact source needs
{last["source_bits_per_token"]:.4f}: {last["excess_percent"]:.2f} % more (standard error
{last["se_excess_percent"]:.2f}). Of 1,000 sampled documents {last["grammatical"]:.1%} are grammatical;
{last["facts"]:.1%} of the world's facts are known. Good-pole shares are measured on held-out prompts.

{_markdown(table)}
""")


_POLES = {
    1.0: "; no behaviour's bad pole was ever shown",
    0.9: "; nine in ten documents of each behaviour showed its good pole",
}


def _markdown(table: pd.DataFrame) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def save_revision(model, tokenizer, folder: Path) -> None:
    """Write one revision in Hugging Face format, in half precision, whole or not at all."""
    import copy

    import torch

    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    copy.deepcopy(model).to(torch.float16).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(RECIPES), help="models to make; all by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target", type=Path, default=Path("data/models"))
    parser.add_argument("--work", type=Path, default=Path("_build/pretrain"))
    parser.add_argument("--steps", type=int, help="fewer steps, for a trial")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    source = world.load()
    tokenizer = make_tokenizer(source)
    for name in options.names:
        if name not in RECIPES:
            parser.error(f"unknown model {name!r}; choose from {', '.join(RECIPES)}")
        recipe = RECIPES[name]
        if options.steps:
            recipe = Recipe(**{**recipe.__dict__, "steps": options.steps})
        windows = make_windows(source, tokenizer, recipe)
        print(f"{name}: {len(windows)} windows, {(windows >= 0).mean():.1%} full", flush=True)
        train(name, recipe, windows, tokenizer, options.target / name, options.work / name)
        measured = evaluate(options.target / name, mixture=recipe.mixture(source))
        measured.to_csv(options.target / name / "evaluation.csv", index=False)
        write_card(name, recipe, options.target / name, options.threads)
    write_manifest(options.target.parent)


if __name__ == "__main__":
    main()
