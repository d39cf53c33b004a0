"""Mixtures and rates: how weights mix, what no code can beat, what sharing costs; and a Pareto test that is tested."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers import token_tree
from helpers.token_tree import entropy, mixture, normalised_rate, pareto, pareto_fit, rate

SIZES = st.floats(1e-3, 1e3)
SHARES = st.floats(1e-3, 1 - 1e-3)
PARETO = pareto(500, 1.0, np.random.default_rng(0))


@st.composite
def rows(draw, n):
    """n distributions over the same few leaves; some weights are 0."""
    leaves = draw(st.integers(1, 8))
    weights = st.lists(st.just(0.0) | st.floats(1e-3, 1), min_size=leaves, max_size=leaves)
    table = np.array([draw(weights) for _ in range(n)])
    assume((table.sum(axis=1) > 0).all())
    return table / table.sum(axis=1, keepdims=True)


def sizes(n):
    return st.lists(SIZES, min_size=n, max_size=n)


# ---- mixtures ------------------------------------------------------------------------------------------------


@given(rows(3), sizes(3))
def test_a_mixture_is_a_distribution_between_its_parts(parts, sizes):
    mixed = mixture(parts, sizes)
    assert mixed.sum() == pytest.approx(1)
    assert (mixed >= parts.min(axis=0) - 1e-12).all()
    assert (mixed <= parts.max(axis=0) + 1e-12).all()


def test_weights_count_by_the_sizes():
    assert mixture([[1, 0, 0], [0, 0.5, 0.5]], [3, 1]) == pytest.approx([0.75, 0.125, 0.125])
    assert mixture([[1, 0], [0, 1]], [0, 7]) == pytest.approx([0, 1])


@given(rows(3), sizes(3), st.sampled_from([1e-300, 1e-9, 7.0, 1e300]))
def test_the_unit_of_the_sizes_does_not_matter(parts, sizes, unit):
    assert mixture(parts, unit * np.array(sizes)) == pytest.approx(mixture(parts, sizes))


@given(rows(3), sizes(3))
def test_joining_in_two_steps_is_joining_at_once(parts, sizes):
    first = mixture(parts[:2], sizes[:2])
    assert mixture([first, parts[2]], [sizes[0] + sizes[1], sizes[2]]) == pytest.approx(mixture(parts, sizes))


# ---- entropy and rate ----------------------------------------------------------------------------------------


def test_an_entropy_and_a_rate_by_hand():
    assert entropy([0.5, 0.25, 0.25]) == pytest.approx(1.5)
    assert entropy([1.0, 0.0]) == 0
    assert rate([0.5, 0.5, 0], [0.125, 0.5, 0.375]) == pytest.approx(2)
    assert rate([0.5, 0.5, 0], [0.125, 0.5, 0.375], depth=4) == pytest.approx(0.5)
    assert rate([0.5, 0.5], [1.0, 0.0]) == math.inf


@given(rows(2))
def test_no_model_beats_the_source_and_another_one_pays(parts):
    data, model = parts
    assert rate(data, model) >= entropy(data) - 1e-9
    excess, apart = rate(data, model) - entropy(data), np.abs(data - model).sum()
    assert excess >= apart**2 / (2 * math.log(2)) - 1e-9  # Pinsker: equality with the source only


@given(rows(2), SHARES)
def test_entropy_is_concave_and_joining_costs_at_most_the_label(parts, share):
    joint = entropy(mixture(parts, [share, 1 - share]))
    apart = share * entropy(parts[0]) + (1 - share) * entropy(parts[1])
    assert apart - 1e-9 <= joint <= apart + entropy([share, 1 - share]) + 1e-9


@given(rows(2), SHARES, SHARES)
def test_more_of_a_data_set_lowers_its_own_rate(parts, share, more):
    low, high = sorted((share, more))
    own = [rate(parts[0], mixture(parts, [s, 1 - s])) for s in (low, high)]
    assert own[1] <= own[0] + 1e-9


@given(rows(2), SHARES)
def test_sharing_costs_at_most_the_label_and_exactly_that_without_a_common_leaf(parts, share):
    bound = entropy(parts[0]) - math.log2(share)
    assert rate(parts[0], mixture(parts, [share, 1 - share])) <= bound + 1e-9
    nothing = np.zeros_like(parts[0])
    apart = [[*parts[0], *nothing], [*nothing, *parts[1]]]
    assert rate(apart[0], mixture(apart, [share, 1 - share])) == pytest.approx(bound)


@given(rows(2), SHARES)
def test_normalising_takes_a_constant_and_splitting_leaves_keeps_it(parts, share):
    model = mixture(parts, [share, 1 - share])
    assert normalised_rate(parts[0], model) == pytest.approx(rate(parts[0], model) - math.log2(len(model)))
    halves = np.repeat(parts[0], 2) / 2, np.repeat(model, 2) / 2
    assert normalised_rate(*halves) == pytest.approx(normalised_rate(parts[0], model))


@given(rows(1), st.integers(1, 50))
def test_a_model_that_knows_nothing_has_the_normalised_rate_0(parts, leaves):
    even = np.full(leaves, 1 / leaves)
    assert normalised_rate(even, even) == pytest.approx(0)
    assert normalised_rate(parts[0], np.full(len(parts[0]), 1 / len(parts[0]))) == pytest.approx(0, abs=1e-9)


# ---- Pareto masses and their test ----------------------------------------------------------------------------


@given(st.integers(1, 200), st.floats(1e-3, 1e3), st.integers(0, 99))
def test_drawn_masses_are_a_distribution_however_heavy_the_tail(leaves, shape, seed):
    masses = pareto(leaves, shape, np.random.default_rng(seed))
    assert masses.shape == (leaves,)
    assert masses.sum() == pytest.approx(1)
    assert (masses >= 0).all()


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0])
def test_drawn_masses_have_the_shape_asked_for(shape):
    masses = pareto(4000, shape, np.random.default_rng(1))
    fit = pareto_fit(masses, least=masses.min())
    assert fit.shape == pytest.approx(shape, rel=0.05)
    assert (fit.tail, fit.share) == (4000, pytest.approx(1))
    assert fit.p > 0.1 and fit.p_lognormal > 0.1


@pytest.mark.parametrize("counts", [False, True])
def test_the_test_accuses_pareto_samples_about_as_often_as_it_says(counts):
    generator = np.random.default_rng(2)
    samples = [np.exp(generator.standard_exponential(200)) for _ in range(40)]
    fits = [pareto_fit(np.floor(s * 10 + 0.5) if counts else s, counts=counts, draws=30) for s in samples]
    for p in ("p", "p_lognormal"):
        values = np.array([getattr(fit, p) for fit in fits])
        assert (values < 0.1).mean() < 0.25
        assert 0.35 < values.mean() < 0.75
    assert np.mean([fit.shape for fit in fits]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "masses",
    [
        0.98 ** np.arange(300),
        np.random.default_rng(3).exponential(1, 2000),
        np.random.default_rng(3).lognormal(0, 1, 2000),
        np.random.default_rng(3).lognormal(0, 3, 2000),
    ],
    ids=["geometric", "exponential", "lognormal", "wide lognormal"],
)
def test_other_laws_are_rejected_as_a_whole(masses):
    fit = pareto_fit(masses, least=masses.min())
    assert fit.p == 0 and fit.p_lognormal == 0 and fit.spread < 0.95


def test_the_spread_tells_a_lognormal_tail_that_lies_near_a_pareto_law():
    """Half of a lognormal, log-variance large: nearly straight, so that only many leaves show the bend."""
    masses = np.exp(5 * np.abs(np.random.default_rng(5).normal(size=4000)))
    assert pareto_fit(masses, least=masses.min()).p_lognormal == 0


def test_a_body_of_another_law_is_left_out_of_the_tail():
    generator = np.random.default_rng(4)
    tail, body = 10 * np.exp(generator.standard_exponential(300) / 1.5), generator.uniform(0, 10, 1500)
    fit = pareto_fit(np.concatenate([tail, body]))
    assert fit.least == pytest.approx(10, rel=0.25)
    assert fit.shape == pytest.approx(1.5, rel=0.2)
    assert fit.p > 0.02


@given(st.permutations(range(40)), st.sampled_from([1e-9, 3.0, 1e12]))
def test_order_unit_and_empty_leaves_do_not_matter(order, unit):
    masses = PARETO[:40]
    fit, other = pareto_fit(masses, draws=2), pareto_fit([*(unit * masses[order]), 0.0], draws=2)
    assert (other.tail, other.shape) == (fit.tail, pytest.approx(fit.shape))
    assert (other.share, other.p) == (pytest.approx(fit.share), fit.p)
    assert other.least == pytest.approx(unit * fit.least)


# ---- faulty arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: mixture([[0.5, 0.6], [1, 0]], [1, 1]), "distribution 0 must sum to 1, not to 1.1"),
        (lambda: mixture([[1, 0], [1.5, -0.5]], [1, 1]), "distribution 1 must not be negative"),
        (lambda: mixture([[1, 0], [1]], [1, 1]), "must be over the same leaves"),
        (lambda: mixture([], []), "at least one distribution"),
        (lambda: mixture([[1, 0], [0, 1]], [1, -1]), "sizes must be 2 numbers"),
        (lambda: mixture([[1, 0], [0, 1]], [0, 0]), "not all 0"),
        (lambda: mixture([[1, 0], [0, 1]], [1, math.nan]), "sizes must be 2 numbers"),
        (lambda: mixture([[1, 0], [0, 1]], [1, 2, 3]), "one a distribution"),
        (lambda: entropy([]), "data must be a list of at least one number"),
        (lambda: rate([0.5, 0.4], [0.5, 0.5]), "data must sum to 1, not to 0.9"),
        (lambda: rate([0.5, 0.5], [0.5, math.nan]), "model must not be negative or missing"),
        (lambda: rate([0.5, 0.5], [1.0]), "data has 2 leaves and model 1"),
        (lambda: rate([1.0], [1.0], depth=0), "depth must be a whole number of at least 1, not 0"),
        (lambda: normalised_rate([1.0], [0.5, 0.5]), "data has 1 leaves and model 2"),
        (lambda: pareto(0, 1.0, np.random.default_rng(0)), "leaves must be a whole number of at least 1, not 0"),
        (lambda: pareto(5, 0.0, np.random.default_rng(0)), "shape must be above 0, not 0.0"),
        (lambda: pareto(5, math.nan, np.random.default_rng(0)), "shape must be above 0, not nan"),
        (lambda: pareto_fit([1, 1, 1]), "two different ones are needed"),
        (lambda: pareto_fit([1, -1]), "finite numbers that are not negative"),
        (lambda: pareto_fit([1, math.nan]), "finite numbers that are not negative"),
        (lambda: pareto_fit([1.5, 2], counts=True), "must be whole numbers"),
        (lambda: pareto_fit([1, 2, 3], least=3), "two different ones are needed"),
        (lambda: pareto_fit([1, 2, 3], least=0), "least must be above 0 and finite, not 0"),
        (lambda: pareto_fit([1, 2, 3], draws=0), "draws must be a whole number of at least 1, not 0"),
    ],
)
def test_a_faulty_argument_is_told_in_one_sentence(call, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_wrong_type_of_distribution_is_named():
    with pytest.raises(ValueError, match="probabilities must be a list of at least one number"):
        token_tree.distribution([[0.5, 0.5]])
