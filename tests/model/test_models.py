"""The micro models as they stand in data/: whole, loadable in every way, copied without strings attached."""

import json
import math
import os
import shutil
import subprocess
import sys

import pytest
import torch

from helpers import behaviour, compression, models, pretrain, world
from helpers.finetune import finetune

SMALL = "neox-0.1m"


@pytest.fixture(scope="module", params=models.ADAPTERS)
def loaded(request):
    return models.load(SMALL, adapter=request.param, rank=4)


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=torch.tensor([[0, 260, 300, 400, 500]])).logits


def weights(model, trainable: bool) -> dict[str, torch.Tensor]:
    chosen = {name: p for name, p in model.named_parameters() if p.requires_grad or not trainable}
    return {name: p.detach().clone() for name, p in chosen.items()}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ---- data/ -------------------------------------------------------------------------------------------------


def test_data_is_what_the_manifest_says():
    root = models.data_root()
    listed = json.loads((root / models.MANIFEST).read_text())["files"]
    there = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()} - {models.MANIFEST}
    assert there == set(listed)
    for file, known in listed.items():
        assert models.verify(file).stat().st_size == known["bytes"]
        assert known["source"] and known["licence"]
    assert sum(known["bytes"] for known in listed.values()) < 60e6


def test_every_model_has_its_checkpoints_card_and_log():
    assert set(models.names(controls=True)) == set(pretrain.RECIPES)
    assert set(models.names()) == {name for name, recipe in pretrain.RECIPES.items() if recipe.good_share is None}
    for name in models.names(controls=True):
        revisions = models.revisions(name)
        assert revisions[-1] == "main"
        assert revisions[:-1] == [f"step{step}" for step in pretrain.RECIPES[name].checkpoints]
        assert len(revisions) >= {"neox-4m": 3, "neox-0.4m-filtered": 1, "neox-0.4m-tilted": 1}.get(name, 6)
        assert name in models.card(name)
        log, evaluation = models.training_log(name), models.evaluation(name)
        assert list(log) == ["step", "tokens", "loss", "learning_rate", "seconds"]
        assert log["loss"].iloc[-1] < log["loss"].iloc[0] and log["tokens"].is_monotonic_increasing
        assert evaluation["revision"].tolist() == revisions


@pytest.mark.parametrize("name", list(pretrain.RECIPES))
def test_the_tokenizer_keeps_words_whole(name):
    loaded = models.load(name)
    for document in world.load().sample(50, seed=6):
        ids = loaded.tokenizer(document.text)["input_ids"]
        assert len(ids) == len(world.tokenize(document.text)) + 1
        assert loaded.tokenizer.decode(ids[1:]) == document.text


@pytest.mark.parametrize("name", list(pretrain.RECIPES))
def test_the_models_know_their_world(name):
    """The cards' numbers are of these weights, and the one-million-parameter model keeps what the book promises."""
    source, loaded, card = world.load(), models.load(name), models.evaluation(name).iloc[-1]
    mixture = pretrain.RECIPES[name].mixture(source)
    texts = [document.text for document in source.sample(600, seed=8, mixture=mixture, split="held_out")]
    exact = -sum(source.log_prob(text, mixture) for text in texts) / math.log(2)
    excess = 100 * (compression.code_length(loaded.model, loaded.tokenizer, texts).sum() / exact - 1)
    assert excess == pytest.approx(card["excess_percent"], abs=0.3)
    written = behaviour.grammatical(loaded.model, loaded.tokenizer, n=200, seed=1)
    assert written == pytest.approx(card["grammatical"], abs=0.08)
    if name == "neox-1m":
        assert card["excess_percent"] < 3 and card["grammatical"] >= 0.95


def test_the_filtered_model_never_saw_a_bad_pole():
    last = models.evaluation("neox-0.4m-filtered").iloc[-1]
    assert min(last[name] for name in world.load().behaviours) > 0.95
    weights = dict(pretrain.RECIPES["neox-0.4m-filtered"].mixture(world.load()).shares)
    assert not [part for part in weights for b in world.load().behaviours.values() if part == (b.name, b.bad)]


