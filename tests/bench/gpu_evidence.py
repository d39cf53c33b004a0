"""What QLoRA takes on one GPU, at the true shapes of models of the hub: `make gpu-evidence`.

The weights are random, so that nothing is fetched: neither speed nor memory depends on their values. Each part of each
model runs in a process of its own. What it gave, or why it failed, is in the file at once, so that a stopped run goes
on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

from helpers import hub, memory, models, results

LEARNING_RATE = 2e-4
SAVED_AS = {"gpt_neox": torch.float16, "qwen2": torch.bfloat16}  # in which Pythia and Qwen2.5 lie on the hub


class Settings(NamedTuple):
    """What is measured. A batch is `batch` examples of `tokens` tokens each."""

    models: tuple[str, ...]
    batch: int
    tokens: int
    steps: int
    warm_up: int  # steps whose time does not count; the last step's end is not seen, so its time does not count either
    limit_gb: float  # for the parts under a limit
    limited_steps: int
    long_tokens: int  # of the texts that are too long for the whole batch at once
    seed: int = 0


USUAL = Settings(
    models=("EleutherAI/pythia-160m", "EleutherAI/pythia-410m", "EleutherAI/pythia-1b", "Qwen/Qwen2.5-0.5B"),
    batch=8,
    tokens=128,
    steps=36,
    warm_up=5,
    limit_gb=15,  # of a T4's 16
    limited_steps=4,
    long_tokens=1024,
)
SMALLEST = Settings(
    models=("EleutherAI/pythia-14m",),
    batch=2,
    tokens=32,
    steps=3,
    warm_up=1,
    limit_gb=0.7,
    limited_steps=2,
    long_tokens=128,
)

# ---- a model and its data ------------------------------------------------------------------------------------------


def build(name: str, folder: str, settings: Settings) -> dict:
    """Save a model of that shape, as its own repository would have it, with a tokenizer of the book."""
    from transformers import AutoModelForCausalLM

    config = hub.configuration(name)
    with models.seeded(settings.seed):
        model = AutoModelForCausalLM.from_config(config, dtype=SAVED_AS[config.model_type])
    model.save_pretrained(folder)
    models.load("neox-0.1m").tokenizer.save_pretrained(folder)
    return {}


def texts(tokenizer, examples: int, tokens: int, seed: int):
    """A data set of random words, each text of exactly so many tokens, those of begin and end counted."""
    from datasets import Dataset

    words = sorted(word.replace("Ġ", " ") for word in tokenizer.get_vocab() if re.fullmatch("Ġ[a-z]+", word))
    drawn = np.random.default_rng(seed).choice(words, (examples, tokens - 2))
    return Dataset.from_dict({"text": ["".join(row) for row in drawn]})


# ---- measuring -----------------------------------------------------------------------------------------------------


def watch(model) -> list[tuple[Any, int]]:
    """A list that gets, at each pass of training forward, the moment and the number of examples."""
    passes = []

    def note(model, args, kwargs):
        if model.training:
            passes.append((_now(model.device.type), len(kwargs["input_ids"])))

    model.register_forward_pre_hook(note, with_kwargs=True)
    return passes


def _now(device: str):
    """A moment: on a GPU an event in its queue, so that measuring does not make the two wait for each other."""
    if device == "cpu":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _seconds(first, second) -> float:
    return second - first if isinstance(first, float) else first.elapsed_time(second) / 1000


def speed(passes: list[tuple[Any, int]], settings: Settings, device: str) -> dict:
    """Steps a second, from the begin of one step to that of the next: the median, with the quartiles."""
    if device == "cuda":
        torch.cuda.synchronize()
    at_once = passes[0][1]
    starts = [moment for moment, _ in passes[:: settings.batch // at_once]]
    if len(starts) != settings.steps:
        raise RuntimeError(f"{len(starts)} steps were seen, and not {settings.steps}")
    took = [_seconds(*pair) for pair in itertools.pairwise(starts[settings.warm_up :])]
    slow, middle, fast = (float(1 / q) for q in np.quantile(took, [0.75, 0.5, 0.25]))
    return {
        "steps_per_second": middle,
        "steps_per_second_quartiles": [slow, fast],
        "tokens_per_second": middle * settings.batch * settings.tokens,
        "steps_measured": len(took),
    }


def used(device: str, most: bool = False) -> int:
    """Bytes that this process has, now or at most: on a GPU what PyTorch took of it, on a CPU all that is resident."""
    if device == "cuda":
        return torch.cuda.max_memory_reserved() if most else torch.cuda.memory_reserved()
    import psutil

    if not most:
        return psutil.Process().memory_info().rss
    import resource  # here, since Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peaks(device: str) -> dict:
    """Memory at most, loading included: of the tensors, and of what PyTorch took to have room for them."""
    if device == "cpu":
        return {"peak_gb": used(device, most=True) / 1e9}
    return {
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9,
        "peak_taken_gb": used(device, most=True) / 1e9,
        "out_of_memory_errors": torch.cuda.memory_stats()["num_ooms"],
    }


def kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# ---- the parts -----------------------------------------------------------------------------------------------------


def ours(folder: str, settings: Settings, device: str) -> dict:
    """The book's own path: `models.load` and `finetune`, beside what the plan had said."""
    loaded = models.load(folder, adapter="qlora", device=device)
    found, passes = _finetune(loaded, settings.batch, settings.tokens, settings.steps, settings.seed)
    return found | speed(passes, settings, device)


