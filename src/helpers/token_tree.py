"""The paper's theory in numbers: token trees, the protocol that compresses with them, mixtures, the elasticity theorem.

Source: Ji and others, *Language Models Resist Alignment* (arXiv 2406.06144), definitions 3.1 and 3.3, theorems 3.4 and
4.2. What is ours and not the paper's is said. Nothing here is trained; all code lengths are in bits.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

END = "END"  # the token that ends every response
TOLERANCE = 1e-9  # how far from 1 a distribution may sum

Path = tuple[Hashable, ...]


# ---- trees (definition 3.1) ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenTree:
    """A tree of responses; a node's weight is the probability that a response passes through it (definition 3.1).

    The paper's tokens are bits; here a token is anything that can be a dictionary's key.

    Attributes:
        leaves: the probability of each path from the root to a leaf, likeliest first; they sum to 1. A path ends with
            END, or where the tree was pruned.

    Raises:
        ValueError: no leaves, a negative weight, weights that do not sum to 1, or a leaf that lies above another one.
    """

    leaves: Mapping[Path, float]

    def __post_init__(self) -> None:
        if not self.leaves:
            raise ValueError("The tree is empty: give it at least one response.")
        paths, weights = zip(*self.leaves.items(), strict=True)
        distribution(weights, "the weights of the leaves")
        inner = {path[:i] for path in paths for i in range(len(path))}
        above = next((path for path in paths if path in inner), None)
        if above is not None:
            raise ValueError(f"The leaf {above!r} lies above another leaf: end each response with END.")
        ordered = sorted(zip(paths, weights, strict=True), key=lambda leaf: -leaf[1])
        object.__setattr__(self, "leaves", dict(ordered))

    @classmethod
    def of(cls, responses: Iterable[Sequence] | Mapping[Sequence, float]) -> TokenTree:
        """The tree of responses, each a sequence of tokens without END: counted, or with their probabilities.

        Raises:
            ValueError: no responses, or probabilities that do not sum to 1.
        """
        if not isinstance(responses, Mapping):
            counts = Counter(tuple(response) for response in responses)
            responses = {path: count / counts.total() for path, count in counts.items()}
        return cls({(*response, END): weight for response, weight in responses.items()})

    @property
    def depth(self) -> int:
        """Tokens on the longest path, END counted."""
        return max(map(len, self.leaves))

    def nodes(self) -> dict[Path, float]:
        """The weight of every node, leaves too, by its path; the root () first, parents before children."""
        weights: dict[Path, float] = {}
        for path, weight in self.leaves.items():
            for i in range(len(path) + 1):
                weights[path[:i]] = weights.get(path[:i], 0.0) + weight
        return dict(sorted(weights.items(), key=lambda node: len(node[0])))

    def prune(self, depth: int) -> TokenTree:
        """The tree's top `depth` layers of tokens: what begins alike becomes one leaf (definition 3.3, first step).

        Raises:
            ValueError: depth < 1.
        """
        _positive(depth, "depth")
        kept: dict[Path, float] = {}
        for path, weight in self.leaves.items():
            kept[path[:depth]] = kept.get(path[:depth], 0.0) + weight
        return TokenTree(kept)

    def entropy(self) -> float:
        """Bits that an ideal code needs for a leaf, on average."""
        return entropy(list(self.leaves.values()))

    def huffman(self) -> dict[Path, str]:
        """The word of each leaf in a Huffman code (definition 3.3, second step)."""
        return dict(zip(self.leaves, huffman(list(self.leaves.values())), strict=True))


def bits(tokens: Sequence[int], width: int) -> str:
    """Token numbers as the paper's binary tokens: `width` bits each, the highest first.

    Raises:
        ValueError: a number that does not fit into `width` bits.
    """
    if not all(0 <= token < 2**width for token in tokens):
        raise ValueError(f"tokens must lie between 0 and {2**width - 1} to fit into width={width} bits.")
    return "".join(f"{token:0{width}b}" for token in tokens)


# ---- the protocol (definition 3.3, theorem 3.4) --------------------------------------------------------------


def huffman(probabilities: ArrayLike) -> list[str]:
    """An optimal code with whole bits: a word of "0" and "1" for each probability. One symbol alone gets "0".

    Raises:
        ValueError: not a distribution.
    """
    table = distribution(probabilities)
    if len(table) == 1:
        return ["0"]
    words = [""] * len(table)
    order = itertools.count()  # breaks ties: the same code everywhere
    heap = [(p, next(order), [i]) for i, p in enumerate(table)]
    heapq.heapify(heap)
    while len(heap) > 1:
        (p, _, zeros), (q, _, ones) = heapq.heappop(heap), heapq.heappop(heap)
        for digit, members in (("0", zeros), ("1", ones)):
            for i in members:
                words[i] = digit + words[i]
        heapq.heappush(heap, (p + q, next(order), zeros + ones))
    return words


def blocks(response: Sequence, depth: int) -> list[Path]:
    """A response with its END, cut into blocks of `depth` tokens; the last one is what is left."""
    _positive(depth, "depth")
    path = (*response, END)
    return [path[start : start + depth] for start in range(0, len(path), depth)]


def block_tree(responses: Iterable[Sequence], depth: int) -> TokenTree:
    """The tree of all blocks of the responses: what the protocol needs so that it can write whole responses."""
    counts = Counter(block for response in responses for block in blocks(response, depth))
    return TokenTree({block: count / counts.total() for block, count in counts.items()})


def encode(response: Sequence, code: Mapping[Path, str], depth: int) -> str:
    """The response in the words of a pruned tree's code, block by block.

    Raises:
        ValueError: a block that the code has no word for.
    """
    unknown = next((block for block in blocks(response, depth) if block not in code), None)
    if unknown is not None:
        raise ValueError(f"The code has no word for the block {unknown!r}: it is not in the tree that made the code.")
    return "".join(code[block] for block in blocks(response, depth))


def decode(written: str, code: Mapping[Path, str]) -> tuple:
    """The response that ``encode`` wrote, without END.

    Raises:
        ValueError: bits that end inside a word, or before END or after it.
    """
    words = {word: block for block, word in code.items()}
    tokens: list = []
    word = ""
    for bit in written:
        word += bit
        if word in words and (not tokens or tokens[-1] != END):
            tokens += words[word]
            word = ""
    if word or not tokens or tokens[-1] != END:
        raise ValueError("These bits are no response in this code: they end too early or too late.")
    return tuple(tokens[:-1])


def ideal_code_length(tree: TokenTree, depth: int, length: int) -> int:
    """Bits for a response of `length` tokens by theorem 3.4: blocks, times the pruned tree's entropy, both rounded up.

    Raises:
        ValueError: depth or length < 1.
    """
    _positive(length, "length")
    return math.ceil(length / depth) * math.ceil(tree.prune(depth).entropy() - TOLERANCE)


# ---- mixtures and rates (section 4) --------------------------------------------------------------------------


def mixture(distributions: ArrayLike, sizes: ArrayLike) -> np.ndarray:
    """Data sets joined: their leaves' weights, each data set's in proportion to its size: float64 (leaves,).

    Args:
        distributions: one row a data set over the same leaves: (data sets, leaves).
        sizes: of the data sets, in any unit: (data sets,).

    Raises:
        ValueError: a row that is no distribution, a negative size, or sizes that are all 0 or do not fit.
    """
    rows = np.array([distribution(row, f"distribution {i}") for i, row in enumerate(distributions)])
    sizes = np.asarray(sizes, dtype=float)
    if sizes.shape != (len(rows),) or not (sizes >= 0).all() or not 0 < sizes.sum() < math.inf:
        raise ValueError(f"sizes must be {len(rows)} numbers, one a distribution, not negative and not all 0.")
    return sizes @ rows / sizes.sum()


def entropy(probabilities: ArrayLike) -> float:
    """Bits of a distribution's entropy."""
    return rate(probabilities, probabilities)