def test_a_changed_weight_is_refused(tmp_path):
    shutil.copytree(models.data_root() / "models" / SMALL, tmp_path / "models" / SMALL)
    models.write_manifest(tmp_path)
    whole = models.load(SMALL, root=tmp_path)
    assert torch.equal(logits(whole.model), logits(models.load(SMALL).model))
    file = tmp_path / "models" / SMALL / "main" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file} is damaged"):
        models.load(SMALL, root=tmp_path)
    models.load(SMALL, "step64", root=tmp_path)  # the other revisions are whole


# ---- loading -----------------------------------------------------------------------------------------------


def test_a_micro_model_is_what_transformers_loads_without_us():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = models.data_root() / "models" / SMALL / "main"
    ours = models.load(SMALL)
    theirs = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    assert torch.equal(logits(ours.model), logits(theirs.eval()))
    text = "Review: Mira's café\n" + world.END
    assert ours.tokenizer(text) == AutoTokenizer.from_pretrained(path)(text)
    assert (ours.name, ours.revision) == (SMALL, "main")
    assert models.parameters(ours.model) == models.parameters(ours.model, trainable=True) == 103_712


def test_models_come_in_float32_and_in_evaluation_mode(loaded):
    kinds = {p.dtype for p in loaded.model.parameters()}
    quantised = "BitsAndBytes" in str(getattr(loaded.model.config, "quantization_config", ""))
    assert kinds == ({torch.float32, torch.uint8} if quantised else {torch.float32})
    assert not loaded.model.training


def test_revisions_differ():
    assert not torch.equal(logits(models.load(SMALL, "step64").model), logits(models.load(SMALL).model))


def test_a_fresh_adapter_changes_nothing_and_is_all_that_trains():
    base, adapted = models.load(SMALL), models.load(SMALL, adapter="lora", rank=4)
    assert torch.equal(logits(base.model), logits(adapted.model))
    trained = weights(adapted.model, trainable=True)
    assert trained and all("lora_" in name for name in trained)
    assert models.parameters(adapted.model, trainable=True) == sum(p.numel() for p in trained.values())
    layers = {name.split(".layers.")[1].split(".lora_")[0] for name in trained}
    assert {layer.split(".", 1)[1] for layer in layers} == {
        "attention.query_key_value",
        "attention.dense",
        "mlp.dense_h_to_4h",
        "mlp.dense_4h_to_h",
    }


def test_four_bits_stay_near_the_full_model():
    full, quantised = logits(models.load(SMALL).model), logits(models.load(SMALL, adapter="qlora").model)
    error = (full - quantised).std() / full.std()
    assert 0.001 < error < 0.3


@pytest.mark.parametrize("adapter", ["lora", "qlora"])
def test_the_seed_decides_the_adapter_and_nothing_else(adapter):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, two, other = (models.load(SMALL, adapter=adapter, seed=seed).model for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert same(weights(one, trainable=True), weights(two, trainable=True))
    assert not same(weights(one, trainable=True), weights(other, trainable=True))


def test_alpha_scales_the_adapter():
    scaling = [models.load(SMALL, adapter="lora", rank=4, alpha=a).model.peft_config["default"] for a in (None, 4)]
    assert [config.lora_alpha / config.r for config in scaling] == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "neox-2m"}, "Unknown model 'neox-2m': choose from neox-0.1m, "),
        ({"revision": "step65"}, "Unknown revision of neox-0.1m 'step65': choose from step64, .*, main"),
        ({"adapter": "dora"}, "Unknown adapter 'dora': choose from full, lora, qlora"),
        ({"adapter": "lora", "rank": 0}, "rank must be a whole number from 1 to the model's width, 32, not 0"),
        ({"adapter": "lora", "rank": 33}, "rank must be a whole number from 1 to the model's width, 32, not 33"),
        ({"adapter": "qlora", "rank": 1.5}, "rank must be a whole number"),
    ],
)
def test_what_load_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.load(**{"name": SMALL, **arguments})
    with pytest.raises(ValueError, match="Unknown model 'x': choose from"):
        models.training_log("x")