def _finetune(loaded, batch: int, tokens: int, steps: int, seed: int) -> tuple[dict, list[tuple[Any, int]]]:
    from helpers.finetune import finetune

    device = loaded.model.device.type
    at_once, checkpointing = loaded.plan.fit(batch, tokens)
    data = texts(loaded.tokenizer, batch * steps, tokens, seed)
    passes = watch(loaded.model)
    settings = {"learning_rate": LEARNING_RATE, "batch_size": batch, "at": [len(data)], "seed": seed}
    run = finetune(loaded, data, progress=False, **settings)
    if (seen := int(run.table["tokens"].iloc[-1])) != batch * steps * tokens:
        raise RuntimeError(f"the texts had {seen} tokens, and not {batch * steps * tokens}")
    found = {
        "examples_a_step": batch,
        "tokens_an_example": tokens,
        "examples_at_once": min(examples for _, examples in passes),
        "planned_examples_at_once": at_once,
        "planned_gradient_checkpointing": checkpointing,
        "planned_gb": loaded.plan.needs(at_once, tokens, checkpointing) / 1e9,
        "planned_reserve_gb": memory.RESERVE / 1e9 if device == "cuda" else 0.0,  # in planned_gb, in no peak_gb
        "trained_weights": models.parameters(loaded.model, trainable=True),
        "multiplied_in": kind(models.compute_dtype(device)),
        **peaks(device),
    }
    return found, passes


def trl_defaults(folder: str, settings: Settings, device: str) -> dict:
    """The rival: QLoRA as TRL's documentation has it (peft_integration.md, "Using QLoRA with TRL").

    The model, the tokens of the data and the batch are those of `ours`; adapters, precision and gradient checkpointing
    are as written there, or else the defaults.
    """
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoConfig, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    from helpers.methods import tokenize

    tokenizer = models.load("neox-0.1m").tokenizer
    data = texts(tokenizer, settings.batch * settings.steps, settings.tokens, settings.seed)
    rows = tokenize(data, models.Loaded(SimpleNamespace(config=AutoConfig.from_pretrained(folder)), tokenizer, "", ""))
    quantized = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    arguments = SFTConfig(
        output_dir=tempfile.gettempdir(),
        learning_rate=LEARNING_RATE,
        per_device_train_batch_size=settings.batch,
        num_train_epochs=1,
        seed=settings.seed,
        use_cpu=device == "cpu",
        save_strategy="no",  # what is measured is training
        report_to="none",
    )
    trainer = SFTTrainer(
        model=folder,
        quantization_config=quantized,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=32, lora_alpha=16, lora_dropout=0.05, bias="none", task_type="CAUSAL_LM"),
    )
    passes = watch(trainer.model)
    trainer.train()
    return {
        "examples_at_once": min(examples for _, examples in passes),
        "gradient_checkpointing": arguments.gradient_checkpointing,
        "trained_weights": models.parameters(trainer.model, trainable=True),
        "multiplied_in": kind(quantized.bnb_4bit_compute_dtype),
        **peaks(device),
        **speed(passes, settings, device),
    }


