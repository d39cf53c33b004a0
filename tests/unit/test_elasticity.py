"""The elasticity theorem in numbers: the ratio, the sign and its condition, the turning point, faulty arguments."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers import token_tree
from helpers.token_tree import JointModel

SIZES = st.floats(1e-2, 1e2)
SHARES = st.floats(0, 0.5)


@st.composite
def rows(draw, leaves=None):
    """Three distributions over the same few leaves; some weights are 0, so that supports differ at random."""
    n = leaves or draw(st.integers(2, 8))
    table = draw(st.lists(st.lists(st.just(0.0) | st.floats(1e-3, 1), min_size=n, max_size=n), min_size=3, max_size=3))
    table = np.array(table)
    assume((table.sum(axis=1) > 0).all())
    return table / table.sum(axis=1, keepdims=True)


ANY, DISJOINT = rows(), rows(leaves=4).map(lambda table: token_tree.share_leaves(table, 0))
NONE = st.just(0.0)
MAYBE = NONE | SIZES


@st.composite
def models(draw, components=ANY, perturbed=NONE):
    return JointModel(draw(components), draw(st.tuples(SIZES, SIZES, SIZES)), draw(SIZES), draw(perturbed))


# ---- the ratio -----------------------------------------------------------------------------------------------


@given(models())
def test_forces_are_equal_and_opposite_before_the_perturbation(model):
    on_pretraining, on_alignment = model.slopes
    force = sum(model.sizes) * on_pretraining + model.aligned * on_alignment
    assert force == pytest.approx(0, abs=1e-13 * (sum(model.sizes) + model.aligned))


@given(models(perturbed=SIZES))
def test_forces_of_all_three_data_sets_cancel_at_any_perturbation(model):
    """The model is the best one for all data together, so no small move changes their total."""
    third, weights = model.components[2], model.weights
    occurs = weights > 0
    unit = model.aligned / model.total / math.log(2)
    on_perturbation = unit * (1 - float((third[occurs] ** 2 / weights[occurs]).sum()))
    on_pretraining, on_alignment = model.slopes
    forces = sum(model.sizes) * on_pretraining, model.aligned * on_alignment, model.perturbed * on_perturbation
    assert on_perturbation <= 1e-12 * unit  # more of D_t never makes D_t longer
    assert sum(forces) == pytest.approx(0, abs=1e-10 * max(1, *map(abs, forces)))


@pytest.mark.parametrize("k", [10, 100, 1_000, 10_000])
@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("law", ["pareto", "uniform", "geometric"])
def test_finite_ratio_is_minus_k_whatever_masses_and_overlap(law, share, k):
    generator = np.random.default_rng(7)
    masses = {
        "pareto": lambda: token_tree.pareto(2000, 1.2, generator),
        "uniform": lambda: np.full(2000, 1 / 2000),
        "geometric": lambda: generator.permutation(0.995 ** np.arange(2000)) * 0.005 / (1 - 0.995**2000),
    }[law]
    model = JointModel(token_tree.share_leaves([masses() for _ in range(3)], share), (1, 1, 1), 3 / k)
    on_pretraining, on_alignment = model.changes(1e-4)
    assert on_alignment / on_pretraining == pytest.approx(-k, rel=1e-3)
    assert model.ratio == pytest.approx(-k, rel=1e-9)


@given(models(perturbed=SIZES))
def test_slopes_are_those_of_finite_differences(model):
    h = 1e-5 * min(model.l, 1)
    exact = np.array(model.slopes)
    low, high = model.at(model.l - h), model.at(model.l + h)
    finite = (np.array(high.rates) - np.array(low.rates)) / (2 * h)
    digits_lost = 1e-14 * max(1, *model.rates) / h
    np.testing.assert_allclose(exact, finite, rtol=1e-6, atol=digits_lost + 1e-9)


@given(models(perturbed=SIZES), SIZES)
def test_changes_are_the_differences_of_the_rates(model, l):  # noqa: E741
    expected = np.subtract(model.at(l).rates, model.rates)
    np.testing.assert_allclose(model.changes(l), expected, rtol=1e-9, atol=1e-12)
    assert model.changes(model.l) == pytest.approx((0, 0), abs=1e-15)


# ---- the sign ------------------------------------------------------------------------------------------------


@given(models(DISJOINT, perturbed=MAYBE))
def test_without_common_leaves_alignment_always_loses_and_by_a_known_amount(model):
    assert model.slopes[1] == pytest.approx(model.aligned / model.total / math.log(2), rel=1e-12)


@given(models(DISJOINT))
def test_pretraining_turns_at_the_turning_point_and_nowhere_else(model):
    n1, n2, n3 = model.sizes
    turn = model.turning_point
    assert turn == n3 / (n1 + n2)
    scale = model.slopes[1]
    assert model.at(turn).slopes[0] == pytest.approx(0, abs=1e-12 * scale)
    assert all(model.at(turn * x).slopes[0] < 0 for x in (0, 0.5, 0.99))
    assert all(model.at(turn * x).slopes[0] > 0 for x in (1.01, 2, 100))


@given(models(perturbed=MAYBE))
def test_alignment_loses_unless_it_is_liker_to_the_perturbation_than_the_rest_is(model):
    """D_1 and D_2 cannot both gain; so D_2 loses wherever it is no liker to D_3 than D_1 is."""
    weights = model.weights
    occurs = weights > 0
    towards = np.asarray(model.components)[:, occurs] @ (model.components[2][occurs] / weights[occurs])
    unit = model.aligned / model.total / math.log(2)
    assert min(towards[:2]) <= 1 + 1e-12
    assert model.slopes[1] == pytest.approx(unit * (1 - towards[1]), abs=1e-9 * unit)
    if towards[1] <= towards[0]:
        assert model.slopes[1] >= -1e-12 * unit


@given(models(perturbed=MAYBE))
def test_alignment_loses_where_the_overlap_is_smaller_than_the_perturbations_share(model):
    overlap = model.components[1][model.components[2] > 0].sum()
    share = (model.sizes[2] + model.perturbed) / model.total
    if overlap < share:
        assert model.slopes[1] > 0


def test_alignment_can_gain_from_the_perturbation():
    """Both signs of the theorem turn where D_2 and D_3 have most leaves in common and D_1 has none of them."""
    model = JointModel([[1, 0, 0], [0, 0.7, 0.3], [0, 0.3, 0.7]], (1, 1, 1), 0.1)
    on_pretraining, on_alignment = model.slopes
    assert on_alignment < 0 < on_pretraining
    assert model.ratio == pytest.approx(-30)


@given(models(), st.tuples(SIZES, SIZES, SIZES).map(sorted))
def test_rate_on_pretraining_turns_once_at_most_whatever_the_overlap(model, amounts):
    """It is convex in the perturbation's part of all data: between two of its values it is not above their line."""
    several = [replace(model, perturbed=amount) for amount in amounts]
    parts = [one.perturbed / one.total for one in several]
    rates = [one.rates[0] for one in several]
    assert rates[1] <= np.interp(parts[1], parts[::2], rates[::2]) + 1e-9


