"""What memory arithmetic says, against what is there."""

import pytest
import torch

from helpers import memory, models


@pytest.mark.parametrize("adapter", models.ADAPTERS)
def test_states_are_counted_right(adapter):
    plain = models.load("neox-0.1m").model
    model = models.load("neox-0.1m", adapter=adapter, rank=4).model
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    ids = torch.randint(0, 500, (2, 8))
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    found = memory.states(plain, adapter, rank=4)
    assert found["gradients"] == sum(weight.grad.nbytes for weight in trained)
    means = [v for state in optimizer.state.values() for v in state.values() if v.dim()]
    assert found["optimizer"] == sum(v.nbytes for v in means)
    weights = sum(weight.nbytes for weight in model.parameters())
    assert weights <= found["weights"] <= weights * 1.02  # the scales of 4-bit weights are no parameters
    assert adapter == "qlora" or found["weights"] == weights


def test_an_unknown_adapter_is_refused():
    with pytest.raises(ValueError, match="Unknown adapter 'dora': choose from full, lora, qlora"):
        memory.states(models.load("neox-0.1m").model, "dora")


def test_the_peak_counts_what_lives_at_once():
    def two_at_once():
        for _ in range(3):
            one = torch.ones(1000)
            other = one + 1
            del one, other

    assert memory.peak(two_at_once) == 8000
    kept = torch.ones(1000)
    assert memory.peak(lambda: kept.add_(1)) == 0
    assert memory.peak(lambda: kept.view(10, 100)[0]) == 0


# ---- plans -------------------------------------------------------------------------------------------------


def config(name="neox-0.4m"):
    return models.load(name).model.config


@pytest.mark.parametrize("name", ["neox-0.4m", "qwen2-1m"])
@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_plan_says_what_a_step_takes(name, adapter):
    plan = memory.plan(config(name), name, adapter)
    model = models.load(name, adapter=adapter).model
    ids = torch.randint(0, 500, (8, memory.LENGTH))
    taken = memory.peak(lambda: model(input_ids=ids, labels=ids).loss.backward())
    assert taken <= ids.numel() * plan.token + plan.training
    assert ids.numel() * plan.token <= 1.33 * taken


def test_a_plan_takes_any_number_that_divides_the_batch():
    plan = memory.Plan("some", "lora", "cpu", weights=0, training=0, token=1, token_checkpointed=1, memory=550)
    assert plan.fit(12, 100) == (4, False)


def test_a_plan_gives_up_speed_before_it_gives_up():
    plan = memory.Plan("some", "lora", "cpu", weights=100, training=20, token=2, token_checkpointed=1, memory=10_000)
    assert plan.fit(8, 100) == (8, False)
    assert plan._replace(memory=120 + 850).fit(8, 100) == (4, False)
    assert plan._replace(memory=120 + 200).fit(8, 100) == (1, False)
    assert plan._replace(memory=120 + 199).fit(8, 100) == (1, True)
    with pytest.raises(ValueError, match=r"training some \(lora\) needs .* choose a smaller model, or adapter='qlora'"):
        plan._replace(memory=120 + 99).fit(8, 100)


@pytest.mark.parametrize(("at_once", "batch", "next_"), [(8, 8, 4), (12, 12, 6), (6, 12, 3), (7, 7, 1), (1, 8, 0)])
def test_fewer_at_once_still_divide_the_batch(at_once, batch, next_):
    assert memory.fewer(at_once, batch) == next_
