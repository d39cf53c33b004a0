"""What fine-tuning needs to hold in memory: by arithmetic from a model's shape, and measured.

Weights, gradients and the two running means of Adam can be counted beforehand. What the forward pass keeps for the
backward pass grows with the batch and the length of the texts, and is measured.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

FLOAT = 4  # bytes of a float32
# NF4 with double quantisation (Dettmers and others, 2305.14314): half a byte, an 8-bit scale for each block of 64
# weights, and a float32 for each 256 of these scales.
NF4 = 0.5 + 1 / 64 + FLOAT / (64 * 256)


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
