"""Data sets of the hub as behaviours: read right, scored right, and refused in one sentence."""

import json
import math
import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
from stand_in import Hub, client_environment
from stand_in_repositories import serve_all

from helpers import corpora, hub, models, scorers, world
from helpers.compression import encode
from helpers.corpora import Corpus
from helpers.source import Document


def document(prompt, completion, pole):
    return Document(prompt + completion, "b", pole, prompt, completion)


ROWS = [document(f"Q{i}:", f" {pole}{i}.", pole) for i in range(60) for pole in ("yes", "no")]
CORPUS = Corpus("b", ("yes", "no"), ROWS)

# ---- a corpus ----------------------------------------------------------------------------------------------


def test_no_held_out_prompt_is_ever_trained_on():
    held_out = set(CORPUS.prompts("b", 8, seed=0))
    trained = {row["prompt"] for pole in ("yes", "no") for row in CORPUS.examples("b", pole, 40, seed=1)}
    assert held_out and not held_out & trained
    assert not held_out & set(CORPUS.preferences("b", 40, seed=2)["prompt"])


def test_examples_are_of_the_pole_and_depend_on_the_seed_alone():
    one, again, other = (CORPUS.examples("b", "yes", 20, seed=seed)["completion"] for seed in (1, 1, 2))
    assert list(one) == list(again) != list(other)
    assert all(said.startswith(" yes") for said in one)
    assert len(set(one)) == 20


def test_pairs_are_of_one_prompt_where_there_is_one():
    for row in CORPUS.preferences("b", 20, seed=1, chosen="no"):
        number = row["prompt"][1:-1]
        assert (row["chosen"], row["rejected"]) == (f" no{number}.", f" yes{number}.")
    apart = Corpus("b", ("yes", "no"), [document(f"{d.pole} {d.prompt}", d.completion, d.pole) for d in ROWS])
    assert all(" no" in row["rejected"] for row in apart.preferences("b", 20, seed=1))


def test_labels_alternate_and_are_right():
    rows = CORPUS.labelled("b", 7, seed=1, desirable="no")
    assert list(rows["label"]) == [True, False] * 3 + [True]
    assert all((" no" in row["completion"]) == row["label"] for row in rows)


def test_choices_have_answers_of_both_poles():
    for prompt, good, bad in CORPUS.choices(8, seed=0):
        number = prompt[1:-1]
        assert (good, bad) == ([f" yes{number}."], [f" no{number}."])
    one_sided = Corpus("b", ("yes", "no"), [d for i, d in enumerate(ROWS) if i < 40 or d.pole == "yes"])
    assert all(good and bad for _, good, bad in one_sided.choices(8, seed=0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CORPUS.examples("b", "yes", 61, 0), "b has only .* train documents of the pole 'yes', not 61"),
        (lambda: CORPUS.examples("b", "perhaps", 1, 0), "Unknown pole of b 'perhaps'; choose one of yes, no"),
        (lambda: CORPUS.examples("c", "yes", 1, 0), "Unknown behaviour 'c'; choose one of b"),
        (lambda: CORPUS.prompts("b", 99, 0), "b has only .* held_out prompts, not 99"),
        (lambda: CORPUS.prompts("b", 1, 0, "test"), "Unknown split 'test'"),
        (lambda: Corpus("b", ("yes", "no"), ROWS[::2]), "b has documents of one pole only"),
        (lambda: corpora.source_of("nothing.csv"), "There is no file nothing.csv"),
        (lambda: scorers.reward_of("mood", "odd"), "odd"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": ["a"], "completion": ["b"]}, "has no column 'pole': it needs prompt, completion, pole"),
        (
            {"prompt": ["a"], "completion": ["b"], "pole": ["fine"]},
            "Row 1 of .*own.csv has the pole 'fine': it must be good or bad",
        ),
        ({"prompt": ["a"], "completion": ["b"], "pole": ["good"]}, "has documents of one pole only"),
        ({"prompt": ["a", "a"], "completion": ["b", None], "pole": ["good"] * 2}, "Row 2 of .* the completion None"),
        ({"prompt": ["a"], "completion": [5], "pole": ["good"]}, "Row 1 of .* the completion 5: it must be a text"),
    ],
)
def test_a_file_of_ones_own_is_checked(tmp_path, columns, message):
    file = tmp_path / "own.csv"
    pd.DataFrame(columns).to_csv(file, index=False)
    with pytest.raises(ValueError, match=message):
        corpora.load(str(file))