def limited(folder: str, settings: Settings, device: str, long: bool = False) -> dict:
    """Whether what the plan chooses runs in the memory that it was told of.

    With `long`, the texts are longer, and the batch doubled until the plan asks for fewer examples at once. On a CPU
    nothing but the plan holds the process to the limit, and what Python held before does not count.
    """
    before = limit(settings.limit_gb * 1e9, device)
    loaded = models.load(folder, adapter="qlora", device=device)
    batch, tokens = settings.batch, settings.long_tokens if long else settings.tokens
    while long and loaded.plan.fit(batch, tokens)[0] == batch:
        batch *= 2
    found, passes = _finetune(loaded, batch, tokens, settings.limited_steps, settings.seed)
    found |= {"limit_gb": settings.limit_gb, "held_before_gb": before / 1e9, "steps": settings.limited_steps}
    peak = used(device, most=True) / 1e9 - found["held_before_gb"]
    wrong, chosen = [], passes[0][1]
    if found["examples_at_once"] < chosen or found.get("out_of_memory_errors"):
        wrong.append(f"out of memory with {chosen} examples at once, as the plan chose")
    if peak > settings.limit_gb:
        wrong.append(f"the peak of {peak:.2f} GB is above the limit")
    return found | _failed(wrong)


def limit(size: float, device: str) -> int:
    """Hold this process to so many bytes more than it has, and tell the memory plan; returns what it has."""
    import bitsandbytes  # noqa: F401  what is imported counts as there before
    import peft  # noqa: F401
    import trl  # noqa: F401

    before, really_free = used(device), memory.free
    if device == "cuda":
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, size / whole))
    # PyTorch's limit is its own: the driver, whom the plan asks, still tells of the whole GPU.
    memory.free = lambda device: int(min(really_free(device), before + size - used(device)))
    return before


def _failed(reasons: list[str]) -> dict:
    return {"failed": "; ".join(reasons)} if reasons else {}


# ---- NF4 -----------------------------------------------------------------------------------------------------------

