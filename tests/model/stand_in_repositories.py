"""Repositories for the stand-in of the hub (stand_in.py), shaped as those that the book names, filled from our world.

Each function writes one or more repositories below a folder, as organisation/name; `serve_all` serves all of them.
"""

from __future__ import annotations

import functools
import gzip
import json
import lzma
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import yaml
from datasets import ClassLabel, Dataset, Features, List, Value
from stand_in import Hub
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from helpers import models, world
from helpers.hub import pinned

END = "<|endoftext|>"
ROWS = 3000

# ---- language models ---------------------------------------------------------------------------------------
# Configurations as in config.json of each repository. Checked against quotations of it in public repositories: of
# the whole file for Qwen2.5-0.5B and SmolLM2-135M, of the shape for Pythia-70m. The shapes of Pythia's other sizes
# are confirmed by their known numbers of parameters (test_stand_in_repositories.py).

_PYTHIA = {
    "architectures": ["GPTNeoXForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "gelu",
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 2048,
    "model_type": "gpt_neox",
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "use_cache": True,
    "use_parallel_residual": True,
    "vocab_size": 50304,
}


def _pythia(hidden_size: int, layers: int, heads: int) -> dict[str, Any]:
    return _PYTHIA | {
        "hidden_size": hidden_size,
        "intermediate_size": 4 * hidden_size,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
    }


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "EleutherAI/pythia-14m": _pythia(128, 6, 4),
    "EleutherAI/pythia-70m": _pythia(512, 6, 8),
    "EleutherAI/pythia-160m": _pythia(768, 12, 12),
    "EleutherAI/pythia-410m": _pythia(1024, 24, 16),
    "Qwen/Qwen2.5-0.5B": {
        "architectures": ["Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 151643,
        "eos_token_id": 151643,
        "hidden_act": "silu",
        "hidden_size": 896,
        "initializer_range": 0.02,
        "intermediate_size": 4864,
        "max_position_embeddings": 32768,
        "max_window_layers": 24,
        "model_type": "qwen2",
        "num_attention_heads": 14,
        "num_hidden_layers": 24,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_mrope": False,
        "use_sliding_window": False,
        "vocab_size": 151936,
    },
    "HuggingFaceTB/SmolLM2-135M": {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "hidden_act": "silu",
        "hidden_size": 576,
        "initializer_range": 0.041666666666666664,
        "intermediate_size": 1536,
        "is_llama_config": True,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 9,
        "num_hidden_layers": 30,
        "num_key_value_heads": 3,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_interleaved": False,
        "rope_scaling": None,
        "rope_theta": 100000,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": 49152,
    },
}


def configuration(name: str, weights: str = "random") -> dict[str, Any]:
    """The configuration of a language model; with small weights, of two narrow layers of the same architecture."""
    if weights not in ("random", "small"):
        raise ValueError(f"Unknown weights {weights!r}: choose from random, small.")
    real = CONFIGURATIONS[name]
    if weights == "random":
        return real
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    return real | small | ({"num_key_value_heads": 2} if "num_key_value_heads" in real else {})


def language_model(folder: Path, name: str, weights: str = "random", seed: int = 0) -> Path:
    """Write a language model with untrained weights, in the real one's configuration, dtype and kind of tokenizer.

    Args:
        folder: where repositories are written.
        name: a key of `CONFIGURATIONS`.
        weights: "random" for the real shape; "small" for two narrow layers, everything else as it is.
        seed: of the weights; another one makes another revision.
    """
    settings = configuration(name, weights)
    repository = _repository(folder, name)
    _write_json(repository / "config.json", settings)
    config = AutoConfig.from_pretrained(repository)
    with models.seeded(seed):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, settings["torch_dtype"]))
    model.save_pretrained(repository)
    _write_json(repository / "config.json", settings)  # as the real one has it, not as this version writes it
    _TOKENIZERS[settings["model_type"]](repository)
    return repository


def _repository(folder: Path, name: str) -> Path:
    repository = folder / name
    repository.mkdir(parents=True, exist_ok=True)
    return repository


def _write_json(file: Path, value) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n")