# ---- no return -----------------------------------------------------------------------------------------------


@given(st.tuples(SIZES, SIZES, SIZES), DISJOINT)
def test_distance_to_base_is_won_back_only_in_part(sizes, components):
    """To first order in D_a: pi_2 pi_3 / (1 - pi_2) / (1 - pi_3), pi being the components' shares (ours)."""
    model = JointModel(components, sizes, 1e-4 * min(sizes))
    floor = token_tree.entropy(model.pretraining)
    away, back = model.rates[0] - floor, model.rates[0] - model.at(model.turning_point).rates[0]
    assume(away > 1e-10)  # below, the difference of two rates is rounding
    _, second, third = np.array(sizes) / sum(sizes)
    won = second * third / (1 - second) / (1 - third)
    assert back / away == pytest.approx(won, rel=0.01, abs=1e-4)


# ---- arguments -----------------------------------------------------------------------------------------------

GOOD = {"components": np.eye(3), "sizes": (3.0, 2.0, 1.0), "aligned": 2.0}


def test_k_and_l_are_ratios_of_sizes():
    model = JointModel(**GOOD, perturbed=0.5)
    assert (model.k, model.l, model.total) == (3, 0.25, 8.5)
    assert model.at(1).perturbed == 2
    assert model.weights == pytest.approx(np.array([3, 4, 1.5]) / 8.5)


