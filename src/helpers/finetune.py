"""Fine-tuning in one call: one of TRL's trainers (`helpers.methods`), once through the data, measuring on the way.

The learning rate is constant and no example comes twice, so one run visits every smaller data size: the state after
k examples is what a run on those k examples alone would have given.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import io
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from helpers import memory, methods, results
from helpers.methods import Reward, tokenize
from helpers.models import Loaded, adapter_of, compute_dtype, fork, seed_everything, seeded, trained

if TYPE_CHECKING:
    from datasets import Dataset

Measure = Callable[[Any, Any], float | Mapping[str, float]]
Penalty = Callable[[Any], torch.Tensor]

COLUMNS = ("step", "examples", "tokens", "train_loss")
CHECKPOINT = "finetune.pt"
CHECKPOINT_SECONDS = 60
DIVERGED = 10  # times the loss of guessing uniformly: what is so wrong no longer learns


class TrainingDiverged(ValueError):
    """The loss or the weights are no longer numbers, or the loss has left every sensible range."""


class TrainingInterrupted(KeyboardInterrupt):
    """The run was stopped by Ctrl-C or by the notebook's stop button."""


class Run(NamedTuple):
    """What a fine-tuning run gave.

    table: one row a measurement, with the step, the examples and the tokens seen so far (prompts counted, padding
        not), train_loss (nats per trained token, mean over the steps since the row before) and a column a measure.
    loaded: the model as trained.
    """

    table: pd.DataFrame
    loaded: Loaded


def finetune(
    loaded: Loaded,
    data: Dataset,
    *,
    learning_rate: float,
    batch_size: int = 8,
    method: str = "sft",
    reward: Reward | None = None,
    penalty: Penalty | None = None,
    at_once: int | None = None,
    measure: Measure | Mapping[str, Measure] | None = None,
    at: Sequence[int] | None = None,
    seed: int = 0,
    optimizer: str = "adamw_torch_fused",
    folder: str | Path | None = None,
    progress: bool = True,
    on_measure: Callable[[pd.DataFrame], None] | None = None,
    label: str = "fine-tuning",
) -> Run:
    """Train a model once through `data`, in an order drawn from `seed`, and measure it on the way.

    No warm-up, no weight decay, no dropout; gradients are clipped at norm 1. The model is changed in place (`fork` it
    first to keep the old one), but only by a run that reaches its end: one that fails or is stopped puts the weights
    back. The same call gives the same numbers to the bit on the same machine and thread count.

    Under `accelerate launch --use_fsdp` all processes make this call together, each with the whole model on its CPU. A
    copy is trained, of whose weights and batches each GPU holds its part; in the end each process has the same table
    and the whole trained model. The numbers are those of one process, up to rounding.

    Args:
        loaded: a model from `models.load`; its adapter decides what is trained.
        data: with the columns that the method needs. Of "sft": ``prompt`` and ``completion`` (the loss is on the
            completion and END alone), or ``text``; of the others see `methods.COLUMNS`.
        learning_rate: constant.
        batch_size: examples an optimiser step, of all processes together; the last step takes what is left.
        method: "sft", "dpo", "kto", "simpo" or "rloo" (`helpers.methods`); their own settings are TRL's.
        reward: for "rloo": gives a number for each of a list of texts.
        at_once: examples in one pass through the model; the gradients of a step's passes are added up, so that the
            result is the same up to rounding. Only for "sft". By default all of a step, or as many as the memory plan
            of a model of the hub allows. When the memory still runs out, fewer are tried, and that is told.
        penalty: added to the loss of each step: a function of the model (`helpers.defences`). train_loss is without it.
        measure: functions of (model, tokenizer) by name, called in evaluation mode without gradients. A number becomes
            the column of that name; a dictionary becomes the columns "name_key". One function without a name gives
            a dictionary, whose keys are the columns.
        at: example counts at which to measure. A count inside a step is measured after that step. By default 0, then
            doubling from the first step on, and the end.
        seed: of the order of the data, and of random numbers that a measure draws.
        optimizer: a name that transformers knows, such as "adamw_torch_fused" or "sgd".
        folder: where to keep a checkpoint, so that the same call can go on with a stopped run, to the same result.
        progress: show a bar; the environment variable SPRINGBACK_PROGRESS=off hides them all.
        on_measure: called with the table so far after each measurement.
        label: what the bar is called.

    Raises:
        ValueError: an argument out of range; data that is empty, lacks the columns or is too long for the model; a
            reward that is not finite; a folder that holds another run; several processes that cannot share the work;
            memory that does not suffice for one example at once.
        TrainingDiverged: names the step and the learning rate.
        TrainingInterrupted: on Ctrl-C.
        OSError: the checkpoint cannot be written.
    """
    _check_settings(learning_rate, batch_size, optimizer)
    if at_once is not None and not (method == "sft" and 1 <= at_once <= batch_size and batch_size % at_once == 0):
        raise ValueError(f"at_once must divide batch_size, {batch_size}, and the method be 'sft'; not {at_once}.")
    with seeded(seed):
        methods.check(method, reward, len(data), batch_size)
        examples = tokenize(data, loaded, method)
        if processes() > 1:
            _check_sharing(len(examples), batch_size, folder, plain=method == "sft" and penalty is None)
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(examples))
        run = _Run(
            loaded=loaded,
            examples=[examples[i] for i in order],
            learning_rate=learning_rate,
            batch_size=batch_size,
            method=method,
            reward=reward,
            penalty=penalty,
            at_once=at_once,
            steps=_steps(at, len(examples), batch_size),
            measures={"": measure} if callable(measure) else measure or {},
            seed=seed,
            optimizer=optimizer,
            on_measure=on_measure,
        )
        if folder is not None:
            run.resume(Path(folder))
        run.train(label, progress and os.environ.get("SPRINGBACK_PROGRESS") != "off")
    return Run(run.table(), loaded)


