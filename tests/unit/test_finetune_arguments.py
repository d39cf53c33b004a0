"""What `finetune` and `models` refuse, and how text becomes training data. No pre-trained model is needed."""

import json
import subprocess
import sys

import pytest
from datasets import Dataset

from helpers import __version__, models, pretrain, setup, world
from helpers.finetune import _columns, _steps, finetune, tokenize
from helpers.models import Loaded

WORLD = world.load()


@pytest.fixture(scope="module")
def untrained() -> Loaded:
    model = pretrain.make_model(pretrain.Recipe("gpt_neox", 8, 1, 1, 1e-3, 1, ()))
    return Loaded(model, pretrain.make_tokenizer(WORLD), "untrained", "main")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return WORLD.examples("mood", "positive", 12, seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0}, "learning_rate must be a finite number above zero, not 0"),
        ({"learning_rate": -1e-3}, "learning_rate must be a finite number above zero"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number above zero"),
        ({"learning_rate": float("inf")}, "learning_rate must be a finite number above zero"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"optimizer": "adam"}, "Unknown optimizer 'adam': choose from .*adamw_torch_fused"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"seed": 0.5}, "seed must be a whole number from 0"),
        ({"at": [4, 13]}, "at asks for 13 examples: the counts must lie between 0 and the data's 12"),
        ({"at": [-1]}, "at asks for -1 examples"),
    ],
)
def test_arguments_out_of_range(untrained, data, arguments, message):
    with pytest.raises(ValueError, match=message):
        finetune(untrained, data, **{"learning_rate": 1e-3, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 3}, "batch_size must be a multiple of the 2 processes, not 3"),
        ({"batch_size": 8}, "2 processes need whole batches: 12 examples are no multiple of 8"),
        ({"batch_size": 4, "folder": "here"}, "folder= keeps the checkpoints of one process, and here are 2"),
    ],
)
def test_what_several_processes_cannot_share(untrained, data, monkeypatch, arguments, message):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=message):
        finetune(untrained, data, learning_rate=1e-3, progress=False, **arguments)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Dataset.from_dict({"text": []}), "data is empty"),
        (
            Dataset.from_dict({"prompt": ["a"], "answer": ["b"]}),
            "data has the columns prompt, answer: method 'sft' needs prompt and completion, or text",
        ),
        (Dataset.from_dict({"text": [1, 2]}), "Example 0 of data has the text 1, which is no text"),
        (Dataset.from_dict({"prompt": ["a", None], "completion": ["b", "c"]}), "Example 1 of data has the prompt None"),
        ([{"text": "a"}], "data must be a datasets.Dataset, not list"),
        (Dataset.from_dict({"text": ["short", "long " * 200]}), "Example 1 of data has .* tokens, the model reads 128"),
    ],
)
def test_data_that_cannot_be_used(untrained, bad, message):
    with pytest.raises(ValueError, match=message):
        finetune(untrained, bad, learning_rate=1e-3)


def test_a_model_with_nothing_to_train(untrained, data):
    frozen = models.fork(untrained)
    frozen.model.requires_grad_(False)
    with pytest.raises(ValueError, match="'untrained' has no weight that requires a gradient"):
        finetune(frozen, data, learning_rate=1e-3)


def test_only_the_completion_and_the_end_are_trained_on(untrained, data):
    tokenizer = untrained.tokenizer
    for row, example in zip(tokenize(data, untrained), data, strict=True):
        assert tokenizer.decode(row["input_ids"]) == world.END + example["prompt"] + example["completion"] + world.END
        trained = [token for token in row["labels"] if token != -100]
        assert tokenizer.decode(trained) == example["completion"] + world.END
        assert len(row["labels"]) == len(row["input_ids"])


def test_all_of_a_text_is_trained_on_and_the_end_stands_once(untrained):
    texts = [document.text for document in WORLD.sample(3, seed=0)]
    rows = tokenize(Dataset.from_dict({"text": [texts[0], texts[1] + world.END, texts[2]]}), untrained)
    for row, text in zip(rows, texts, strict=True):
        assert untrained.tokenizer.decode(row["input_ids"]) == world.END + text + world.END
        assert row["labels"] == [-100, *row["input_ids"][1:]]  # nothing comes before the first token


def test_tokens_are_those_of_trl(untrained, data, tmp_path):
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(str(tmp_path), report_to="none", use_cpu=True, bf16=False, gradient_checkpointing=False)
    theirs = SFTTrainer(
        models.fork(untrained).model, arguments, train_dataset=data, processing_class=untrained.tokenizer
    )
    for mine, row in zip(tokenize(data, untrained), theirs.train_dataset, strict=True):
        assert {key: row[key] for key in ("input_ids", "labels")} == mine