@pytest.mark.parametrize("k", [0.1, 1])
def test_the_ratio_needs_no_large_k(k):
    assert replace(JointModel(**GOOD), aligned=6 / k).ratio == pytest.approx(-k)


def test_where_nothing_moves_there_is_no_ratio():
    assert math.isnan(replace(JointModel(**GOOD), components=[[1.0]] * 3).ratio)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"components": np.eye(2)}, "three each, for D_1, D_2 and D_3"),
        ({"sizes": (1.0, 1.0)}, "three each"),
        ({"components": [[1.0], [0.5, 0.5], [1.0]]}, "over the same leaves: give a leaf that one lacks the weight 0"),
        ({"components": np.eye(3) / 2}, "distribution 0 must sum to 1, not to 0.5"),
        ({"components": [[1.0, 0.0], [1.5, -0.5], [0.0, 1.0]]}, "distribution 1 must not be negative"),
        ({"components": [[1.0, 0.0], [1.0, 0.0], [math.nan, 1.0]]}, "distribution 2 must not be negative or missing"),
        ({"sizes": (1.0, 0.0, 1.0)}, "D_1, D_2, D_3 and D_a must be above 0 and finite"),
        ({"sizes": (1.0, math.nan, 1.0)}, "above 0 and finite"),
        ({"aligned": 0.0}, "without them there is no k"),
        ({"aligned": -1.0}, "without them there is no k"),
        ({"aligned": math.inf}, "above 0 and finite"),
        ({"perturbed": -0.1}, "size of D_t, must be 0 or more and finite, not -0.1"),
        ({"perturbed": math.inf}, "finite, not inf"),
        ({"perturbed": math.nan}, "finite, not nan"),
    ],
)
def test_faulty_data_sets_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        JointModel(**{**GOOD, **changed})


@pytest.mark.parametrize("l", [-0.1, math.inf, math.nan])
def test_faulty_l_is_refused(l):  # noqa: E741
    with pytest.raises(ValueError, match=f"l must be 0 or more and finite, not {l}"):
        JointModel(**GOOD).at(l)
    with pytest.raises(ValueError, match="l must be 0 or more"):
        JointModel(**GOOD).changes(l)


def test_the_formula_for_the_turning_point_is_not_offered_where_it_is_wrong():
    model = replace(JointModel(**GOOD), components=token_tree.share_leaves(np.full((3, 4), 0.25), 0.5))
    with pytest.raises(ValueError, match="turning_point needs components without a common leaf"):
        _ = model.turning_point


@given(rows(leaves=6), SHARES)
def test_shared_leaves(table, share):
    placed = token_tree.share_leaves(table, share)
    assert placed.shape[0] == 3
    np.testing.assert_allclose(np.sort(placed[placed > 0]), np.sort(table[table > 0]))
    even = token_tree.share_leaves(np.full((3, 6), 1 / 6), share) > 0
    assert [int((even[i] & even[(i + 1) % 3]).sum()) for i in range(3)] == [int(share * 6)] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(2), 0.1), "distributions must be three at least, not 2"),
        ((np.eye(3), 0.6), "share must lie between 0 and 0.5, not 0.6"),
        ((np.eye(3), -0.1), "share must lie between 0 and 0.5"),
        ((np.eye(3), math.nan), "share must lie between"),
        ((np.eye(3) * 2, 0.1), "distribution 0 must sum to 1"),
    ],
)
def test_faulty_shares_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        token_tree.share_leaves(*arguments)