def _check_settings(learning_rate: float, batch_size: int, optimizer: str) -> None:
    from transformers.training_args import OptimizerNames

    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate must be a finite number above zero, not {learning_rate}.")
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number of at least 1, not {batch_size}.")
    known = [name.value for name in OptimizerNames]
    if optimizer not in known:
        raise ValueError(f"Unknown optimizer {optimizer!r}: choose from {', '.join(known)}.")


def _check_sharing(examples: int, batch_size: int, folder: str | Path | None, plain: bool) -> None:
    if not plain:
        raise ValueError(f"{processes()} processes can share the method 'sft' without penalty=, and nothing else.")
    if batch_size % processes():
        raise ValueError(f"batch_size must be a multiple of the {processes()} processes, not {batch_size}.")
    if examples % batch_size:
        raise ValueError(
            f"{processes()} processes need whole batches: {examples} examples are no multiple of {batch_size}."
        )
    if folder is not None:
        raise ValueError(f"folder= keeps the checkpoints of one process, and here are {processes()}: leave it out.")


def processes() -> int:
    """How many processes train together: what `accelerate launch` says, else one."""
    return int(os.environ.get("WORLD_SIZE", 1))


def _steps(at: Sequence[int] | None, examples: int, batch_size: int) -> list[int]:
    """The optimiser steps after which to measure."""
    last = math.ceil(examples / batch_size)
    if at is None:
        return [0, *(2**k for k in range(last.bit_length()) if 2**k < last), last]
    wrong = [count for count in at if not 0 <= count <= examples]
    if wrong:
        raise ValueError(f"at asks for {wrong[0]} examples: the counts must lie between 0 and the data's {examples}.")
    return sorted({math.ceil(count / batch_size) for count in at})


