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
