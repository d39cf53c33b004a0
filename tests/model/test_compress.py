"""The lossless coder on real models: byte for byte, also elsewhere and for odd texts, and never silent garbage."""

import copy
import os
import subprocess
import sys

import pytest
import torch

from helpers import models, world
from helpers.compression import HEADER_BYTES, CorruptFile, code_length, compress, decompress

ODD = ["", "é ñ 漢字\n\n\t x", "a<|endoftext|>b", "x" * 1000, " ", "\0\0", "Review by Nobody: I sold it."]


@pytest.fixture(scope="module", params=["neox-0.1m", "qwen2-1m"])
def loaded(request):
    return models.load(request.param)


@pytest.fixture(scope="module")
def documents():
    return [document.text for document in world.load().sample(70, seed=3, split="held_out")]


@pytest.fixture(scope="module")
def data(loaded, documents):
    return compress(loaded.model, loaded.tokenizer, documents)


def test_documents_come_back_from_very_nearly_their_code_length(loaded, documents, data):
    assert decompress(loaded.model, loaded.tokenizer, data) == documents
    ideal = code_length(loaded.model, loaded.tokenizer, documents).sum()
    assert ideal - 1 < 8 * (len(data) - HEADER_BYTES) < ideal + 17


def test_a_hundred_kilobytes_of_text_take_their_code_length_and_a_thousandth():
    loaded = models.load("neox-0.1m")
    texts = [document.text for document in world.load().sample(560, seed=21, split="held_out")]
    assert sum(len(text.encode()) for text in texts) > 100_000
    data = compress(loaded.model, loaded.tokenizer, texts)
    assert 8 * (len(data) - HEADER_BYTES) < 1.001 * code_length(loaded.model, loaded.tokenizer, texts).sum()


def test_improbable_and_impossible_texts_come_back(loaded):
    assert decompress(loaded.model, loaded.tokenizer, compress(loaded.model, loaded.tokenizer, ODD)) == ODD


def test_another_process_reads_the_file(loaded, documents, data, tmp_path):
    file, read = tmp_path / "file", tmp_path / "read"
    file.write_bytes(data)
    code = f"""if True:
        from pathlib import Path
        import torch
        from helpers import compression, models
        torch.set_num_threads({torch.get_num_threads()})
        loaded = models.load({loaded.name!r})
        texts = compression.decompress(loaded.model, loaded.tokenizer, Path({str(file)!r}).read_bytes())
        Path({str(read)!r}).write_text("\\0".join(texts), "utf-8")
    """
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
    assert read.read_text("utf-8").split("\0") == documents


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "These 0 bytes do not begin"),
        (lambda data: b"PK" + data[2:], "do not begin as a file that compress wrote"),
        (lambda data: data[:20], "These 20 bytes do not begin"),
        (lambda data: data[:-5], "is cut off"),
        (lambda data: data + b"\0", "is damaged"),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "is damaged"),
    ],
)
def test_damaged_files_are_refused(loaded, data, change, message):
    with pytest.raises(CorruptFile, match=message):
        decompress(loaded.model, loaded.tokenizer, change(data))


def test_the_wrong_model_is_named(loaded, data):
    other = models.load("neox-0.4m")
    with pytest.raises(CorruptFile, match="written with another model or tokenizer"):
        decompress(other.model, other.tokenizer, data)


def test_other_floating_point_results_are_noticed(loaded, documents, data, monkeypatch):
    """A machine that computes a little differently: its file says that it is this model's, and is read wrong."""
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 1e-5)
    digest = data[4:12]
    monkeypatch.setattr("helpers.compression._digest", lambda *_: digest)
    with pytest.raises(CorruptFile, match="probabilities are not those that wrote it"):
        decompress(model, loaded.tokenizer, data)


def test_a_wrong_number_of_pieces_is_noticed(loaded, data):
    for pieces in (1, 71):
        with pytest.raises(CorruptFile):
            decompress(loaded.model, loaded.tokenizer, data[:12] + pieces.to_bytes(4, "little") + data[16:])


def test_texts_that_would_not_survive_are_refused(loaded, monkeypatch):
    with pytest.raises(ValueError, match="at least one string"):
        compress(loaded.model, loaded.tokenizer, [])
    with pytest.raises(ValueError, match="hold strings, not int"):
        compress(loaded.model, loaded.tokenizer, ["a", 1])
    monkeypatch.setattr(type(loaded.tokenizer), "decode", lambda *_, **__: "other")
    with pytest.raises(ValueError, match="Text 0 changes when this tokenizer reads it"):
        compress(loaded.model, loaded.tokenizer, ["é"])


def test_a_broken_model_is_not_used(documents):
    broken = models.load("neox-0.1m")
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="weights are broken"):
        compress(broken.model, broken.tokenizer, documents[:1])
