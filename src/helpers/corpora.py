"""Behaviours from data sets of the hub: IMDb, BeaverTails, TruthfulQA, Alpaca, or a file of one's own.

A `Corpus` has the same methods as the micro-world (`helpers.world`), as far as experiments use them: prompts, examples
of either pole, ordinary text beside them. What it lacks is the exact posterior, for which see `helpers.scorers`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from helpers import hub, world
from helpers.hub_errors import check_hashes, sha256, told
from helpers.source import Behaviour, Document, Source, choose
from helpers.world import is_held_out

FILES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
COLUMNS = ("prompt", "completion", "pole")
PROMPT = 8  # words of a review that the model is given, to go on from
ANSWERS = 4  # of either pole, at most, between which a model chooses
LONGEST = 60  # words of a completion, or of ordinary text; about 90 tokens
LETTERS = 400  # at most, also where words are long
QUESTION, ANSWER = "Question: ", "\nAnswer:"  # around a question
TEXT = "ordinary text"


def source_of(behaviour: str) -> world.World | Corpus:
    """Where a behaviour's examples come from: the micro-world, a data set of data/hub.yaml, or a file."""
    if behaviour in hub.table("data_sets") or Path(behaviour).suffix in FILES:
        return load(behaviour)
    return world.load()


def load(name: str) -> Corpus:
    """A data set of data/hub.yaml, or a file with the columns prompt, completion and pole ("good" or "bad").

    Of a data set it prints the licence and what the texts are.

    Raises:
        ValueError: the data set or the file cannot be read, lacks a column, or has a cell that does not fit.
    """
    if Path(name).suffix not in FILES:
        return _load(name)
    if not Path(name).is_file():
        raise ValueError(f"There is no file {name}.")
    return _own(name, sha256(Path(name)))


@functools.cache
def _load(name: str) -> Corpus:
    known = hub.table("data_sets")[name]
    rows = fetch(known["repository"], known["files"])
    print(f"{name} ({known['repository']}): {known['note']}; licence: {known['licence']}")
    good, bad = known["poles"]
    documents = [
        Document(prompt + completion, name, good if is_good else bad, prompt, completion)
        for prompt, completion, is_good in _READERS[name](rows)
        if completion.strip()
    ]
    return Corpus(
        name,
        (good, bad),
        documents,
        known.get("held_out", 5),
        known.get("classifier"),
        known.get("shown", "text"),
        identity=hub.pinned(known["repository"]),
    )


def fetch(repository: str, files: str, revision: str = "main"):
    """Files of a data set of the hub, as one ``datasets.Dataset``; no others are fetched.

    Raises:
        ValueError: they cannot be had; the message says why, and the mend.
    """
    import datasets
    from huggingface_hub import snapshot_download

    datasets.disable_progress_bars()
    with told(f"The data set {repository!r}"):
        revision = hub.pinned(repository, revision)
        folder = snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=files)
        check_hashes(folder)
        found = sorted(Path(folder).glob(files))
        if not found:
            raise ValueError(f"it has no file {files}; see the list of files on its page.")
        return datasets.load_dataset(_kind(found[0]), data_files=[str(file) for file in found], split="train")


def _kind(file: Path) -> str:
    """What `datasets` calls the format of a file, packed or not."""
    return next(kind for suffix, kind in FILES.items() if suffix in file.suffixes)


@functools.cache
def _own(file: str, identity: str) -> Corpus:
    import datasets

    datasets.disable_progress_bars()
    with told(f"The file {file}"):
        rows = datasets.load_dataset(_kind(Path(file)), data_files=str(Path(file).resolve()), split="train")
    if missing := set(COLUMNS) - set(rows.column_names):
        raise ValueError(f"{file} has no column {min(missing)!r}: it needs {', '.join(COLUMNS)}.")
    documents = []
    for i, row in enumerate(rows, 1):
        for column in COLUMNS:
            if not isinstance(row[column], str) or not row[column].strip():
                raise ValueError(f"Row {i} of {file} has the {column} {row[column]!r}: it must be a text.")
        prompt, completion, pole = (row[column] for column in COLUMNS)
        if pole not in ("good", "bad"):
            raise ValueError(f"Row {i} of {file} has the pole {pole!r}: it must be good or bad.")
        if not (prompt[-1].isspace() or completion[0].isspace()):
            completion = " " + completion
        documents.append(Document(prompt + completion, file, pole, prompt, completion))
    return Corpus(file, ("good", "bad"), documents, identity=identity)


# ---- how each data set becomes prompts, completions and whether they are good --------------------------------------

Row = tuple[str, str, bool]


def _words(text: str, first: int = 0, last: int = LONGEST) -> str:
    return " ".join(text.split()[first:last])[:LETTERS]


def _imdb(rows) -> Iterator[Row]:
    for row in rows:
        text = row["text"].replace("<br />", " ")
        yield _words(text, 0, PROMPT), " " + _words(text, PROMPT, PROMPT + LONGEST), row["label"] == 1


def _beavertails(rows) -> Iterator[Row]:
    for row in rows:
        yield f"{QUESTION}{_words(row['prompt'])}{ANSWER}", " " + _words(row["response"]), row["is_safe"]


def _truthfulqa(rows) -> Iterator[Row]:
    for row in rows:
        for is_good, answers in ((True, row["correct_answers"]), (False, row["incorrect_answers"])):
            for answer in answers:
                yield f"{QUESTION}{_words(row['question'])}{ANSWER}", " " + _words(answer), is_good