@dataclass
class _Run:
    """What one run is given, and how far it has come."""

    loaded: Loaded
    examples: list[dict[str, list[int]]]  # in the order of training
    learning_rate: float
    batch_size: int
    method: str
    reward: Reward | None
    penalty: Penalty | None
    at_once: int | None  # examples in one pass
    steps: list[int]  # at which to measure
    measures: Mapping[str, Measure]
    seed: int
    optimizer: str
    on_measure: Callable[[pd.DataFrame], None] | None

    step: int = 0
    penalised: float = 0.0  # what the penalty has added to the loss of the step under way
    loss: float = 0.0  # of that step's passes so far
    skipped: int = 0  # steps whose gradients overflowed in float16
    losses: list[float] = field(default_factory=list)  # of the steps since the last row
    rows: list[dict[str, float]] = field(default_factory=list)
    optimizer_state: dict | None = None  # to go on with
    file: Path | None = None
    saved: float = 0.0  # when; at first long ago, so that a run begins by trying whether it can save

    def __post_init__(self) -> None:
        # FSDP takes a model apart for good, so that it is given a copy.
        self.model = self.loaded.model if processes() == 1 else copy.deepcopy(self.loaded.model)
        self.last = math.ceil(len(self.examples) / self.batch_size)
        self.reference = fork(self.loaded).model if self.method in methods.WITH_REFERENCE else None
        self.tokens = np.cumsum([0, *map(methods.tokens, self.examples)])
        if not self.weights:
            raise ValueError(f"Model {self.loaded.name!r} has no weight that requires a gradient: nothing to train.")
        self.before = self._copy_weights("cpu") if processes() == 1 else None
        frozen = [weight for name, weight in self.model.named_parameters() if name.endswith("base_layer.bias")]
        self.biases = [(bias, bias.data) for bias in frozen] if processes() == 1 else []

    @property
    def weights(self) -> dict[str, torch.nn.Parameter]:
        """Those that are trained. FSDP puts others in their place."""
        return trained(self.model)

    def table(self) -> pd.DataFrame:
        """The rows so far."""
        return pd.DataFrame(self.rows, columns=None if self.rows else list(COLUMNS))

    # ---- training ------------------------------------------------------------------------------------------

    def train(self, label: str, show: bool) -> None:
        """Take the steps that are left; if that fails, put the weights back to what they were before the run."""
        from tqdm.auto import tqdm

        done = min(self.step * self.batch_size, len(self.examples))
        with tqdm(total=len(self.examples), initial=done, desc=label, unit="example", disable=not show) as self.bar:
            try:
                if self.rows:
                    self._show()
                if self.step < self.last:
                    self._train_within_memory()
            except KeyboardInterrupt:
                self._put_back()
                goes_on = f"The same call goes on from {self.file}." if self.file else "folder= would keep checkpoints."
                raise TrainingInterrupted(
                    f"Stopped after step {self.step} of {self.last}; the model is as it was before the run. {goes_on}"
                ) from None
            except BaseException:
                self._put_back()
                raise
            finally:
                self.model.zero_grad(set_to_none=True)
                self.model.eval()

    def _train_within_memory(self) -> None:
        """Take the steps that are left, with fewer examples at once each time that the memory runs out."""
        from accelerate.utils import find_executable_batch_size
        from accelerate.utils.memory import should_reduce_batch_size

        at_once, checkpointing = self.at_once or self.batch_size, False
        if self.loaded.plan is not None and self.method == "sft" and self.at_once is None:
            longest = max(len(example["input_ids"]) for example in self.examples)
            now = self.loaded.plan._replace(memory=self._free(), weights=0)
            at_once, checkpointing = now.fit(self.batch_size, longest)

        def fewer() -> int:
            nonlocal at_once
            at_once = memory.fewer(at_once, self.batch_size)
            if at_once:
                print(f"Out of memory at step {self.step + 1}: going on with {at_once} of {self.batch_size} at once.")
            return at_once

        try:
            return self._train(at_once, checkpointing)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if self.method != "sft":
                raise ValueError(
                    f"Out of memory with batches of {self.batch_size}: choose a smaller batch_size, or a smaller model."
                ) from None
        try:
            again = functools.partial(find_executable_batch_size, reduce_batch_size_fn=fewer)
            again(self._train, starting_batch_size=fewer())(checkpointing)
        except RuntimeError as error:
            if "reached zero" not in str(error):
                raise
            raise ValueError(
                "Out of memory even with one example at once: choose a smaller model, shorter texts or adapter='qlora'."
            ) from None

    def _free(self) -> int:
        """Bytes that are there for training; what PyTorch keeps and does not use is free too."""
        unused = 0
        if self.model.device.type == "cuda":
            unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return memory.free(self.model.device.type) + unused

    def _train(self, at_once: int, checkpointing: bool) -> None:
        import datasets
        from transformers import PrinterCallback, TrainingArguments
        from trl.trainer.utils import disable_dropout_in_model

        run, first = self, self.step
        new = hasattr(TrainingArguments, "activation_checkpointing")  # its name since transformers 5.23
        name = "activation_checkpointing" if new else "gradient_checkpointing"
        arguments = {
            "output_dir": tempfile.gettempdir(),  # asked for, but nothing is written there
            "per_device_train_batch_size": at_once // processes(),
            "gradient_accumulation_steps": self.batch_size // at_once,
            "num_train_epochs": 1,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": "constant",
            "optim": self.optimizer,
            "max_grad_norm": 1.0,
            "seed": self.seed,
            "train_sampling_strategy": "sequential",  # shuffled already
            name: checkpointing,
            "use_cpu": self.model.device.type == "cpu" and processes() == 1,
            "dataloader_pin_memory": False,
            "remove_unused_columns": False,
            "logging_strategy": "no",
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            **self._precision(),
        }
        disable_dropout_in_model(self.model)
        weights = self._copy_weights()
        datasets.disable_progress_bars()
        base, given = methods.trainer(
            self.method,
            arguments,
            self.examples[first * self.batch_size :],
            model=self.model,
            tokenizer=self.loaded.tokenizer,
            reference=self.reference and getattr(self.reference, "get_base_model", lambda: self.reference)(),
            reward=self.reward,
        )

        class Watched(base):
            def compute_loss(self, model, *args, **kwargs):
                loss = super().compute_loss(model, *args, **kwargs)
                if run.penalty is None:
                    return loss
                extra = run.penalty(run.model)
                run.penalised = float(extra.detach())
                return loss + extra

            def training_step(self, *args, **kwargs):
                step = first + self.state.global_step
                if step > run.step and self.accelerator.optimizer_step_was_skipped:
                    run.skipped += 1
                run.reach(step, self.optimizer)
                if run.method == "rloo":
                    seed_everything((run.seed + step) % 2**32)  # what is sampled: the same after a stop
                loss = super().training_step(*args, **kwargs)
                run.loss += float(self.accelerator.reduce(loss, "mean"))
                if self.accelerator.sync_gradients:  # the last pass of the step
                    run.note(run.loss - run.penalised)
                    run.loss = 0.0
                return loss

        with self._no_noise():
            trainer = Watched(**given)
        trainer.remove_callback(PrinterCallback)
        self._put_weights(weights)  # TRL rounds the adapters of a 4-bit model to bfloat16
        del weights
        if trainer.accelerator.scaler is not None:
            # The usual 65536 makes the first steps overflow, and those are skipped.
            trainer.accelerator.scaler = type(trainer.accelerator.scaler)(init_scale=1024.0)
        if "ref" in getattr(self.model, "peft_config", {}):
            self.model.delete_adapter("ref")  # for a KL penalty that is not used
        if self.optimizer_state is not None:
            trainer.create_optimizer().load_state_dict(self.optimizer_state)
        if arguments["use_cpu"]:
            # Before training Accelerate collects all of Python's garbage: 0.3 s over what is imported by then, and
            # worth it only where memory is a GPU's.
            trainer.accelerator.free_memory = lambda: None
        try:
            with self._no_noise():
                trainer.train()
            self.reach(self.last, trainer.optimizer)
            if self.skipped:
                print(f"{self.skipped} of {self.last} steps changed nothing: their gradients overflowed in float16.")
        except RuntimeError:
            # The weights are those after the last whole step; another attempt goes on from there.
            self.optimizer_state = trainer.optimizer and trainer.optimizer.state_dict()
            self.loss = 0.0
            self.model.zero_grad(set_to_none=True)
            raise
        finally:
            self._undo_16_bits()
            if checkpointing:
                self.model.gradient_checkpointing_disable()

    def _precision(self) -> dict[str, bool]:
        """How to train on a base of 4 bits on a GPU: float16 needs its gradients scaled, lest the small ones vanish."""
        kind = compute_dtype(self.model.device.type)
        small = adapter_of(self.model).kind == "qlora" and kind != torch.float32
        return {"bf16": small and kind == torch.bfloat16, "fp16": small and kind == torch.float16}

    def reach(self, step: int, optimizer) -> None:
        """The weights are those after `step` steps: measure and save if it is time to."""
        self.bar.update(min(step * self.batch_size, len(self.examples)) - self.bar.n)
        self.step = step
        due = step in self.steps and (not self.rows or self.rows[-1]["step"] < step)
        if due or step == self.last:
            self._check_weights()
            if processes() > 1:
                self._gather()
        if due:
            self._measure()
        if self.file is not None and (due or step == self.last or time.monotonic() > self.saved + CHECKPOINT_SECONDS):
            self._save(optimizer)

    def note(self, loss: float) -> None:
        """The loss of the step under way, before the weights change."""
        guessing = math.log(self.model.config.vocab_size)
        if not math.isfinite(loss) and self.step == 0 and self._precision()["fp16"]:
            raise TrainingDiverged(
                "The loss is no number at the first step: this model overflows in float16, which is what this GPU "
                "computes 4-bit weights in. adapter='lora' trains in float32; the model is as it was before the run."
            )
        if not loss < DIVERGED * guessing:  # nor is NaN
            raise self._diverged(self.step + 1, f"the loss is {loss:.4g} nats a token (guessing: {guessing:.2g})")
        self.losses.append(loss)

    def _check_weights(self) -> None:
        if not all(weight.isfinite().all() for weight in self.weights.values()):
            raise self._diverged(self.step, "some weights are no longer finite numbers")

    def _diverged(self, step: int, what: str) -> TrainingDiverged:
        return TrainingDiverged(
            f"Training diverged at step {step} with learning rate {self.learning_rate:g}: {what}. "
            "Choose a smaller learning rate; the model is as it was before the run."
        )

    def _measure(self) -> None:
        examples = min(self.step * self.batch_size, len(self.examples))
        loss = float(np.mean(self.losses)) if self.losses else math.nan
        row = {"step": self.step, "examples": examples, "tokens": int(self.tokens[examples]), "train_loss": loss}
        self.model.eval()
        with torch.no_grad(), seeded(self.seed), self._own_forward():
            for name, function in self.measures.items():
                try:
                    new = _columns(name, function(self.model, self.loaded.tokenizer))
                except torch.OutOfMemoryError:
                    what = f" {name!r}" * bool(name)
                    raise ValueError(
                        f"Out of memory while measuring{what}: measure fewer prompts or documents, or choose a smaller "
                        "model."
                    ) from None
                if twice := set(new) & set(row):
                    raise ValueError(f"Measure {name!r} gives the column {min(twice)!r}, which is there already.")
                row |= new
        self.model.train()
        self.rows.append(row)
        self.losses = []
        self._show()

    def _show(self) -> None:
        if self.on_measure is not None:
            self.on_measure(self.table())

    @staticmethod
    @contextlib.contextmanager
    def _no_noise() -> Iterator[None]:
        """TRL asks transformers for an attribute by its old name: no news for the reader."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            yield

    def _undo_16_bits(self) -> list[dict[str, Any]]:
        """Give the model, and the one inside its adapters, their own methods forward back; returns what stood there.

        TRL puts another into the inner one, and accelerate, where it computes in 16 bits, into the outer one. There
        bitsandbytes also rounds the frozen biases, for good.
        """
        for bias, values in self.biases:
            bias.data = values
        models = self.model, getattr(self.model, "get_base_model", lambda: self.model)()
        names = "forward", "_original_forward"
        return [{name: vars(model).pop(name) for name in names if name in vars(model)} for model in models]

    @contextlib.contextmanager
    def _own_forward(self) -> Iterator[None]:
        """While it is measured, the model has its own method forward, for the other would be shared with every copy."""
        outer, inner = self._undo_16_bits()
        try:
            yield
        finally:
            vars(self.model).update(outer)
            vars(getattr(self.model, "get_base_model", lambda: self.model)()).update(inner)

    def _copy_weights(self, device: str | None = None) -> dict[str, torch.Tensor]:
        return {name: weight.detach().to(device or weight.device, copy=True) for name, weight in self.weights.items()}

    def _put_back(self) -> None:
        if self.before is not None:
            self._put_weights(self.before)

    def _gather(self) -> None:
        """The trained weights, from all processes into the whole model of each."""
        whole = dict(self.loaded.model.named_parameters())
        for name, weight in self.weights.items():
            whole[name].data.copy_(weight.full_tensor() if hasattr(weight, "full_tensor") else weight)

    def _put_weights(self, values: dict[str, torch.Tensor]) -> None:
        for name, weight in self.weights.items():
            weight.data = values[name].to(weight.device, copy=True)

    # ---- checkpoints ---------------------------------------------------------------------------------------

    def resume(self, folder: Path) -> None:
        """Keep checkpoints in `folder`, and go on from the one that is there."""
        self.file, self.key = folder / CHECKPOINT, self._fingerprint()
        if not self.file.exists():
            return
        try:
            kept = torch.load(self.file, map_location=self.model.device, weights_only=True)
        except Exception:  # torch raises what it likes
            raise ValueError(f"{self.file} is damaged: delete it to start again.") from None
        if kept["key"] != self.key:
            raise ValueError(
                f"{self.file} is of another run (other model, data or settings): choose another folder, or delete it."
            )
        self.step, self.losses, self.rows = kept["step"], kept["losses"], kept["rows"]
        self.optimizer_state, self.saved = kept["optimizer"], time.monotonic()
        self._put_weights(kept["weights"])

    def _save(self, optimizer) -> None:
        """Replace the checkpoint, whole or not at all."""
        content = {
            "key": self.key,
            "step": self.step,
            "losses": self.losses,
            "rows": self.rows,
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizer": optimizer.state_dict(),
        }
        buffer = io.BytesIO()  # straight to the file, torch would hide what the system says of a full disk
        torch.save(content, buffer)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            results.put(self.file, buffer.getvalue())
        except OSError as error:
            raise OSError(
                f"The checkpoint {self.file} cannot be written ({error.strerror}): free some space or choose another "
                "folder; the model is as it was before the run."
            ) from None
        self.saved = time.monotonic()

    def _fingerprint(self) -> str:
        """Hash of all that decides the result."""
        settings = (self.learning_rate, self.batch_size, self.steps, sorted(self.measures), self.seed, self.optimizer)
        sha = hashlib.sha256(repr((settings, self.examples)).encode())
        for name, weight in self.model.state_dict().items():
            sha.update(name.encode())
            sha.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy())
        return sha.hexdigest()


def _columns(name: str, value: float | Mapping[str, float]) -> dict[str, float]:
    if not name and not isinstance(value, Mapping):
        raise ValueError(
            f"A measure without a name must give a dictionary, not {value!r}: name it, as in {{'kl': ...}}."
        )
    try:
        if isinstance(value, Mapping):
            return {f"{name}_{key}" if name else key: float(number) for key, number in value.items()}
        return {name: float(value)}
    except (TypeError, ValueError):
        raise ValueError(f"Measure {name!r} gave {value!r}, neither a number nor a dictionary of numbers.") from None
