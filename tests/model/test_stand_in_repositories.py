"""The stand-in's repositories have what the real ones have, and the real clients load them."""

import json
import subprocess
import sys

import pytest
import torch
from stand_in import Hub, client_environment
from stand_in_repositories import CONFIGURATIONS, language_model, sentiment_classifier, serve_all
from transformers import AutoConfig, AutoModelForCausalLM

# Parameters, and of the tokenizer: class, length, end and padding.
LANGUAGE_MODELS = {
    "EleutherAI/pythia-14m": (14_067_712, "GPTNeoXTokenizer", 50277, 0, "<|padding|>"),
    "EleutherAI/pythia-70m": (70_426_624, "GPTNeoXTokenizer", 50277, 0, "<|padding|>"),
    "EleutherAI/pythia-160m": (162_322_944, "GPTNeoXTokenizer", 50277, 0, "<|padding|>"),
    "EleutherAI/pythia-410m": (405_334_016, "GPTNeoXTokenizer", 50277, 0, "<|padding|>"),
    "Qwen/Qwen2.5-0.5B": (494_032_768, "Qwen2Tokenizer", 151646, 151643, "<|endoftext|>"),
    "HuggingFaceTB/SmolLM2-135M": (134_515_008, "GPT2Tokenizer", 49152, 0, None),
}
DTYPES = {"gpt_neox": "torch.float16", "qwen2": "torch.bfloat16", "llama": "torch.bfloat16"}
# Data set, configuration: columns, splits.
DATA_SETS = {
    ("stanfordnlp/imdb", None): ("text label", "train test unsupervised"),
    ("PKU-Alignment/BeaverTails", None): (
        "prompt response category is_safe",
        "330k_train 330k_test 30k_train 30k_test",
    ),
    ("truthfulqa/truthful_qa", "generation"): (
        "type category question best_answer correct_answers incorrect_answers source",
        "validation",
    ),
    ("truthfulqa/truthful_qa", "multiple_choice"): ("question mc1_targets mc2_targets", "validation"),
    ("tatsu-lab/alpaca", None): ("instruction input output text", "train"),
    ("NeelNanda/pile-10k", None): ("text meta", "train"),
    ("roneneldan/TinyStories", None): ("text", "train validation"),
}
TEXT = "Review by Mira: it's 12 brass bowls,\n  naïve … and <|endoftext|>"

SCRIPT = """
import json
import sys

import torch
from datasets import load_dataset
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

asked = json.load(sys.stdin)
found = {"models": {}, "revisions": [], "data sets": [], "classifiers": {}}
for name in asked["models"]:
    config, tokenizer = AutoConfig.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    model = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True)
    ids = tokenizer(asked["text"], return_tensors="pt").input_ids
    found["models"][name] = {
        "config": config.vocab_size,
        "dtype": str(model.dtype),
        "finite": bool(model(ids).logits.isfinite().all()),
        "tokenizer": [type(tokenizer).__name__, len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token],
        "text": tokenizer.decode(ids[0]),
        "last": int(ids[0, -1]),
    }
for revision in ("main", "step1000"):
    model = AutoModelForCausalLM.from_pretrained("EleutherAI/pythia-14m", revision=revision)
    found["revisions"].append(model.get_input_embeddings().weight.double().sum().item())
for name, config in asked["data sets"]:
    data = load_dataset(name, config)
    found["data sets"].append({
        "columns": list(next(iter(data.values())).features),
        "rows": {split: len(rows) for split, rows in data.items()},
        "first": next(iter(data.values()))[0],
    })
try:
    load_dataset("truthfulqa/truthful_qa")
except ValueError as error:
    found["no configuration"] = str(error)


def right(name, texts, labels):
    tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModelForSequenceClassification.from_pretrained(name)
    with torch.no_grad():
        said = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.argmax(-1).tolist()
    names = [model.config.id2label[i] for i in said]
    found["classifiers"][name] = sum(a == b for a, b in zip(names, labels, strict=True)) / len(labels)


test = load_dataset("stanfordnlp/imdb", split="test")
found["labels"] = test.features["label"].names
right(
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    test["text"][:],
    ["POSITIVE" if label else "NEGATIVE" for label in test["label"]],
)
test = load_dataset("PKU-Alignment/BeaverTails", split="30k_test")
found["harms"] = [[sum(row["category"].values()), row["is_safe"]] for row in test]
right(
    "protectai/distilroberta-base-rejection-v1",
    test["response"][:],
    ["REJECTION" if safe else "NORMAL" for safe in test["is_safe"]],
)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory, repositories):
    """What the clients found in a process of their own: they read the hub's address when they are imported."""
    hub, folder = Hub(), tmp_path_factory.mktemp("hub")
    serve_all(hub, repositories)
    hub.add("EleutherAI/pythia-14m", language_model(folder, "EleutherAI/pythia-14m", "small", seed=1), "step1000")
    asked = {"models": list(LANGUAGE_MODELS), "data sets": list(DATA_SETS), "text": TEXT}
    with hub.running() as address:
        environment = client_environment(address, folder / "home")
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], input=json.dumps(asked), capture_output=True, text=True, env=environment
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_the_configurations_have_the_real_numbers_of_parameters(name):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**CONFIGURATIONS[name]))
    assert model.num_parameters() == LANGUAGE_MODELS[name][0]


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_language_models_load(found, name):
    loaded, real = found["models"][name], CONFIGURATIONS[name]
    assert loaded["config"] == real["vocab_size"]
    assert loaded["dtype"] == DTYPES[real["model_type"]]
    assert loaded["finite"]


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_tokenizers_are_of_the_real_kind_and_round_trip(found, name):
    loaded = found["models"][name]
    assert loaded["tokenizer"] == list(LANGUAGE_MODELS[name][1:])
    assert loaded["text"] == TEXT
    assert loaded["last"] == CONFIGURATIONS[name]["eos_token_id"]


def test_revisions_differ(found):
    main, step = found["revisions"]
    assert main != step


def test_weights_written_at_full_width_are_of_the_real_shape(tmp_path):
    repository = language_model(tmp_path, "EleutherAI/pythia-14m")
    assert AutoModelForCausalLM.from_pretrained(repository).num_parameters() == 14_067_712


def test_data_sets_have_the_real_columns_and_splits(found):
    for loaded, (columns, splits) in zip(found["data sets"], DATA_SETS.values(), strict=True):
        assert loaded["columns"] == columns.split()
        assert list(loaded["rows"]) == splits.split()
        assert min(loaded["rows"].values()) >= 100


def test_truthful_qa_asks_for_a_configuration(found):
    assert "generation" in found["no configuration"]


def test_negative_reviews_come_first(found):
    assert found["labels"] == ["neg", "pos"]
    assert found["data sets"][0]["first"]["label"] == 0


def test_unsafe_answers_have_one_category_and_safe_ones_none(found):
    assert all(harms == (not safe) for harms, safe in found["harms"])
    assert {safe for _, safe in found["harms"]} == {True, False}


def test_classifiers_are_right_on_held_out_text(found):
    assert min(found["classifiers"].values()) > 0.9, found["classifiers"]


def test_classifiers_are_the_same_each_time(tmp_path):
    first, second = (sentiment_classifier(tmp_path / name) / "model.safetensors" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
