"""The paper's theory in numbers: token trees, the protocol that compresses with them, mixtures, the elasticity theorem.

Source: Ji and others, *Language Models Resist Alignment* (arXiv 2406.06144), definitions 3.1 and 3.3, theorems 3.4 and
4.2. What is ours and not the paper's is said. Nothing here is trained; all code lengths are in bits.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
            ValueError: no responses, one that holds END, or probabilities that do not sum to 1.
        """
        if not isinstance(responses, Mapping):
            responses = _shares(tuple(response) for response in responses)
        return cls({_ended(response): weight for response, weight in responses.items()})

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
        ValueError: width < 1, or a number that does not fit into `width` bits.
    """
    _positive(width, "width")
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
    n, words = len(table), [""] * (2 * len(table) - 1)  # the leaves' words, then the inner nodes'
    heap = [(p, i) for i, p in enumerate(table)]  # of equal weights the older node first: the same code everywhere
    heapq.heapify(heap)
    children = {}
    for node in range(n, 2 * n - 1):
        (p, zero), (q, one) = heapq.heappop(heap), heapq.heappop(heap)
        children[node] = zero, one
        heapq.heappush(heap, (p + q, node))
    for node, (zero, one) in reversed(children.items()):
        words[zero], words[one] = words[node] + "0", words[node] + "1"
    return words[:n]


def blocks(response: Sequence, depth: int) -> list[Path]:
    """A response with its END, cut into blocks of `depth` tokens; the last one is what is left.

    Raises:
        ValueError: depth < 1, or a response that holds END.
    """
    _positive(depth, "depth")
    path = _ended(response)
    return [path[start : start + depth] for start in range(0, len(path), depth)]


def block_tree(responses: Iterable[Sequence], depth: int) -> TokenTree:
    """The tree of all blocks of the responses: what the protocol needs so that it can write whole responses.

    Ours: definition 3.3 prunes the tree of responses, which knows only their first `depth` tokens.

    Raises:
        ValueError: no responses, one that holds END, or depth < 1.
    """
    return TokenTree(_shares(block for response in responses for block in blocks(response, depth)))


def encode(response: Sequence, code: Mapping[Path, str], depth: int) -> str:
    """The response in the words of a pruned tree's code, block by block.

    Raises:
        ValueError: a block that the code has no word for.
    """
    cut = blocks(response, depth)
    unknown = next((block for block in cut if block not in code), None)
    if unknown is not None:
        raise ValueError(f"The code has no word for the block {unknown!r}: it is not in the tree that made the code.")
    return "".join(code[block] for block in cut)


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
    bits_a_block = math.ceil(tree.prune(depth).entropy() - TOLERANCE)
    return math.ceil(length / depth) * bits_a_block


# ---- mixtures and rates (section 4) --------------------------------------------------------------------------


def mixture(distributions: ArrayLike, sizes: ArrayLike) -> np.ndarray:
    """Data sets joined: their leaves' weights, each data set's in proportion to its size: float64 (leaves,).

    Args:
        distributions: one row a data set over the same leaves: (data sets, leaves).
        sizes: of the data sets, in any unit: (data sets,).

    Raises:
        ValueError: no rows, one that is no distribution, rows over different leaves, a negative size, or sizes that are
            all 0 or do not fit.
    """
    rows = [distribution(row, f"distribution {i}") for i, row in enumerate(distributions)]
    if not rows:
        raise ValueError("distributions is empty: give at least one distribution.")
    if len({row.size for row in rows}) > 1:
        raise ValueError("distributions must be over the same leaves: give a leaf that one lacks the weight 0 there.")
    sizes = np.asarray(sizes, dtype=float)
    if sizes.shape != (len(rows),) or not (sizes >= 0).all() or not 0 < sizes.sum() < math.inf:
        raise ValueError(f"sizes must be {len(rows)} numbers, one a distribution, not negative and not all 0.")
    return sizes @ np.array(rows) / sizes.sum()


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
    logs = generator.standard_exponential(leaves) / shape
    masses = np.exp(logs - logs.max())  # a heavy tail would overflow without its largest mass taken out
    return masses / masses.sum()


@dataclass(frozen=True)
class ParetoFit:
    """A Pareto law fitted to the heaviest leaves, and what tests say of it; what ``pareto_fit`` returns.

    Attributes:
        shape: of the law, P(mass > m) ~ m**-shape, by maximum likelihood.
        least: where the tail begins, in the unit of the masses; nothing is said about lighter leaves.
        tail: number of leaves in the tail.
        share: of all mass, which they hold.
        distance: largest gap between the tail and the law, in shares of the tail's leaves (Kolmogorov and Smirnov).
        spread: standard deviation over mean of log(mass / least): near 1 for a Pareto tail, less for a lognormal one.
        p: how often masses drawn from the law lie as far from the law fitted to them: below 0.1 the law is rejected.
        p_lognormal: how often masses drawn from the law have so small a spread: where it is small, a lognormal tail
            is better. Large, it leaves the question open.
    """

    shape: float
    least: float
    tail: int
    share: float
    distance: float
    spread: float
    p: float = math.nan
    p_lognormal: float = math.nan


def pareto_fit(
    masses: ArrayLike, least: float | None = None, counts: bool = False, draws: int = 100, seed: int = 0
) -> ParetoFit:
    """Fit a Pareto law to leaves' masses and test it.

    Method: Clauset, Shalizi and Newman (2009, SIAM Review 51): shape by maximum likelihood, `least` where the law is
    nearest to the data, p from masses drawn anew and fitted in the same way. Against the lognormal tail, of which the
    Pareto is a limit: the best unbiased test, on the spread (Malevergne, Pisarenko and Sornette 2011).

    Args:
        masses: in any unit; leaves of mass 0 do not count.
        least: of the tail; by default the best of those with 50 leaves above. The smallest mass tests all leaves.
        counts: the masses are whole numbers, as of words in a text: the law is rounded to them.
        draws: samples behind the p values, whose error is about half over the root of draws at most.
        seed: of these samples.

    Raises:
        ValueError: masses that are negative or all equal, counts that are not whole, a `least` with fewer than two
            different masses above, or draws < 1.
    """
    _positive(draws, "draws")
    if least is not None and not 0 < least < math.inf:
        raise ValueError(f"least must be above 0 and finite, not {least}.")
    table = np.asarray(masses, dtype=float)
    if table.ndim != 1 or not ((table >= 0) & (table < math.inf)).all():
        raise ValueError("masses must be a list of finite numbers that are not negative.")
    if counts and (table != table.round()).any():
        raise ValueError("counts: the masses must be whole numbers; leave counts out if they are shares.")
    table = np.sort(table[table > 0])
    if not counts:  # nine digits stay, so that rounding errors part no equal masses
        unit = 10.0 ** np.floor(np.log10(table))
        table = np.round(table / unit, 9) * unit
    kept = table if least is None else table[table >= least * (1 - 1e-8)]
    if len(np.unique(kept)) < 2:
        raise ValueError("masses: two different ones are needed at least, for equal masses have no tail.")
    fixed = None if least is None else kept[0]
    found = _nearest_tail(table, fixed, counts)
    generator = np.random.default_rng(seed)
    body, half = table[: len(table) - found.tail], 0.5 if counts else 0.0
    further = flatter = 0
    for _ in range(draws):
        n = max(2, generator.binomial(len(table), found.tail / len(table)))
        drawn = (found.least - half) * np.exp(generator.exponential(1 / found.shape, n))
        drawn = np.floor(drawn + half) if counts else drawn
        rest = generator.choice(body, len(table) - n) if n < len(table) else body[:0]
        again = _nearest_tail(np.sort(np.concatenate([rest, drawn])), fixed, counts)
        further += again.distance >= found.distance
        flatter += again.spread <= found.spread
    return replace(found, p=further / draws, p_lognormal=flatter / draws)


def _nearest_tail(masses: np.ndarray, least: float | None, counts: bool) -> ParetoFit:
    """The tail of sorted masses that lies nearest to a Pareto law, among up to 100 tails; or the one from `least` on.

    A count x stands for all masses from x - 1/2 to x + 1/2; the shape of counts is Clauset and others' equation 3.7.
    """
    half = 0.5 if counts else 0.0
    values, often = np.unique(masses, return_counts=True)
    above = often[::-1].cumsum()[::-1]  # leaves that are at least so heavy
    if least is None:
        sizes = np.geomspace(min(50, len(masses)), len(masses), 100).round()
        starts = np.unique(np.searchsorted(-above, -sizes, side="right") - 1)  # tails of these sizes, or a little more
        starts = starts[starts < max(1, len(values) - 1)]
    else:
        starts = [int(np.searchsorted(values, least))]
    nearest = None
    for i in starts:
        first, n = values[i] - half, above[i]
        logs = np.log(values[i:] / first)
        mean = often[i:] @ logs / n
        at, behind = ((edge / first) ** (-1 / mean) for edge in (values[i:] - half, values[i:] + half))  # by the law
        gaps = np.abs(at - above[i:] / n), np.abs(behind - (above[i:] - often[i:]) / n)
        distance = float(np.max(gaps))
        if nearest is None or distance < nearest.distance:
            spread = math.sqrt(often[i:] @ (logs - mean) ** 2 / n) / mean
            share = float(often[i:] @ values[i:] / (often @ values))
            nearest = ParetoFit(float(1 / mean), float(values[i]), int(n), share, distance, float(spread))
    return nearest


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
        ValueError: not three distributions over the same leaves, a size of D_1, D_2, D_3 or D_a that is not above 0,
            or perturbed < 0.
    """

    components: ArrayLike
    sizes: tuple[float, float, float]
    aligned: float
    perturbed: float = 0.0

    def __post_init__(self) -> None:
        if len(self.components) != 3 or len(self.sizes) != 3:
            raise ValueError("components and sizes must be three each, for D_1, D_2 and D_3.")
        if len({np.size(row) for row in self.components}) > 1:
            raise ValueError("components must be over the same leaves: give a leaf that one lacks the weight 0 there.")
        if not all(0 < size < math.inf for size in (*self.sizes, self.aligned)):
            raise ValueError(
                "The sizes of D_1, D_2, D_3 and D_a must be above 0 and finite: without them there is no k."
            )
        if not 0 <= self.perturbed < math.inf:
            raise ValueError(f"perturbed, the size of D_t, must be 0 or more and finite, not {self.perturbed}.")
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

    def at(self, l: float) -> JointModel:  # noqa: E741
        """The model with l times as much perturbation as alignment data.

        Raises:
            ValueError: l < 0 or not finite.
        """
        if not 0 <= l < math.inf:
            raise ValueError(f"l must be 0 or more and finite, not {l}.")
        return replace(self, perturbed=l * self.aligned)

    def changes(self, l: float) -> tuple[float, float]:  # noqa: E741
        """By how many bits a leaf the two rates differ at l from those here.

        With the share s of what is added, each weight becomes (1 - s) weight + s p_3, and its code word changes by the
        logarithm of that over the weight. A difference of ``rates`` would lose its digits where the change is tiny.

        Raises:
            ValueError: l < 0 or not finite.
        """
        weights, there = self.weights, self.at(l)
        occurs = weights > 0
        share = (there.perturbed - self.perturbed) / there.total
        bits_more = -np.log1p(share * (self._rows[2][occurs] / weights[occurs] - 1)) / math.log(2)
        return tuple(float(data[occurs] @ bits_more) for data in (self.pretraining, self._rows[1]))

    @property
    def slopes(self) -> tuple[float, float]:
        """Exact derivatives of the two rates by l, in bits a leaf (ours).

        Adding a little of D_t moves the model towards it: d weights / dt = (p_3 - weights) / total. So the rate of
        data q changes by (1 - sum q p_3 / weights) / total nats. On D_a it rises where that sum, the mean of
        p_3 / weights over D_a, is below 1.
        """
        weights, third = self.weights, self._rows[2]
        occurs = weights > 0
        towards = third[occurs] / weights[occurs]
        unit = self.aligned / self.total / math.log(2)
        return tuple(unit * (1 - float(data[occurs] @ towards)) for data in (self.pretraining, self._rows[1]))

    @property
    def ratio(self) -> float:
        """Slope of the rate on D_a over that on D_p: -k at l = 0, by theorem 4.2. nan where the latter is 0."""
        on_pretraining, on_alignment = self.slopes
        return on_alignment / on_pretraining if on_pretraining else math.nan

    @property
    def turning_point(self) -> float:
        """The l at which the rate on D_p stops falling: n_3 / (n_1 + n_2) (ours).

        Raises:
            ValueError: a leaf is in two components, where there is no such formula.
        """
        if ((self._rows > 0).sum(axis=0) > 1).any():
            raise ValueError(
                "turning_point needs components without a common leaf; with one, see where slopes[0] changes sign."
            )
        n1, n2, n3 = self.sizes
        return n3 / (n1 + n2)

    @property
    def _rows(self) -> np.ndarray:
        return np.asarray(self.components, dtype=float)