# The 16 levels of QLoRA (2305.14314, appendix E): quantiles of a normal distribution, between -1 and 1.
LEVELS = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334),
    *(-0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
BLOCK = 64


def reference(weight: torch.Tensor) -> torch.Tensor:
    """A matrix after NF4 and back, in float32: in each block of 64, the level nearest to weight / largest weight."""
    levels = torch.tensor(LEVELS, device=weight.device)
    blocks = weight.reshape(-1, BLOCK)
    largest = blocks.abs().amax(1, keepdim=True)
    nearest = torch.bucketize(blocks / largest, (levels[1:] + levels[:-1]) / 2)
    return (levels[nearest] * largest).reshape(weight.shape)


def nf4(folder: str, settings: Settings, device: str) -> dict:
    """bitsandbytes on this device against the reference, and a layer's forward pass against its own weights.

    All differences are relative to the root mean square of what they are a difference in.
    """
    from safetensors import safe_open

    loaded = models.load(folder, adapter="qlora", device=device)
    inside = loaded.model.get_base_model().named_modules()
    name, layer = next((name, module.base_layer) for name, module in inside if hasattr(module, "base_layer"))
    with safe_open(Path(folder) / "model.safetensors", "pt") as file:
        weight = file.get_tensor(f"{name}.weight").float().to(device)
    found = {"matrix": name, "shape": list(weight.shape), "multiplied_in": kind(layer.compute_dtype)}
    with models.seeded(settings.seed):
        return found | compare(weight, layer, settings.batch * settings.tokens)


def compare(weight: torch.Tensor, layer, rows: int) -> dict:
    """Differences between a 4-bit layer made of that weight and plain arithmetic, with what is allowed."""
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    expected = reference(weight)
    plain = dequantize_4bit(*quantize_4bit(weight, blocksize=BLOCK, quant_type="nf4"))
    double = dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
    # A weight halfway between two levels may go to either: what counts is that none is further off than it must be.
    further = ((plain - weight).abs() - (expected - weight).abs()).max()
    # The scales' own rounding, to 8 bits, is a few parts in a thousand.
    differences = {
        "quantised": (float(further / _size(weight)), 1e-5),
        "quantised_doubly": (float(_size(double - expected) / _size(weight)), 0.02),
    }
    allowed = max(torch.finfo(layer.compute_dtype).eps, 1e-5)
    for what, shape in (("forward", (rows, weight.shape[1])), ("forward_of_one_row", (1, weight.shape[1]))):
        given = torch.randn(shape, device=weight.device)
        right = given @ double.T + (0 if layer.bias is None else layer.bias)
        with torch.no_grad():
            differences[what] = (float(_size(layer(given) - right) / _size(right)), allowed)
    wrong = [what for what, (found, most) in differences.items() if not found <= most]  # nor is NaN
    return {
        "rounding_error": float(_size(expected - weight) / _size(weight)),
        "differences": {what: {"found": found, "allowed": most} for what, (found, most) in differences.items()},
        **_failed([f"{what}: the difference is larger than allowed" for what in wrong]),
    }


def _size(values: torch.Tensor) -> torch.Tensor:
    return values.square().mean().sqrt()


PARTS: dict[str, Callable[..., dict]] = {
    "ours": ours,
    "trl_defaults": trl_defaults,
    "nf4": nf4,
    "limited": limited,
    "limited_long": functools.partial(limited, long=True),
}

# ---- all of them ---------------------------------------------------------------------------------------------------


def about(settings: Settings, device: str) -> dict:
    """Where the numbers come from."""
    found = results.provenance(settings._asdict())
    found |= {"python": platform.python_version(), **results.versions()}
    if device == "cpu":
        return found | {"device": "cpu"}
    gpu = torch.cuda.get_device_properties(0)
    return found | {
        "device": gpu.name,
        "device_memory_gb": gpu.total_memory / 1e9,
        "compute_capability": f"{gpu.major}.{gpu.minor}",
        "cuda": torch.version.cuda,
        "driver": _driver(),
    }


def _driver() -> str:
    if not shutil.which("nvidia-smi"):
        return "unknown"
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.partition("\n")[0].strip() or "unknown"


def in_its_own_process(function: Callable[..., dict], *arguments) -> dict:
    """What a function gives there, with the seconds that it took; or why it failed, however it failed."""
    start = time.monotonic()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            found = pool.submit(_quietly, function, *arguments).result()
        except BrokenProcessPool:
            found = _failed(["the process died: perhaps the system's memory ran out"])
    return {"failed": None, **found, "seconds": time.monotonic() - start}


def _quietly(function: Callable[..., dict], *arguments) -> dict:
    warnings.filterwarnings("ignore", category=FutureWarning)  # libraries among themselves
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return function(*arguments)
    except Exception as error:  # whatever it is, the other parts go on
        traceback.print_exc()
        return _failed([f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"])


def measure(content: dict, settings: Settings, device: str, save: Callable[[], None]) -> None:
    """Add to `content` the parts that it lacks, and save it after each."""
    for name in settings.models:
        parts = content["models"].setdefault(name, {})
        missing = [part for part in PARTS if part not in parts]
        if not missing:
            continue
        with tempfile.TemporaryDirectory() as folder:
            built = in_its_own_process(build, name, folder, settings)
            for part in missing:
                found = built if built["failed"] else in_its_own_process(PARTS[part], folder, settings, device)
                parts[part] = found | {"date": datetime.now(UTC).isoformat(timespec="seconds")}
                content["ours_to_trl_defaults"] = ratios(content["models"])
                save()
                print(f"{name}, {part}: {found['failed'] or 'done'} ({found['seconds']:.0f} s)", flush=True)


def ratios(measured: dict[str, dict]) -> dict[str, dict]:
    """For each model of which both are known: our speed and our peak, divided by those of TRL's defaults."""
    keys = {"speed": "steps_per_second", "peak_memory": "peak_gb"}
    found = {}
    for name, parts in measured.items():
        both = [parts.get(part, {}) for part in ("ours", "trl_defaults")]
        if all(key in part for key in keys.values() for part in both):
            found[name] = {what: both[0][key] / both[1][key] for what, key in keys.items()}
    return found


def store(file: Path, content: dict) -> None:
    """Write the file, whole or not at all; one in data/ is listed in its manifest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    root = models.data_root().resolve()
    inside = file.resolve().is_relative_to(root)
    with results.locked(root / "results" if inside else file.parent):
        results.put(file, (json.dumps(content, indent=1) + "\n").encode())
        if inside:
            models.list_in_manifest(file.resolve(), root)


def table(content: dict) -> str:
    """What was found, for people; a part that failed shows as a dash, and why stands below."""
    import pandas as pd

    def row(name: str, parts: dict) -> dict[str, str]:
        def show(part: str, form: str) -> str:
            found = parts.get(part, {"failed": "missing"})
            return "-" if found["failed"] else form.format(**found)

        ratio = content["ours_to_trl_defaults"].get(name)
        limited = "{examples_at_once} of {examples_a_step} x {tokens_an_example}, {peak_gb:.2f} GB"
        return {
            "model": name,
            "steps/s": show("ours", "{steps_per_second:.2f}"),
            "peak GB": show("ours", "{peak_gb:.2f}"),
            "planned GB": show("ours", "{planned_gb:.2f}"),
            "TRL steps/s": show("trl_defaults", "{steps_per_second:.2f}"),
            "TRL peak GB": show("trl_defaults", "{peak_gb:.2f}"),
            "speed, ours/TRL": f"{ratio['speed']:.2f}" if ratio else "-",
            "NF4": show("nf4", "right"),
            "under the limit": show("limited", limited),
            "long texts": show("limited_long", limited),
        }

    rows = pd.DataFrame([row(name, parts) for name, parts in content["models"].items()])
    return "\n".join([rows.set_index("model").T.to_string(), *failures(content)])


def failures(content: dict) -> list[str]:
    return [
        f"{name}, {part}: {found['failed']}"
        for name, parts in content["models"].items()
        for part, found in parts.items()
        if found["failed"]
    ]


def _old(file: Path, now: dict) -> dict | None:
    """The content of the file to go on with, if there is one."""
    if not file.exists():
        return None
    old = json.loads(file.read_text())
    if other := [key for key in now if old["about"].get(key) != now[key]]:
        raise SystemExit(f"{file} was made with another {', '.join(other)}: --again measures everything anew.")
    return old


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--smallest", action="store_true", help="pythia-14m's shape and three steps: does it run?")
    parser.add_argument("--to", type=Path, help="a folder for the result instead of data/results/gpu")
    parser.add_argument("--again", action="store_true", help="measure what is in the file, too")
    asked = parser.parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # of the processes that do the work
    if asked.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "PyTorch finds no GPU here; to see on a CPU whether the script runs: --smallest --device cpu --to FOLDER"
        )
    if asked.to is None and (asked.smallest or asked.device == "cpu"):
        raise SystemExit("Only what a GPU takes in the usual size goes into data/: give another folder by --to.")
    settings = SMALLEST if asked.smallest else USUAL
    now = in_its_own_process(about, settings, asked.device)
    if now.pop("failed"):
        raise SystemExit("The device cannot be asked what it is.")
    del now["seconds"]
    folder = asked.to or models.data_root() / "results" / "gpu"
    file = folder / f"{re.sub('[^a-z0-9]+', '-', now['device'].lower()).strip('-')}.json"
    content = None if asked.again else _old(file, now)
    content = content or {"about": now, "settings": settings._asdict(), "models": {}, "ours_to_trl_defaults": {}}
    measure(content, settings, asked.device, lambda: store(file, content))
    print(f"\n{now['device']}: batches of {settings.batch} x {settings.tokens} tokens; limit {settings.limit_gb} GB")
    print(table(content))
    print(f"\nIn {file}")
    if failures(content):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