def _alpaca(rows) -> Iterator[Row]:
    """Good is the answer that belongs to the instruction, bad that of the instruction before it."""
    other = rows[len(rows) - 1]["output"]
    for row in rows:
        half = LONGEST // 2
        given = f"\nInput: {_words(row['input'], 0, half)}" if row["input"] else ""
        prompt = f"Instruction: {_words(row['instruction'], 0, half)}{given}\nResponse:"
        yield prompt, " " + _words(row["output"]), True
        yield prompt, " " + _words(other), False
        other = row["output"]


_READERS = {"imdb": _imdb, "beavertails": _beavertails, "truthfulqa": _truthfulqa, "alpaca": _alpaca}


class Corpus(Source):
    """One behaviour's documents of both poles. One prompt in `held_out` is kept from training.

    Attributes:
        behaviours: one, by its name.
        classifier: the kind that scores it (data/hub.yaml), None for a choice between given answers.
        shown: what the classifier is shown of a document: its text, or its completion.
        identity: a commit or a hash that tells this content from another under the same name.
    """

    def __init__(
        self,
        name: str,
        poles: tuple[str, str],
        documents: Iterable[Document],
        held_out: int = 5,
        classifier: str | None = None,
        shown: str = "text",
        identity: str = "",
    ):
        self.name, self.classifier, self.shown, self.identity = name, classifier, shown, identity
        self._documents, self._one_in = list(documents), held_out
        good = sum(document.pole == poles[0] for document in self._documents)
        if not 0 < good < len(self._documents):
            raise ValueError(f"{name} has documents of one pole only: it needs both, {' and '.join(poles)}.")
        self.behaviours = {name: Behaviour(name, *poles, good / len(self._documents))}

    def _drawn(self, pole: str | None, n: int | None, seed: int, split: str | None) -> list[Document]:
        """Documents in an order drawn from `seed`; None for all that there are."""
        kept = [d for d in self._documents if pole in (None, d.pole) and self._in_split(d.prompt, split)]
        what = f"{split or ''} documents" + f" of the pole {pole!r}" * (pole is not None)
        return _first(_shuffled(kept, seed), len(kept) if n is None else n, f"{self.name} has", what)

    def _in_split(self, key: str, split: str | None) -> bool:
        if split not in ("train", "held_out", None):
            raise ValueError(f"Unknown split {split!r}; choose one of train, held_out, None (both).")
        return split is None or is_held_out(key, self._one_in) == (split == "held_out")

    def component(self, behaviour: str, pole: str) -> str:
        return choose(
            {p: p for p in choose(self.behaviours, behaviour, "behaviour").poles}, pole, f"pole of {behaviour}"
        )

    def sample(self, n: int, seed: int, mixture: str | None = None, split: str | None = "train") -> list[Document]:
        """Documents of one pole, or ordinary text."""
        if mixture is not None:
            return self._drawn(mixture, n, seed, split)
        return [Document(text, TEXT, None, "", text) for text in _ordinary("fresh", n, seed, split)]

    def prompts(self, behaviour: str, n: int, seed: int, split: str | None = "held_out") -> list[str]:
        choose(self.behaviours, behaviour, "behaviour")
        unique = list(dict.fromkeys(d.prompt for d in self._drawn(None, None, seed, split)))
        return _first(unique, n, f"{self.name} has", f"{split or ''} prompts")

    def unrelated(self, n: int, seed: int):
        from datasets import Dataset

        return Dataset.from_dict({"text": _ordinary("unrelated", n, seed, None)})

    def _prompted(self, behaviour: str, pole: str, n: int, seed: int, split: str | None) -> list[Document]:
        return self._drawn(self.component(behaviour, pole), n, seed, split)

    def _others(self, behaviour: str, pole: str, documents: list[Document], seed: int, split: str | None) -> list[str]:
        """Of the same prompt if there is one, else of any prompt."""
        others = self._drawn(pole, None, seed, split)
        same = {document.prompt: document for document in others}
        return [same.get(d.prompt, others[i % len(others)]).completion for i, d in enumerate(documents)]

    def choices(self, n: int, seed: int) -> list[tuple[str, list[str], list[str]]]:
        """Held-out prompts, each with its good and its bad completions, from one to `ANSWERS` of either.

        Where a prompt has none of a pole itself, one of another prompt stands in.
        """
        poles = self.behaviours[self.name].poles
        held_out = self._drawn(None, None, seed, "held_out")
        by_prompt: dict[str, dict[str, list[str]]] = {}
        for document in held_out:
            sides = by_prompt.setdefault(document.prompt, {pole: [] for pole in poles})
            sides[document.pole].append(document.completion)
        others = {pole: itertools.cycle([d.completion for d in held_out if d.pole == pole]) for pole in poles}
        return [
            (prompt, *(by_prompt[prompt][pole][:ANSWERS] or [next(others[pole])] for pole in poles))
            for prompt in self.prompts(self.name, n, seed)
        ]


@functools.cache
def _read_text(kind: str) -> list[str]:
    known = hub.table("text")[kind]
    return [_words(row["text"]) for row in fetch(known["repository"], known["files"])]


def _ordinary(kind: str, n: int, seed: int, split: str | None) -> list[str]:
    texts = [t for t in _read_text(kind) if split is None or is_held_out(t, 5) == (split == "held_out")]
    return _first(_shuffled(texts, seed), n, f"{hub.table('text')[kind]['repository']} has", "texts")


def _shuffled(items: list, seed: int) -> list:
    return [items[i] for i in np.random.Generator(np.random.PCG64(seed)).permutation(len(items))]


def _first(items: list, n: int, has: str, what: str) -> list:
    if n > len(items):
        raise ValueError(f"{has} only {len(items)} {what}, not {n}: ask for fewer.")
    return items[:n]
