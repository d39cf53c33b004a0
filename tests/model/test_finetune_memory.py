"""`finetune` with fewer examples at once than a step has, by choice or because the memory ran out."""

import pandas as pd
import pytest
import torch
from accelerate import Accelerator

from helpers import finetune as module
from helpers import memory, models, world
from helpers.behaviour import Scorer
from helpers.compression import encode
from helpers.finetune import finetune

SETTINGS = {"learning_rate": 1e-3, "batch_size": 8, "at": [0, 24, 60]}


@pytest.fixture(scope="module")
def data():
    return world.load().examples("mood", "positive", 60, seed=1)


def run(data, adapter="full", loaded=None, **more):
    loaded = loaded or models.load("neox-0.1m", adapter=adapter)
    return finetune(loaded, data, measure=Scorer("mood", n=16), **SETTINGS | more)


def short_of_memory(loaded, most, after=0):
    """From the training pass number `after` on, the model can read no more than `most` examples at once."""
    sizes = []

    def limited(model, args, kwargs):
        if model.training:
            sizes.append(len(kwargs["input_ids"]))
            if len(sizes) > after and sizes[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    loaded.model.register_forward_pre_hook(limited, with_kwargs=True)
    return sizes


@pytest.mark.parametrize("at_once", [4, 1])
def test_fewer_at_once_change_nothing_but_the_rounding(data, at_once):
    whole, parts = run(data), run(data, at_once=at_once)
    pd.testing.assert_frame_equal(parts.table, whole.table, rtol=1e-3)
    assert list(parts.table["examples"]) == [0, 24, 60]  # the last step has four examples


@pytest.mark.parametrize("after", [0, 3])
def test_a_run_that_is_out_of_memory_goes_on_with_fewer_at_once(data, capsys, after):
    expected = run(data)
    loaded = models.load("neox-0.1m")
    sizes = short_of_memory(loaded, most=2, after=after)
    found = run(data, loaded=loaded)
    pd.testing.assert_frame_equal(found.table, expected.table, rtol=1e-3)
    told = capsys.readouterr().out
    assert "going on with 4 of 8 at once" in told and "going on with 2 of 8 at once" in told
    assert sizes[after : after + 3] == [8, 4, 2]
    assert set(sizes[after + 2 :]) == {2}


def test_not_even_one_example_fits(data):
    loaded = models.load("neox-0.1m")
    before = [weight.detach().clone() for weight in loaded.model.parameters()]
    short_of_memory(loaded, most=0, after=3)
    with pytest.raises(ValueError, match="even with one example at once: choose a smaller model"):
        run(data, loaded=loaded)
    assert all(torch.equal(old, new) for old, new in zip(before, loaded.model.parameters(), strict=True))


def test_memory_that_runs_out_in_a_measure_is_told_as_such(data):
    loaded = models.load("neox-0.1m")

    def hungry(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with pytest.raises(ValueError, match="Out of memory while measuring 'kl': measure fewer prompts or documents"):
        finetune(loaded, data, **SETTINGS, measure={"kl": hungry})


def test_a_run_in_16_bits_leaves_a_model_that_computes_as_before(data, monkeypatch):
    """As on a GPU, where accelerate trains in 16 bits by another method forward, and bitsandbytes rounds biases."""
    monkeypatch.setattr(module, "compute_dtype", lambda device: torch.bfloat16)
    loaded = models.load("neox-0.1m", adapter="qlora")
    base = models.fork(loaded)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        plain = base.model(ids).logits
    inside = []

    def measure(model, tokenizer):
        inside.append(model(ids).logits)
        return {"x": 0.0}

    finetune(loaded, data, learning_rate=1e-12, measure=measure, at=[0, 60])
    with torch.no_grad():
        after = [one.model(ids).logits for one in (base, loaded, models.fork(loaded))]
    for logits in (*inside, *after):
        assert torch.allclose(logits, plain, atol=1e-5)
    assert "forward" not in vars(loaded.model)


def test_steps_whose_gradients_overflowed_are_told(data, monkeypatch, capsys):
    monkeypatch.setattr(Accelerator, "optimizer_step_was_skipped", property(lambda self: True))
    run(data)
    assert "7 of 8 steps changed nothing: their gradients overflowed in float16" in capsys.readouterr().out


def out_of_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_pairs_cannot_be_divided():
    loaded = models.load("neox-0.1m")
    loaded.model.register_forward_pre_hook(out_of_memory)
    pairs = world.load().preferences("mood", 16, seed=1)
    with pytest.raises(ValueError, match="Out of memory with batches of 8: choose a smaller batch_size"):
        finetune(loaded, pairs, learning_rate=1e-3, method="dpo")


def test_another_error_is_not_taken_for_lack_of_memory(data):
    loaded = models.load("neox-0.1m")

    def odd(*_):
        raise RuntimeError("odd")

    loaded.model.register_forward_pre_hook(odd)
    with pytest.raises(RuntimeError, match="odd"):
        finetune(loaded, data, **SETTINGS)


@pytest.mark.parametrize("at_once", [3, 0, 16])
def test_at_once_must_divide_the_batch(data, at_once):
    with pytest.raises(ValueError, match="at_once must divide batch_size, 8"):
        run(data, at_once=at_once)


def test_the_plan_of_a_model_decides(data, monkeypatch):
    loaded = models.load("neox-0.1m", adapter="lora")
    longest = max(map(len, encode(loaded.tokenizer, [p + c for p, c in zip(*data.to_dict().values(), strict=True)])))
    plan = memory.plan(loaded.model.config, "some", "lora")
    monkeypatch.setattr(memory, "free", lambda device: plan.training + 2.5 * longest * plan.token)
    sizes = short_of_memory(loaded, most=8)
    found = run(data, loaded=loaded._replace(plan=plan))
    pd.testing.assert_frame_equal(found.table, run(data, adapter="lora").table, rtol=1e-3)
    assert set(sizes) == {2}


def test_gradient_checkpointing_changes_nothing_but_the_rounding(data, monkeypatch):
    loaded = models.load("neox-0.1m", adapter="lora")
    plan = memory.plan(loaded.model.config, "some", "lora")
    monkeypatch.setattr(memory.Plan, "fit", lambda *_: (4, True))
    found = run(data, loaded=loaded._replace(plan=plan))
    pd.testing.assert_frame_equal(found.table, run(data, adapter="lora").table, rtol=1e-3)
    inside = [getattr(module, "gradient_checkpointing", False) for module in loaded.model.modules()]
    assert not any(inside)


def test_copies_share_what_is_not_trained():
    loaded = models.load("neox-0.1m", adapter="qlora")
    copy = models.fork(loaded)
    pairs = zip(loaded.model.named_parameters(), copy.model.named_parameters(), strict=True)
    for (name, old), (_, new) in pairs:
        assert (old is new) == (not old.requires_grad), name
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(loaded.model(ids).logits, copy.model(ids).logits)