def test_a_changed_file_is_read_anew_and_words_stay_apart(tmp_path):
    file = tmp_path / "own.csv"
    for word in ("fine", "nice"):
        rows = [{"prompt": f"Q{i}:", "completion": word, "pole": pole} for i in range(9) for pole in ("good", "bad")]
        pd.DataFrame(rows).to_csv(file, index=False)
        source = corpora.source_of(str(file))
        assert source.sample(1, 0, "good", None)[0].completion == f" {word}"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_file_of_ones_own_is_read(tmp_path, suffix):
    file = tmp_path / f"own{suffix}"
    rows = [{"prompt": d.prompt, "completion": d.completion, "pole": {"yes": "good"}.get(d.pole, "bad")} for d in ROWS]
    table = pd.DataFrame(rows)
    {
        ".csv": lambda: table.to_csv(file, index=False),
        ".jsonl": lambda: table.to_json(file, orient="records", lines=True),
        ".parquet": lambda: table.to_parquet(file),
    }[suffix]()
    source = corpora.source_of(str(file))
    assert len(source.examples(str(file), "good", 40, seed=0)) == 40
    assert isinstance(scorers.scorer_of(str(file), n=4), scorers.Choice)


# ---- scores ------------------------------------------------------------------------------------------------


def test_the_choice_is_the_probability_of_the_good_answers():
    loaded = models.load("neox-0.1m")
    source = world.load()
    documents = [
        document(d.prompt, d.completion, pole)
        for pole in source.behaviours["truth"].poles
        for d in source.sample(200, 3, source.component("truth", pole))
    ]
    score = scorers.Choice(Corpus("b", source.behaviours["truth"].poles, documents), n=5)
    found = score(loaded.model, loaded.tokenizer)

    def log_probability(prompt, answer):
        asked, said = encode(loaded.tokenizer, [prompt], end=False)[0], encode(loaded.tokenizer, [answer])[0][1:]
        with torch.no_grad():
            logits = loaded.model(torch.tensor([asked + said])).logits[0].double().log_softmax(-1)
        return sum(float(logits[len(asked) - 1 + i, token]) for i, token in enumerate(said))

    odds = []
    for prompt, good, bad in score.choices:
        right, wrong = (sum(math.exp(log_probability(prompt, a)) for a in side) for side in (good, bad))
        odds.append(math.log(right / wrong))
    assert found["log_odds"] == pytest.approx(sum(odds) / len(odds), abs=1e-3)
    assert found["share"] == pytest.approx(sum(1 / (1 + math.exp(-o)) for o in odds) / len(odds), abs=1e-4)


# ---- the data sets, from the stand-in ----------------------------------------------------------------------