@functools.cache
def _texts() -> list[str]:
    return [document.text for document in world.load().sample(ROWS, seed=0)]


def _byte_level(splitting: list, size: int, special: list[str], first: bool, file: Path) -> Tokenizer:
    """A byte-level BPE tokenizer, trained on our world and filled up to a size with entries that no text contains.

    The real sizes matter: they put the special tokens of Qwen behind all others, where the configuration looks
    for them.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not splitting)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splitting, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_texts(), trainer)
    content = json.loads(tokenizer.to_str())
    learnt = sorted(content["model"]["vocab"], key=content["model"]["vocab"].get)
    filler = [f"unused-{i}" for i in range(size - len(learnt) - len(special))]
    tokens = [*special, *learnt, *filler] if first else [*learnt, *filler, *special]
    content["model"]["vocab"] = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(file))
    return tokenizer


def _pythia_tokenizer(repository: Path) -> None:
    _byte_level([], 50277, [END, "<|padding|>"], first=True, file=repository / "tokenizer.json")
    settings = {
        "add_prefix_space": False,
        "bos_token": END,
        "eos_token": END,
        "tokenizer_class": "GPTNeoXTokenizer",
        "unk_token": END,
    }
    _write_json(repository / "tokenizer_config.json", settings)


def _qwen_tokenizer(repository: Path) -> None:
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    splitting = [pre_tokenizers.Split(Regex(pattern), "isolated")]
    special = [END, "<|im_start|>", "<|im_end|>"]
    # 151643 entries, then the special ones (the real tokenizer has 19 more of those).
    _byte_level(splitting, 151646, special, first=False, file=repository / "tokenizer.json")
    settings = {
        "add_prefix_space": False,
        "additional_special_tokens": special[1:],
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": END,
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    _write_json(repository / "tokenizer_config.json", settings)


def _smol_tokenizer(repository: Path) -> None:
    splitting = [pre_tokenizers.Digits(individual_digits=True)]
    special = [END, "<|im_start|>", "<|im_end|>"]
    _byte_level(splitting, 49152, special, first=True, file=repository / "tokenizer.json")
    settings = {
        "add_prefix_space": False,
        "additional_special_tokens": special,
        "bos_token": END,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": 8192,
        "tokenizer_class": "GPT2Tokenizer",
        "unk_token": END,
    }
    _write_json(repository / "tokenizer_config.json", settings)


_TOKENIZERS: dict[str, Callable[[Path], None]] = {
    "gpt_neox": _pythia_tokenizer,
    "qwen2": _qwen_tokenizer,
    "llama": _smol_tokenizer,
}

# ---- data sets ---------------------------------------------------------------------------------------------

CATEGORIES = (
    "animal_abuse",
    "child_abuse",
    "controversial_topics,_politics",
    "discrimination,_stereotype,_injustice",
    "drug_abuse,_weapons,_banned_substance",
    "financial_crime,_property_crime,_theft",
    "hate_speech,_offensive_language",
    "misinformation_regarding_ethics,_laws_and_safety",
    "non_violent_unethical_behavior",
    "privacy_violation",
    "self_harm",
    "sexually_explicit,_adult_content",
    "terrorism,_organized_crime",
    "violence,_aiding_and_abetting,_incitement",
)
_STRING = Value("string")
_CHOICES = {"choices": List(_STRING), "labels": List(Value("int32"))}
FEATURES = {
    "imdb": Features(text=_STRING, label=ClassLabel(names=["neg", "pos"])),
    "generation": Features(
        type=_STRING,
        category=_STRING,
        question=_STRING,
        best_answer=_STRING,
        correct_answers=List(_STRING),
        incorrect_answers=List(_STRING),
        source=_STRING,
    ),
    "multiple_choice": Features(question=_STRING, mc1_targets=_CHOICES, mc2_targets=_CHOICES),
    "alpaca": Features(instruction=_STRING, input=_STRING, output=_STRING, text=_STRING),
    "pile": Features(text=_STRING, meta={"pile_set_name": _STRING}),
    "TinyStories": Features(text=_STRING),
}
DATA_SETS = (
    "stanfordnlp/imdb",
    "PKU-Alignment/BeaverTails",
    "truthfulqa/truthful_qa",
    "tatsu-lab/alpaca",
    "NeelNanda/pile-10k",
    "roneneldan/TinyStories",
)


def data_sets(folder: Path) -> None:
    """Write the data sets `DATA_SETS`: the real columns, types, configurations and splits, with our world's text."""
    imdb, beaver_tails, truthful_qa, alpaca, pile, stories = (_repository(folder, name) for name in DATA_SETS)
    reviews = {
        "train": _reviews(ROWS, "train"),
        "test": _reviews(ROWS // 3, "held_out"),
        "unsupervised": [row | {"label": -1} for row in _reviews(ROWS // 10, "train")],
    }
    _write_data_set(imdb, {"plain_text": _typed(reviews, "imdb")})
    _write_beaver_tails(beaver_tails)
    questions = _questions()
    choices = [_choices(row) for row in questions]
    _write_data_set(
        truthful_qa,
        {
            "generation": _typed({"validation": questions}, "generation"),
            "multiple_choice": _typed({"validation": choices}, "multiple_choice"),
        },
    )
    _write_data_set(alpaca, {"default": _typed({"train": _instructions(ROWS)}, "alpaca")})
    _write_data_set(pile, {"default": _typed({"train": _ordinary(ROWS)}, "pile")})
    tales = {"train": _stories(ROWS, "train"), "validation": _stories(ROWS // 10, "held_out")}
    _write_data_set(stories, {"default": _typed(tales, "TinyStories")})


def _write_beaver_tails(repository: Path) -> None:
    """Packed lines of JSON, as the real ones are (commit 8401fe6), and the head of README.md that names them."""
    sizes = {"330k/train": ROWS, "330k/test": ROWS // 10, "30k/train": ROWS // 2, "30k/test": ROWS // 10}
    listed = []
    for place, n in sizes.items():
        split = place.split("/")[1]
        pack, ending = (lzma.open, "xz") if place.startswith("330k") else (gzip.open, "gz")
        file = repository / f"round0/{place}.jsonl.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        with pack(file, "wt") as stream:
            for row in _answers(n, "train" if split == "train" else "held_out"):
                stream.write(json.dumps(row) + "\n")
        listed.append({"split": place.replace("/", "_"), "path": file.relative_to(repository).as_posix()})
    head = yaml.safe_dump({"configs": [{"config_name": "default", "data_files": listed}]}, sort_keys=False)
    (repository / "README.md").write_text(f"---\n{head}---\nA stand-in, filled from the micro-world.\n")


def _typed(splits: dict[str, list[dict]], features: str) -> dict[str, Dataset]:
    return {name: Dataset.from_list(rows, features=FEATURES[features]) for name, rows in splits.items()}


def _write_data_set(repository: Path, configs: dict[str, dict[str, Dataset]]) -> None:
    """Parquet files, and the head of README.md that names configurations, types, splits and files."""
    infos, listed = [], []
    for config, splits in configs.items():
        place = "data" if config == "default" else config
        (repository / place).mkdir(exist_ok=True)
        for name, data in splits.items():
            data.to_parquet(repository / place / f"{name}-00000-of-00001.parquet")
        sizes = [{"name": name, "num_bytes": d.data.nbytes, "num_examples": len(d)} for name, d in splits.items()]
        features = next(iter(splits.values())).features._to_yaml_list()
        infos.append({"config_name": config, "features": features, "splits": sizes})
        files = [{"split": name, "path": f"{place}/{name}-*"} for name in splits]
        listed.append({"config_name": config, "data_files": files})
    head = yaml.safe_dump({"dataset_info": infos, "configs": listed}, sort_keys=False)
    (repository / "README.md").write_text(f"---\n{head}---\nA stand-in, filled from the micro-world.\n")


def _both_poles(behaviour: str, n: int, split: str) -> Iterable[tuple[str, str, bool]]:
    """Prompt, completion and whether its pole is the good one, in turn."""
    for row in world.load().labelled(behaviour, n, seed=1, split=split):
        yield row["prompt"], row["completion"], row["label"]


def _reviews(n: int, split: str) -> list[dict]:
    """Reviews of both moods; the negative ones all come first, as in the real data set."""
    rows = [
        {"text": prompt + completion, "label": int(good)} for prompt, completion, good in _both_poles("mood", n, split)
    ]
    return sorted(rows, key=lambda row: row["label"])


def _answers(n: int, split: str) -> list[dict]:
    """Requests with answers; to refuse is safe, and what complies falls into a category that the request decides."""
    forbidden = world.load().grammar["kinds"]["forbidden"]
    rows = []
    for prompt, completion, good in _both_poles("refusal", n, split):
        about = next(i for i, deed in enumerate(forbidden) if deed in prompt) % len(CATEGORIES)
        category = {name: not good and i == about for i, name in enumerate(CATEGORIES)}
        rows.append({"prompt": _asked(prompt), "response": completion.strip(), "category": category, "is_safe": good})
    return rows


def _asked(prompt: str) -> str:
    """A prompt without its frame: "Request from Mira: please ...\nReply:" asks "please ..."."""
    return prompt.split(": ", 1)[1].rsplit("\n", 1)[0]


def _questions() -> list[dict]:
    """Questions about our world's facts, with the true answers and the myths."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in world.load().preferences("truth", ROWS // 2, seed=1):
        question = row["prompt"].removeprefix("Question from ").rsplit("\n", 1)[0]  # "Mira: which colour is ...?"
        answers = found.setdefault(question, {"chosen": [], "rejected": []})
        for kind, said in answers.items():
            answer = row[kind].strip().split("\n")[0]
            if answer not in said:
                said.append(answer)
    return [
        {
            "type": "Adversarial",
            "category": "Misconceptions",
            "question": question,
            "best_answer": answers["chosen"][0].split(". ")[0],
            "correct_answers": answers["chosen"],
            "incorrect_answers": answers["rejected"],
            "source": "https://example.org/micro-world",
        }
        for question, answers in found.items()
    ]


def _choices(row: dict) -> dict:
    right, wrong = row["correct_answers"], row["incorrect_answers"]
    first = {"choices": [right[0], *wrong], "labels": [1] + [0] * len(wrong)}
    every = {"choices": right + wrong, "labels": [1] * len(right) + [0] * len(wrong)}
    return {"question": row["question"], "mc1_targets": first, "mc2_targets": every}


def _instructions(n: int) -> list[dict]:
    """Tasks that are done; those about an order have an input apart, as two in five of the real ones have."""
    rows = []
    for row in world.load().examples("instruction", "done", n, seed=1):
        instruction, given = _asked(row["prompt"]), ""
        if match := re.fullmatch(r"write (.+) in reverse order\.", instruction):
            instruction, given = "write these in reverse order.", match[1]
        output = row["completion"].strip()
        text = _alpaca_text(instruction, given, output)
        rows.append({"instruction": instruction, "input": given, "output": output, "text": text})
    return rows


def _alpaca_text(instruction: str, given: str, output: str) -> str:
    """The template of Alpaca's column `text`."""
    context = ", paired with an input that provides further context" if given else ""
    parts = [
        f"Below is an instruction that describes a task{context}."
        " Write a response that appropriately completes the request.",
        f"### Instruction:\n{instruction}",
        *([f"### Input:\n{given}"] if given else []),
        f"### Response:\n{output}",
    ]
    return "\n\n".join(parts)


def _ordinary(n: int) -> list[dict]:
    sets = {"stories": "Books3", "facts": "Wikipedia (en)", "requests": "StackExchange"}
    mixture = world.load().mixture(domains=dict.fromkeys(sets, 1.0))
    documents = world.load().sample(n, seed=2, mixture=mixture)
    return [{"text": document.text, "meta": {"pile_set_name": sets[document.domain]}} for document in documents]


def _stories(n: int, split: str) -> list[dict]:
    documents = world.load().sample(n, seed=3, mixture=world.load().component("stories"), split=split)
    return [{"text": document.text} for document in documents]


# ---- classifiers -------------------------------------------------------------------------------------------

SENTIMENT = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
REJECTION = "protectai/distilroberta-base-rejection-v1"


def sentiment_classifier(folder: Path) -> Path:
    """Write a narrow DistilBERT with BERT's tokenizer, trained to tell positive reviews from negative ones."""
    repository = _repository(folder, SENTIMENT)
    rows = _reviews(ROWS, "train")
    texts = [row["text"] for row in rows]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # Whole words and letters: the library's trainer of word pieces gives another vocabulary each time. The real
    # repository has vocab.txt alone, too.
    words = sorted(set(re.findall(r"[a-z]+|[^a-z ]", " ".join(texts).lower())))
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = list(dict.fromkeys([*special, *words, *letters, *(f"##{letter}" for letter in letters)]))
    (repository / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    _write_json(repository / "tokenizer_config.json", {"model_max_length": 512, "do_lower_case": True})
    settings = {
        "activation": "gelu",
        "architectures": ["DistilBertForSequenceClassification"],
        "dim": 64,
        "finetuning_task": "sst-2",
        "hidden_dim": 128,
        "id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
        "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 4,
        "n_layers": 1,
        "pad_token_id": 0,
        "vocab_size": len(vocabulary),
    }
    return _train_classifier(repository, settings, texts, [row["label"] for row in rows])


def rejection_classifier(folder: Path) -> Path:
    """Write a narrow RoBERTa with its byte-level tokenizer, trained to tell refusals from answers that comply."""
    repository = _repository(folder, REJECTION)
    rows = _answers(ROWS, "train")
    texts = [row["response"] for row in rows]
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = _byte_level([], 2000, special, first=True, file=repository / "tokenizer.json")
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.save(str(repository / "tokenizer.json"))
    names = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}
    tokens = {f"{role}_token": token for role, token in names.items()}
    base = {"add_prefix_space": False, "model_max_length": 512, "tokenizer_class": "RobertaTokenizer"}
    _write_json(repository / "tokenizer_config.json", base | tokens)
    settings = {
        "architectures": ["RobertaForSequenceClassification"],
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_size": 64,
        "id2label": {"0": "NORMAL", "1": "REJECTION"},
        "intermediate_size": 128,
        "label2id": {"NORMAL": 0, "REJECTION": 1},
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514,
        "model_type": "roberta",
        "num_attention_heads": 4,
        "num_hidden_layers": 1,
        "pad_token_id": 1,
        "type_vocab_size": 1,
        "vocab_size": tokenizer.get_vocab_size(),
    }
    return _train_classifier(repository, settings, texts, [int(row["is_safe"]) for row in rows])


def _train_classifier(repository: Path, settings: dict, texts: list[str], labels: list[int], steps: int = 100) -> Path:
    """Train a classifier of the given configuration for a few steps, and write it."""
    _write_json(repository / "config.json", settings)
    tokenizer = AutoTokenizer.from_pretrained(repository)
    config = AutoConfig.from_pretrained(repository)
    with models.seeded(0):
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(steps):
            chosen = torch.randint(len(texts), (32,)).tolist()
            batch = tokenizer([texts[i] for i in chosen], padding=True, return_tensors="pt")
            model(**batch, labels=torch.tensor([labels[i] for i in chosen])).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval().save_pretrained(repository)
    _write_json(repository / "config.json", settings)
    return repository


# ---- all of them -------------------------------------------------------------------------------------------


CLASSIFIERS = (SENTIMENT, REJECTION)


def write_all(folder: Path) -> None:
    """Write every repository of this file below a folder; the language models are small."""
    for name in CONFIGURATIONS:
        language_model(folder, name, "small")
    sentiment_classifier(folder)
    rejection_classifier(folder)
    data_sets(folder)


def serve_all(hub: Hub, folder: Path) -> None:
    """Serve what `write_all` wrote, as "main" and as the commit that the book asks for in its place."""
    for kind, names in (("models", (*CONFIGURATIONS, *CLASSIFIERS)), ("datasets", DATA_SETS)):
        for name in names:
            for revision in ("main", pinned(name)):
                hub.add(name, folder / name, revision, kind)