def rate(data: ArrayLike, model: ArrayLike, depth: int = 1) -> float:
    """Compression rate of data with the leaves' weights `data` under a model with the weights `model`.

    Their cross-entropy over the depth: bits a token. The paper's rate of one data set under the joint model, where
    `model` is the ``mixture``. Infinite where the data hold a leaf that the model has not.

    Raises:
        ValueError: not two distributions over the same leaves, or depth < 1.
    """
    _positive(depth, "depth")
    data, model = distribution(data, "data"), distribution(model, "model")
    if data.shape != model.shape:
        raise ValueError(f"data has {len(data)} leaves and model {len(model)}: they must be over the same leaves.")
    occurs = data > 0
    with np.errstate(divide="ignore"):
        return float(-(data[occurs] * np.log2(model[occurs])).sum() / depth)


def normalised_rate(data: ArrayLike, model: ArrayLike) -> float:
    """Rate less the bits that name one of M leaves, log2 M: below 0 where the model is better than none (section 4)."""
    return rate(data, model) - math.log2(len(np.asarray(model)))


def pareto(leaves: int, shape: float, generator: np.random.Generator) -> np.ndarray:
    """A distribution whose leaves' masses are drawn from a Pareto law (the paper's assumption A.7): float64 (leaves,).

    Args:
        shape: of the law, P(mass > m) ~ m**-shape; the smaller, the heavier the tail. The paper's own value is unknown.

    Raises:
        ValueError: leaves < 1 or shape <= 0.
    """
    _positive(leaves, "leaves")
    if not shape > 0:
        raise ValueError(f"shape must be above 0, not {shape}.")
    masses = 1 + generator.pareto(shape, leaves)
    return masses / masses.sum()