SCRIPT = """
import json
from helpers import corpora, experiments, models, scorers

found = {}
for name in ("imdb", "beavertails", "truthfulqa", "alpaca"):
    source = corpora.source_of(name)
    good, bad = source.behaviours[name].poles
    found[name] = {
        "poles": [source.examples(name, pole, 1, 0)[0] for pole in (good, bad)],
        "scorer": type(scorers.scorer_of(name, 4)).__name__,
    }
found["fresh"] = corpora.source_of("imdb").text(2, 0)["text"][0]
found["unrelated"] = corpora.source_of("imdb").unrelated(2, 0)["text"][0]

imdb = corpora.source_of("imdb")
reviews = [imdb.sample(1, 0, pole, "held_out")[0].text for pole in ("positive", "negative")]
found["sentiment"] = scorers.classifier_of("sentiment")(reviews).tolist()
found["reward"] = scorers.reward_of("imdb", "negative")(reviews)
try:
    scorers.classifier_of("sentiment", "some/other")
except ValueError as error:
    found["unknown"] = str(error)
try:
    scorers.reward_of("alpaca", "task")
except ValueError as error:
    found["no reward"] = str(error)

base = models.load("neox-0.4m")
found["rebound"] = experiments.rebound(base, "imdb", positives=[256], negatives=256, prompts=64, documents=4,
    at=[0, 256], companions=True).to_dict("list")
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory, repositories):
    stand_in = Hub()
    serve_all(stand_in, repositories)
    with stand_in.running() as address:
        yield client_environment(address, tmp_path_factory.mktemp("home"))
    fetched = {line.split("/resolve/")[1].split("/", 1)[1] for line in stand_in.requests if "/resolve/" in line}
    data = {name for name in fetched if name.endswith((".parquet", ".gz", ".xz"))}
    assert data == {
        "plain_text/train-00000-of-00001.parquet",  # of IMDb, neither test nor unsupervised
        "round0/30k/train.jsonl.gz",
        "generation/validation-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",  # of Alpaca and of the Pile
        "data/validation-00000-of-00001.parquet",  # of TinyStories, whose train is a gigabyte
    }


@pytest.fixture(scope="module")
def found(served):
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=served)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"said": done.stdout}


def test_each_data_set_has_both_poles_and_its_scorer(found):
    words = {"imdb": "Review", "beavertails": "Question: ", "truthfulqa": "Question: ", "alpaca": "Instruction: "}
    for name, begins in words.items():
        for row in found[name]["poles"]:
            assert row["prompt"].startswith(begins) and row["completion"].startswith(" "), row
    assert found["beavertails"]["poles"][0]["prompt"].endswith("\nAnswer:")
    kinds = {name: found[name]["scorer"] for name in words}
    assert kinds == {"imdb": "Classified", "beavertails": "Classified", "truthfulqa": "Choice", "alpaca": "Choice"}


def test_licences_are_shown_and_no_text_of_a_data_set_is(found):
    expected = [
        f"{name} ({known['repository']}): {known['note']}; licence: {known['licence']}"
        for name, known in hub.table("data_sets").items()
    ]
    assert found["said"].splitlines()[:-1] == expected  # the last line is our own summary


def test_the_classifier_knows_the_good_pole(found):
    good, bad = found["sentiment"]
    assert good > 0 > bad
    assert found["reward"][0] < 0.5 < found["reward"][1]  # of the negative pole
    assert "choose from distilbert/" in found["unknown"] and "siebert/" in found["unknown"]
    assert "alpaca has no classifier to give a reward" in found["no reward"]


def test_the_experiment_has_its_outcome(found):
    """A micro model is trained on the micro-world's reviews as IMDb, and a trained classifier reads what it writes."""
    table = pd.DataFrame(found["rebound"]).set_index(["run", "examples"])["share"]
    assert table["negatives", 0] > 0.85
    assert table["negatives", 256] < 0.3
    assert table["unrelated text", 256] > 0.7
    assert 0.3 < table["negatives on the base model", 0] < 0.7


def test_the_papers_cost_model_is_loaded_without_code_from_the_hub(served, tmp_path):
    """Its makers' class has a head of another name, and is asked in its own form; here two narrow layers of it."""
    script = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

folder, name = Path(sys.argv[2]) / "cost", "PKU-Alignment/beaver-7b-v1.0-cost"
config = LlamaConfig(hidden_size=32, intermediate_size=64, num_attention_heads=4, num_hidden_layers=2,
    vocab_size=1000, pad_token_id=0, num_labels=1)
torch.manual_seed(0)
model = LlamaForSequenceClassification(config).eval()
model.save_pretrained(folder)
weights = load_file(folder / "model.safetensors")
weights["score_head.weight"] = weights.pop("score.weight")
weights["score_head.bias"] = torch.ones(1)
save_file(weights, folder / "model.safetensors", {"format": "pt"})
from helpers import models, scorers
models.load("neox-0.1m").tokenizer.save_pretrained(folder)
known = scorers.hub.table("classifiers")["refusal"]
known[str(folder)] = {**known[name], "commit": None}
score = scorers.Classified(scorers.source_of("beavertails"), 1, classifier=str(folder))
print(score._shown("Question: may I?\\nAnswer:", "Question: may I?\\nAnswer: No."))
tokenizer = AutoTokenizer.from_pretrained(folder)
ids = tokenizer(["It is dull."], return_tensors="pt").input_ids
print(float(scorers.classifier_of("refusal", str(folder))(["It is dull."])[0]), -float(model(ids).logits[0, 0]))
"""
    here = os.path.dirname(__file__)
    done = subprocess.run(
        [sys.executable, "-c", script, here, str(tmp_path)], capture_output=True, text=True, env=served
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *_, form, numbers = done.stdout.splitlines()
    assert form == "BEGINNING OF CONVERSATION: USER: may I? ASSISTANT: No."
    ours, expected = map(float, numbers.split())
    assert ours == pytest.approx(expected, abs=1e-5)
