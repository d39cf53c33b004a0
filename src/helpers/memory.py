"""What fine-tuning needs to hold in memory: by arithmetic from a model's shape, and measured.

Weights, gradients and the two running means of Adam can be counted beforehand. What the forward pass keeps for the
backward pass grows with the batch and the length of the texts, and is measured.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

FLOAT = 4  # bytes of a float32
# NF4 with double quantisation (Dettmers and others, 2305.14314): half a byte, an 8-bit scale for each block of 64
# weights, and a float32 for each 256 of these scales.
NF4 = 0.5 + 1 / 64 + FLOAT / (64 * 256)
LENGTH = 128  # tokens of an example, for which a plan is made; few of the data sets' examples are longer
BATCH = 8  # examples an optimiser step
RESERVE = 1e9  # bytes that a GPU's own context, its libraries and the gaps between tensors take


def states(model, adapter: str, rank: int = 8) -> dict[str, float]:
    """Bytes of what training keeps of a model, by arithmetic: weights, gradients, optimizer.

    Everything but 4-bit weights is counted in float32, as this book trains. The adapters lie on every linear layer but
    the output layer, whose weights, like the embeddings, are never quantised (as in `models.load`).

    Args:
        model: any Hugging Face model without adapters; it may lie on torch's "meta" device, where weights have a shape
            and no values.
        adapter: "full", "lora" or "qlora".
        rank: of the adapters.

    Raises:
        ValueError: an unknown adapter.
    """
    if adapter not in ("full", "lora", "qlora"):
        raise ValueError(f"Unknown adapter {adapter!r}: choose from full, lora, qlora.")
    everything = sum(weight.numel() for weight in model.parameters())
    output = model.get_output_embeddings()
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not output]
    inside = sum(layer.weight.numel() for layer in linear)
    added = sum(rank * (layer.in_features + layer.out_features) for layer in linear)
    trained = everything if adapter == "full" else added
    weights = FLOAT * everything
    if adapter == "qlora":
        weights = FLOAT * (everything - inside) + NF4 * inside
    if adapter != "full":
        weights += FLOAT * added
    return {"weights": weights, "gradients": FLOAT * trained, "optimizer": 2 * FLOAT * trained}


class Plan(NamedTuple):
    """What fine-tuning a model needs, reckoned before its weights are there. All numbers are bytes.

    Attributes:
        name: of the model.
        adapter: "full", "lora" or "qlora".
        device: "cpu" or "cuda".
        weights: adapters included.
        training: gradients and the optimizer's means.
        token: what the passes forward and backward keep for each token of a batch.
        token_checkpointed: the same with gradient checkpointing, where each layer's insides are computed a second time.
        memory: of the device, as far as it was free.
    """

    name: str
    adapter: str
    device: str
    weights: float
    training: float
    token: float
    token_checkpointed: float
    memory: float

    def fit(self, examples: int = BATCH, length: int = LENGTH) -> tuple[int, bool]:
        """How to take an optimiser step of so many examples: (how many of them at once, whether with checkpointing).

        Raises:
            ValueError: not even one example at once fits.
        """
        left = self.memory - self.weights - self.training - (RESERVE if self.device == "cuda" else 0)
        for token, checkpointing in ((self.token, False), (self.token_checkpointed, True)):
            divisors = (n for n in range(1, examples + 1) if examples % n == 0 and n * length * token <= left)
            if at_once := max(divisors, default=0):
                return at_once, checkpointing
        raise ValueError(
            f"training {self.name} ({self.adapter}) needs {_gb(self.needs(1, length, True))} even with one example at "
            f"once, and the {self.device} has {_gb(self.memory)} free; choose a smaller model"
            + (", or adapter='qlora'." if self.adapter != "qlora" else ".")
        )

    def needs(self, at_once: int = BATCH, length: int = LENGTH, checkpointing: bool = False) -> float:
        """Bytes that training needs in all, with so many examples at once, each of so many tokens."""
        token = self.token_checkpointed if checkpointing else self.token
        return self.weights + self.training + at_once * length * token + (RESERVE if self.device == "cuda" else 0)

    def __str__(self) -> str:
        at_once, checkpointing = self.fit()
        how = (
            f"{at_once} examples of {LENGTH} tokens at once"
            if at_once > 1
            else f"one example of {LENGTH} tokens at once"
        )
        how += ", with gradient checkpointing" * checkpointing
        needed = _gb(self.needs(at_once, LENGTH, checkpointing))
        return f"{self.name} ({self.adapter}): needs {needed} of {_gb(self.memory)} free on the {self.device}, {how}"


def plan(config, name: str, adapter: str, rank: int = 8, device: str = "cpu") -> Plan:
    """Reckon what fine-tuning needs from a model's configuration alone.

    States are counted as in `states`; the passes are run on torch's "meta" device, where tensors have a shape and no
    values, and what they keep is counted, in float32. Attention is counted as it is without a fused kernel: the plan is
    on the safe side, by up to a third for small vocabularies.

    Raises:
        ValueError: an unknown adapter.
    """
    model = _without_values(config)
    known = states(model, adapter, rank)
    shallow = copy.deepcopy(config)
    shallow.num_hidden_layers, shallow.layer_types = 1, (getattr(config, "layer_types", None) or [])[:1] or None
    whole, one = (_per_token(_without_values(c, adapter, rank)) for c in (config, shallow))
    # Checkpointing keeps each layer's input, and one layer at a time.
    checkpointed = one + config.num_hidden_layers * config.hidden_size * FLOAT
    trained = known["gradients"] + known["optimizer"]
    return Plan(name, adapter, device, known["weights"], trained, whole, min(whole, checkpointed), free(device))


def fewer(at_once: int, batch_size: int) -> int:
    """The next smaller number of examples at once, half as many or less, by which a batch can be divided; at last 0."""
    return max((n for n in range(1, at_once // 2 + 1) if batch_size % n == 0), default=0)


def free(device: str) -> int:
    """Bytes of memory that are free on "cpu" or "cuda"."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    import psutil

    return psutil.virtual_memory().available


def _without_values(config, adapter: str = "full", rank: int = 8):
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    from helpers.models import lora

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
        if adapter != "full":
            model = get_peft_model(model, lora(rank))
    return model


def _per_token(model) -> float:
    """Bytes that the passes forward and backward keep at once, at most, for each token that a batch has more."""

    def most(examples: int) -> int:
        ids = torch.zeros(examples, LENGTH, dtype=torch.long, device="meta")
        mask = torch.ones_like(ids)
        model.zero_grad(set_to_none=True)
        return peak(lambda: model(input_ids=ids, attention_mask=mask, labels=ids, use_cache=False).loss.backward())

    return (most(2) - most(1)) / LENGTH


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


def peak(step: Callable[[], object]) -> int:
    """Bytes of the tensors that a function made and that lived at once, at most; what lived before is not counted."""
    with _Watch() as watch:
        step()
    return watch.most


class _Watch(TorchDispatchMode):
    """Counts each storage from the operation that makes it until Python lets it go."""

    def __enter__(self):
        self.alive = self.most = 0
        self.known = torch.utils.weak.WeakIdKeyDictionary()
        self.old: set[int] = set()
        return super().__enter__()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if id(storage) not in given and storage not in self.known:
                    self._count(storage)
        return made

    def _count(self, storage) -> None:
        import weakref

        size = storage.nbytes()
        self.known[storage] = True
        self.alive += size
        self.most = max(self.most, self.alive)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.alive -= size