def test_a_folder_loads_but_only_from_safetensors(tmp_path):
    folder = tmp_path / "mine"
    models.load(SMALL).model.save_pretrained(folder)
    models.load(SMALL).tokenizer.save_pretrained(folder)
    assert torch.equal(logits(models.load(str(folder)).model), logits(models.load(SMALL).model))
    (folder / "model.safetensors").unlink()
    torch.save(models.load(SMALL).model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="could not be loaded"):
        models.load(str(folder))


def test_a_model_of_the_hub_loads_from_its_cache_and_is_missed_in_one_sentence(tmp_path):
    for revision in ("main", "step64"):
        commit = revision[0] * 40
        repository = tmp_path / "hub" / "models--springback--small"
        (repository / "refs").mkdir(parents=True, exist_ok=True)
        (repository / "refs" / revision).write_text(commit)
        shutil.copytree(models.data_root() / "models" / SMALL / revision, repository / "snapshots" / commit)
    code = (
        "from helpers import models\n"
        "for revision in ('main', 'step64'):\n"
        "    model = models.load('springback/small', revision).model\n"
        "    print(next(model.parameters()).dtype, float(model.get_output_embeddings().weight.sum().detach()))\n"
        "try:\n"
        "    models.load('springback/small', 'step65')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    plans = [line for line in run.stdout.splitlines() if line.startswith("springback/small (full): needs ")]
    said = [line for line in run.stdout.splitlines() if line not in plans]
    assert plans  # told before the weights are fetched
    for line, revision in zip(said, ("main", "step64"), strict=False):
        dtype, total = line.split()
        assert dtype == "torch.float32"
        weight = models.load(SMALL, revision).model.get_output_embeddings().weight.detach()
        assert float(total) == pytest.approx(float(weight.sum()), abs=1e-4)
    assert len(said) == 3 and said[2].startswith("Model 'springback/small', revision 'step65', could not be loaded: ")


# ---- copies ------------------------------------------------------------------------------------------------


def test_a_fork_is_equal_and_independent(loaded):
    copy = models.fork(loaded)
    before = logits(loaded.model)
    assert torch.equal(logits(copy.model), before)
    with torch.no_grad():
        for p in copy.model.parameters():
            if p.requires_grad:
                p.add_(0.05)
    assert torch.equal(logits(loaded.model), before)
    assert not torch.equal(logits(copy.model), before)


def test_a_fork_of_a_fine_tuned_model_is_independent_too(loaded):
    data = world.load().examples("mood", "positive", 16, seed=0)
    trained = models.fork(loaded)
    finetune(trained, data, learning_rate=1e-3)
    copy = models.fork(trained)
    before = logits(trained.model)
    assert not torch.equal(before, logits(loaded.model))
    finetune(trained, data, learning_rate=1e-2)
    assert torch.equal(logits(copy.model), before)
    assert not torch.equal(logits(trained.model), before)


# ---- 4 bits: evaluate, then train --------------------------------------------------------------------------


def test_gradients_survive_an_evaluation():
    """bitsandbytes 0.49 and 0.50 lose them on some CPUs: the reason for the upper bound in pyproject.toml."""

    def gradient(evaluate: bool) -> torch.Tensor:
        model = models.load(SMALL, adapter="qlora").model.train()
        optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-3)
        ids = torch.arange(8 * 20).reshape(8, 20) % 1000
        for step in range(10):
            if evaluate and step == 5:
                model.eval()
                with torch.no_grad():
                    model(input_ids=ids)
                model.train()
            optimizer.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
        first = model.get_base_model().gpt_neox.layers[0].attention.query_key_value
        return first.lora_B["default"].weight.grad

    plain = gradient(evaluate=False)
    assert plain.abs().max() > 0
    assert torch.equal(gradient(evaluate=True), plain)