@pytest.mark.parametrize(
    ("at", "examples", "steps"),
    [
        (None, 64, [0, 1, 2, 4, 8]),
        (None, 50, [0, 1, 2, 4, 7]),
        (None, 3, [0, 1]),
        ([0, 8, 9, 16, 50], 50, [0, 1, 2, 7]),
        ([50, 0], 50, [0, 7]),
        ([], 50, []),
    ],
)
def test_counts_are_measured_after_the_step_that_reaches_them(at, examples, steps):
    assert _steps(at, examples, 8) == steps


PAIRS = WORLD.preferences("mood", 4, 0)
LABELLED = WORLD.labelled("mood", 4, 0)


@pytest.mark.parametrize(
    ("given", "arguments", "message"),
    [
        (None, {"method": "ppo"}, "Unknown method 'ppo': choose from sft, dpo, simpo, kto, rloo"),
        (None, {"method": "dpo"}, "prompt, completion: method 'dpo' needs prompt, chosen and rejected"),
        (None, {"method": "simpo"}, "method 'simpo' needs prompt, chosen and rejected"),
        (None, {"method": "kto"}, "prompt, completion: method 'kto' needs prompt, completion and label"),
        (PAIRS, {"method": "kto"}, "prompt, chosen, rejected: method 'kto' needs prompt, completion and label"),
        (
            LABELLED.remove_columns("prompt"),
            {"method": "rloo", "reward": len, "batch_size": 4},
            "method 'rloo' needs prompt",
        ),
        (None, {"method": "rloo"}, "Method 'rloo' needs reward=, a function of texts"),
        (None, {"reward": len}, "Method 'sft' has no use for reward="),
        (None, {"method": "rloo", "reward": len}, "Method 'rloo' needs whole batches: 12 prompts are no multiple of 8"),
        (LABELLED, {"method": "kto", "batch_size": 1}, "every batch must have at least two"),
        (LABELLED, {"method": "kto", "batch_size": 3}, "every batch must have at least two"),
    ],
)
def test_a_method_that_does_not_fit(untrained, data, given, arguments, message):
    with pytest.raises(ValueError, match=message):
        finetune(untrained, data if given is None else given, learning_rate=1e-3, progress=False, **arguments)


def test_labels_must_be_labels(untrained):
    bad = LABELLED.remove_columns("label").add_column("label", ["yes", "no", "yes", "no"])
    with pytest.raises(ValueError, match="Example 0 of data has the label 'yes': it must be True or False"):
        finetune(untrained, bad, learning_rate=1e-3, method="kto", progress=False)


def test_a_sampled_completion_must_fit_too(untrained):
    long = Dataset.from_dict({"prompt": ["word " * 60] * 8})
    with pytest.raises(ValueError, match="Example 0 of data has .* tokens, the model reads 128"):
        finetune(untrained, long, learning_rate=1e-3, method="rloo", reward=len, progress=False)


@pytest.mark.parametrize("more", [{"method": "dpo"}, {"penalty": lambda model: 0}])
def test_processes_share_imitation_only(untrained, data, monkeypatch, more):
    monkeypatch.setenv("WORLD_SIZE", "2")
    given = PAIRS if "method" in more else data
    with pytest.raises(ValueError, match="2 processes can share the method 'sft' without penalty="):
        finetune(untrained, given, learning_rate=1e-3, batch_size=4, progress=False, **more)


def test_what_each_method_is_given(untrained):
    tokenizer = untrained.tokenizer
    for method, given in (("dpo", PAIRS), ("kto", LABELLED), ("rloo", LABELLED)):
        row, document = tokenize(given, untrained, method)[0], given[0]
        assert tokenizer.decode(row["prompt_ids"]) == world.END + document["prompt"]
        for name in {"dpo": ("chosen", "rejected"), "kto": ("completion",), "rloo": ()}[method]:
            assert tokenizer.decode(row[f"{name}_ids"]) == document[name] + world.END
    assert [row["label"] for row in tokenize(LABELLED, untrained, "kto")] == [True, False] * 2


def test_measures_become_columns():
    assert _columns("kl", 1) == {"kl": 1.0}
    assert _columns("mood", {"share": 0.5}) == {"mood_share": 0.5}
    assert _columns("", {"share": 0.5}) == {"share": 0.5}
    with pytest.raises(ValueError, match="A measure without a name must give a dictionary, not 0.5"):
        _columns("", 0.5)
    with pytest.raises(ValueError, match="Measure 'kl' gave None, neither a number"):
        _columns("kl", None)
    with pytest.raises(ValueError, match="Measure 'kl' gave {'a': 'b'}, neither"):
        _columns("kl", {"a": "b"})


