"""Answers to the exercises of Full, LoRA, QLoRA: right ones, and wrong ones with what the explanation must speak of."""

import numpy as np

from answers import right

RIGHT = right("adapters")
bits_per_weight, lost_by_rank, quantise = RIGHT["bits_per_weight"], RIGHT["lost_by_rank"], RIGHT["quantise"]


WRONG = [
    ("lora_weights", lambda shapes, rank: sum(a * b for a, b in shapes), "frozen"),
    ("lora_weights", lambda shapes, rank: sum(rank * a * b for a, b in shapes), "product"),
    ("lora_weights", lambda shapes, rank: rank * sum(shapes[0]), "all of them"),
    ("lora_weights", lambda shapes, rank: sum(a * b + rank * (a + b) for a, b in shapes), "leave them out"),
    ("bits_per_weight", lambda block, group: 4 + 8 / block + 32 / group, "in scales"),
    ("bits_per_weight", lambda block, group: 4 + 32 / block, "8 bits"),
    ("bits_per_weight", lambda block, group: 4 + 8 / block, "scales of the scales"),
    ("bits_per_weight", lambda block, group: bits_per_weight(64, 256), "not for others"),
    ("quantise", lambda block, levels: [min(levels, key=lambda v: abs(w - v)) for w in block], "Divide"),
    (
        "quantise",
        lambda block, levels: [min(levels, key=lambda v: abs(w / max(map(abs, block)) - v)) for w in block],
        "multiply",
    ),
    ("quantise", lambda block, levels: quantise(block, [-1, -0.5, 0, 0.5, 1]), "half a unit"),
    (
        "lost_by_rank",
        lambda m, r: float((np.sort(np.abs(np.linalg.eigvals(m)) ** 2)[::-1][r:]).sum() / np.square(m).sum()),
        "nor eigenvalues",
    ),
    ("lost_by_rank", lambda m, r: 1 - lost_by_rank(m, r), "kept"),
    (
        "lost_by_rank",
        lambda m, r: float(np.linalg.svd(m, compute_uv=False)[r:].sum() / np.linalg.svd(m, compute_uv=False).sum()),
        "Squared",
    ),
]