def share_leaves(distributions: ArrayLike, share: float) -> np.ndarray:
    """Distributions placed on one row of leaves, each having a share of its leaves in common with the next (ours).

    The last one's next is the first: they share alike all round. Which leaves are shared depends on their order.

    Args:
        distributions: (data sets, leaves of one), three at least.
        share: of a distribution's leaves, from 0 to 0.5.

    Returns:
        float64 (data sets, leaves of all).

    Raises:
        ValueError: fewer than three distributions, one that is none, or a share out of range.
    """
    rows = np.array([distribution(row, f"distribution {i}") for i, row in enumerate(distributions)])
    if len(rows) < 3:
        raise ValueError(f"distributions must be three at least, not {len(rows)}.")
    if not 0 <= share <= 0.5:
        raise ValueError(f"share must lie between 0 and 0.5, not {share}.")
    n, leaves = rows.shape
    step = leaves - int(share * leaves)
    placed = np.zeros((n, n * step))
    for i, row in enumerate(rows):
        placed[i, (i * step + np.arange(leaves)) % (n * step)] = row
    return placed


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


def _shares(paths: Iterable[Path]) -> dict[Path, float]:
    counts = Counter(paths)
    total = counts.total()
    return {path: count / total for path, count in counts.items()}


def _ended(response: Sequence) -> Path:
    path = (*response, END)
    if path.index(END) < len(response):
        raise ValueError(f"A response must not hold {END!r}: the tree puts it at the end itself.")
    return path


def _positive(value: int, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}.")