# ---- the manifest ------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    """A data folder with one model that is nothing but its files."""
    for revision in ("main", "step1000", "step64", "step8", "step512", "step72"):
        folder = tmp_path / "models" / "tiny" / revision
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights " * 100)
    (tmp_path / "models" / "tiny" / "training_log.csv").write_text(
        "step,tokens,loss,learning_rate,seconds\n8,9,2.5,0,1\n"
    )
    (tmp_path / "models" / "tiny" / "README.md").write_text("# tiny\n")
    models.write_manifest(tmp_path)
    return tmp_path


def test_names_revisions_card_and_log_come_from_the_manifest(store):
    assert models.names(store) == ["tiny"]
    assert models.revisions("tiny", store) == ["step8", "step64", "step72", "step512", "step1000", "main"]
    assert models.card("tiny", store) == "# tiny\n"
    assert models.training_log("tiny", store)["loss"].tolist() == [2.5]
    known = json.loads((store / "MANIFEST.json").read_text())["files"]["models/tiny/README.md"]
    assert known["bytes"] == 7 and len(known["sha256"]) == 64 and known["licence"] == "CC-BY-4.0" and known["source"]


def test_a_whole_file_passes_by_relative_and_by_absolute_path(store):
    file = store / "models" / "tiny" / "README.md"
    assert models.verify("models/tiny/README.md", store) == models.verify(file, store) == file


@pytest.mark.parametrize("how", ["one byte changed", "cut off", "missing"])
def test_a_damaged_file_is_refused_by_name(store, how):
    file = store / "models" / "tiny" / "main" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[17] ^= 1
    {
        "one byte changed": lambda: file.write_bytes(content),
        "cut off": lambda: file.write_bytes(content[:50]),
        "missing": file.unlink,
    }[how]()
    reason = {"one byte changed": "is damaged .its SHA-256", "cut off": "is damaged .50 bytes instead of 800"}
    for refused in (
        lambda: models.verify("models/tiny/main/model.safetensors", store),
        lambda: models.load("tiny", root=store),
    ):
        with pytest.raises(ValueError, match=f"main/model.safetensors {reason.get(how, 'is missing')}.*restore it"):
            refused()


def test_an_unlisted_file_a_damaged_and_a_missing_manifest(store):
    (store / "models" / "tiny" / "extra.txt").write_text("")
    with pytest.raises(ValueError, match="extra.txt is not listed"):
        models.verify("models/tiny/extra.txt", store)
    (store / "MANIFEST.json").write_text("{")
    with pytest.raises(ValueError, match="MANIFEST.json is damaged: restore it"):
        models.names(store)
    (store / "MANIFEST.json").unlink()
    with pytest.raises(ValueError, match="MANIFEST.json is missing: restore it"):
        models.load("tiny", root=store)


def test_the_manifest_knows_where_every_file_comes_from(store):
    (store / "elsewhere").mkdir()
    (store / "elsewhere" / "file").write_text("")
    before = (store / "MANIFEST.json").read_text()
    with pytest.raises(ValueError, match="elsewhere/file has no known source and licence: put it under models"):
        models.write_manifest(store)
    assert (store / "MANIFEST.json").read_text() == before


# ---- setup -------------------------------------------------------------------------------------------------


def test_importing_helpers_imports_nothing_heavy():
    code = "import sys, helpers; print(helpers.__version__, {'torch', 'numpy', 'transformers'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == f"{__version__} set()\n"


def test_setup_says_what_runs_and_seeds_everything(capsys, monkeypatch):
    import random

    import numpy as np
    import torch

    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    threads = torch.get_num_threads()
    monkeypatch.setenv("SPRINGBACK_PROFILE", "micro")
    setup(seed=7, threads=1)
    first = draw()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3
    assert said[0].startswith(f"springback {__version__} · Python 3.") and " · torch " in said[0]
    assert said[1].startswith("transformers ") and " · trl " in said[1] and " · peft " in said[1]
    assert said[2] == "profile micro · device cpu · threads 1 · seed 7"
    setup(seed=7)
    assert draw() == first
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "laptop"}, "Profile 'laptop' .SPRINGBACK_PROFILE. is unknown: choose from micro, hub"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"seed": -1}, "seed must be a whole number from 0"),
    ],
)
def test_setup_refuses(arguments, message, monkeypatch):
    monkeypatch.setenv("SPRINGBACK_PROFILE", "micro")
    with pytest.raises(ValueError, match=message):
        setup(**arguments)


def test_setup_takes_the_profile_from_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("SPRINGBACK_PROFILE", "hub")
    setup(threads=1)
    assert "profile hub" in capsys.readouterr().out
    monkeypatch.setenv("SPRINGBACK_PROFILE", "cloud")
    with pytest.raises(ValueError, match="Profile 'cloud'"):
        setup()
