"""The network that can arrive: exact gradients, certified ratios, and the proposition on replay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import optimum, world


@pytest.fixture(scope="module")
def data():
    return optimum.sample(200, 200, 200, seed=1)


@pytest.fixture(scope="module")
def model(data):
    return optimum.Model(data, hidden=16, seed=1)


@pytest.fixture(scope="module")
def base(model):
    return model.train(model.start, (1, 0, 0), 200)


def test_each_data_set_is_a_mean_over_its_own_documents(data):
    assert data.weights.sum((1, 2)).tolist() == pytest.approx([1, 1, 1])
    tokens = world.World.from_file(optimum.CORNER).tokens
    for weights, words in zip(data.weights[1:], ("love", "hate"), strict=True):
        texts = ["".join(tokens[i] for i in ids) for ids, w in zip(data.ids, weights, strict=True) if w.sum() > 0]
        assert texts
        assert all(f"I {words} it" in text for text in texts)


def test_the_seed_decides_data_and_weights(data, model):
    again, other = optimum.sample(200, 200, 200, seed=1), optimum.sample(200, 200, 200, seed=2)
    assert (again.weights == data.weights).all()
    assert other.weights.shape != data.weights.shape or (other.weights != data.weights).any()
    assert (optimum.Model(data, hidden=16, seed=1).start == model.start).all()
    assert (optimum.Model(data, hidden=16, seed=2).start != model.start).any()


def test_gradients_are_those_of_the_losses_in_double_precision(model):
    direction = np.random.Generator(np.random.PCG64(0)).normal(size=len(model.start))
    direction /= np.linalg.norm(direction)
    ahead, behind = (model.losses(model.start + sign * 1e-5 * direction) for sign in (1, -1))
    assert (ahead - behind) / 2e-5 == pytest.approx(model.gradients(model.start) @ direction, rel=1e-6)


def test_a_pull_is_a_short_step_down_the_gradient(model, base):
    on_p, on_a, on_t = model.gradients(base)
    size = 1e-7
    expected = -size * np.array([on_p, on_a, on_t]) @ on_t / np.linalg.norm(on_t)
    assert model.pull(base, size) == pytest.approx(expected, rel=1e-3)
    assert model.pull(base, size)[2] < 0
    assert model.pull(base, size, direction=on_t) == pytest.approx(-expected, rel=1e-3)


@pytest.mark.parametrize("replay", [0.0, 0.5, 0.9])
def test_replay_sets_the_ratio(model, base, replay):
    weights = model.train(base, (replay, 1 - replay, 0), 400)
    found = optimum.certificate(model.gradients(weights), replay)
    assert abs(found["ratio"] + replay / (1 - replay)) <= found["bound"] * (1 + 1e-9)
    assert found["ratio"] == pytest.approx(-replay / (1 - replay), rel=0.03, abs=0.01)


def test_a_finite_pull_agrees_with_the_slopes(model, base):
    weights = model.train(base, (0.5, 0.5, 0), 400)
    on_p, on_a, _ = model.pull(weights, 1e-7)
    slopes = optimum.certificate(model.gradients(weights), 0.5)["ratio"]
    assert on_a / on_p == pytest.approx(slopes, rel=1e-2)


def test_a_joint_optimum_is_pulled_in_two_ways(monkeypatch):
    monkeypatch.setattr(optimum, "PRETRAINING_STEPS", 200)
    table = optimum.joint_optimum(0, 1)
    assert list(table["pull"]) == [optimum.STEP, optimum.ADDED]
    assert (table["ratio"] == table["change_a"] / table["change_p"]).all()
    assert table["ratio"][0] == pytest.approx(-1, rel=0.05)
    added = table.iloc[1]
    assert added["change_p"] < 0 < added["change_a"]


def test_the_ratio_of_short_training_is_another(model, base):
    weights = model.train(base, (0.9, 0.1, 0), 1)
    assert abs(optimum.certificate(model.gradients(weights), 0.9)["ratio"] + 9) > 1


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.99))
def test_the_bound_holds_anywhere(seed, replay):
    gradients = np.random.Generator(np.random.PCG64(seed)).normal(size=(3, 5))
    found = optimum.certificate(gradients, replay)
    assert abs(found["ratio"] + replay / (1 - replay)) <= found["bound"] * (1 + 1e-6) + 1e-9


def test_the_bound_is_reached_where_the_gradient_points_along_the_pull():
    on_t = np.array([1.0, 2.0])
    on_p = np.array([3.0, 1.0])
    on_a = on_t - on_p  # replay one half: g = on_t / 2
    found = optimum.certificate(np.stack([on_p, on_a, on_t]), 0.5)
    assert abs(found["ratio"] + 1) == pytest.approx(found["bound"])


def test_replay_gives_a_row_a_measurement():
    seen = []
    table = optimum.replay(0, [0.0, 0.5], pretraining=50, at=(1, 3), on_measure=lambda rows: seen.append(len(rows)))
    assert list(table[["replay", "step"]].itertuples(index=False, name=None)) == [(0, 1), (0, 3), (0.5, 1), (0.5, 3)]
    assert seen == [1, 2, 3, 4]
    assert set(table["pretraining"]) == {50}
    assert table.notna().all().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.train(m.start, (0.5, 0.5), 1), "three numbers, for D_p, D_a and D_t"),
        (lambda m: m.train(m.start, (-0.5, 1.5, 0), 1), "none negative"),
        (lambda m: m.train(m.start, (0, 0, 0), 1), "three numbers"),
        (lambda m: m.train(m.start, (float("nan"), 1, 0), 1), "three numbers"),
        (lambda m: m.pull(m.start, 0), "size must be above 0 and finite"),
        (lambda m: optimum.certificate(m.gradients(m.start), 1), "without D_a there is no ratio"),
        (lambda m: optimum.certificate(m.gradients(m.start)[:2], 0.5), "gradients must be three"),
        (lambda m: optimum.certificate(np.eye(3), 0.5), "does not change L_p"),
        (lambda m: m.pull(m.start, float("inf")), "above 0 and finite"),
        (lambda m: m.pull(m.start, 1, 0 * m.start), "direction must not be zero"),
        (lambda m: m.losses(m.start[1:]), "weights must be"),
        (lambda m: m.losses(np.append(m.start, 0)), "weights must be"),
        (lambda m: m.train(m.start, (1, 0, 0), 0), "at least 1 step"),
        (lambda m: m.train(m.start * np.nan, (1, 0, 0), 1), "finite weights"),
        (lambda m: optimum.sample(pretraining=0), "pretraining must be a whole number"),
        (lambda m: optimum.joint_optimum(0, -1), "k must be above 0"),
        (lambda m: optimum.replay(0, [1.0]), "shares must lie"),
        (lambda m: optimum.replay(0, [0.5], at=(0, 1)), "at must hold numbers of steps"),
        (lambda m: optimum.replay(0, [0.5], at=()), "at must hold numbers of steps"),
    ],
)
def test_bad_arguments_are_named(model, call, message):
    with pytest.raises(ValueError, match=message):
        call(model)