# ---- the elasticity theorem (theorem 4.2) --------------------------------------------------------------------


@dataclass(frozen=True)
class JointModel:
    """The best possible model of pre-training, alignment and perturbation data together, as theorem 4.2 supposes.

    D_p = D_1 + D_2 + D_3; the alignment data are like D_2, the perturbation data like D_3.

    Attributes:
        components: leaves' weights of D_1, D_2, D_3: (3, leaves).
        sizes: of D_1, D_2, D_3.
        aligned: size of D_a.
        perturbed: size of D_t.

    Raises:
        ValueError: not three distributions, a size of D_1, D_2, D_3 or D_a that is not above 0, or perturbed < 0.
    """

    components: ArrayLike
    sizes: tuple[float, float, float]
    aligned: float
    perturbed: float = 0.0

    def __post_init__(self) -> None:
        if len(self.components) != 3 or len(self.sizes) != 3:
            raise ValueError("components and sizes must be three each, for D_1, D_2 and D_3.")
        if not all(0 < size < math.inf for size in (*self.sizes, self.aligned)):
            raise ValueError(
                "The sizes of D_1, D_2, D_3 and D_a must be above 0 and finite: without them there is no k."
            )
        if not 0 <= self.perturbed < math.inf:
            raise ValueError(f"perturbed, the size of D_t, must be 0 or more, not {self.perturbed}.")
        mixture(self.components, self.sizes)  # complains of what is no distribution

    @property
    def k(self) -> float:
        """Size of the pre-training data over that of the alignment data."""
        return sum(self.sizes) / self.aligned

    @property
    def l(self) -> float:  # noqa: E743  (the paper's letter)
        """Size of the perturbation data over that of the alignment data."""
        return self.perturbed / self.aligned

    @property
    def total(self) -> float:
        """Size of all data together."""
        return sum(self.sizes) + self.aligned + self.perturbed

    @property
    def weights(self) -> np.ndarray:
        """The leaves' weights of the model: the mixture of all data."""
        n1, n2, n3 = self.sizes
        return mixture(self.components, (n1, n2 + self.aligned, n3 + self.perturbed))

    @property
    def pretraining(self) -> np.ndarray:
        """The leaves' weights of D_p."""
        return mixture(self.components, self.sizes)

    @property
    def rates(self) -> tuple[float, float]:
        """Bits a leaf on D_p and on D_a."""
        return rate(self.pretraining, self.weights), rate(self.components[1], self.weights)

    @property
    def slopes(self) -> tuple[float, float]:
        """Exact derivatives of the two rates by l, in bits a leaf (ours).

        Adding a little of D_t moves the model towards it: d weights / dt = (p_3 - weights) / total. So the rate of
        data q changes by (1 - sum q p_3 / weights) / total nats.
        """
        weights, third = self.weights, np.asarray(self.components[2], dtype=float)
        there = weights > 0
        unit = self.aligned / self.total / math.log(2)
        slopes = (
            unit * (1 - float((data[there] * third[there] / weights[there]).sum()))
            for data in (self.pretraining, np.asarray(self.components[1], dtype=float))
        )
        return tuple(slopes)

    @property
    def ratio(self) -> float:
        """Slope of the rate on D_a over that on D_p: -k at l = 0, by theorem 4.2."""
        on_pretraining, on_alignment = self.slopes
        return on_alignment / on_pretraining

    @property
    def turning_point(self) -> float:
        """The l at which the rate on D_p stops falling, n_3 / (n_1 + n_2), if no leaf is in two components (ours)."""
        n1, n2, n3 = self.sizes
        return n3 / (n1 + n2)


# ---- arguments -----------------------------------------------------------------------------------------------


def distribution(values: ArrayLike, what: str = "probabilities") -> np.ndarray:
    """Values as a float64 array, if they are a distribution.

    Raises:
        ValueError: none, negative ones, or a sum that is not 1.
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 1 or table.size == 0:
        raise ValueError(f"{what} must be a list of at least one number.")
    if not (table >= 0).all():
        raise ValueError(f"{what} must not be negative or missing: the smallest is {table.min():.3g}.")
    if abs(table.sum() - 1) > TOLERANCE:
        raise ValueError(f"{what} must sum to 1, not to {table.sum():.9g}: divide them by their sum.")
    return table


def _positive(value: int, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}.")
