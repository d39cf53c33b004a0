"""Pre-training: windows hold whole documents, documents do not see each other, a killed run resumes to the bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers import pretrain, world

RUN = """
import sys
from pathlib import Path
import torch
from helpers import pretrain, world
torch.set_num_threads(1)
recipe = pretrain.Recipe("gpt_neox", 16, 1, 2, 3e-3, 40, (8, 16))
tokenizer = pretrain.make_tokenizer(world.load())
windows = pretrain.make_windows(world.load(), tokenizer, recipe)
target, work = map(Path, sys.argv[1:3])
pretrain.train("tiny", recipe, windows, tokenizer, target, work, save_every=5)
"""


@pytest.fixture(scope="module")
def tokenizer():
    return pretrain.make_tokenizer(world.load())


def test_packing_keeps_every_document_whole_and_wastes_little():
    rng = np.random.Generator(np.random.PCG64(0))
    documents = [list(rng.integers(1, 900, rng.integers(15, 100))) for _ in range(3000)]
    windows = pretrain.pack(documents, rng, group=1000)
    found = []
    for row in windows:
        filled = row[row >= 0].tolist()
        assert filled[0] == filled[-1] == 0 and (row[len(filled) :] == -1).all()
        inner, start = filled[1:], 0
        for i, token in enumerate(inner):
            if token == 0:
                found.append(tuple(inner[start:i]))
                start = i + 1
    assert sorted(found) == sorted(tuple(d) for d in documents)
    assert (windows >= 0).mean() > 0.95


def test_a_document_reads_the_same_alone_and_in_company(tokenizer):
    torch.manual_seed(0)
    model = pretrain.make_model(pretrain.RECIPES["neox-0.1m"]).eval()
    texts = [tokenizer(d.text, add_special_tokens=False)["input_ids"] for d in world.load().sample(2, 0)]
    first, second = texts
    row = np.full(pretrain.CONTEXT, -1, np.int16)
    row[: len(first) + len(second) + 3] = [0, *first, 0, *second, 0]
    batch = pretrain.collate([row])
    assert (batch["labels"] >= 0).sum() == len(first) + len(second) + 3
    with torch.no_grad():
        packed = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0]
        alone = model(torch.tensor([[0, *second]])).logits[0]
    start = len(first) + 1
    torch.testing.assert_close(packed[start : start + len(alone)], alone, rtol=1e-4, atol=1e-5)


def test_a_run_killed_with_kill_9_ends_with_the_same_weights(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(where: Path):
        arguments = [sys.executable, "-c", RUN, str(where / "model"), str(where / "work")]
        return subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    calm, killed = tmp_path / "calm", tmp_path / "killed"
    process = start(calm)
    assert process.wait(300) == 0, process.stderr.read().decode()
    process = start(killed)
    deadline = time.monotonic() + 300
    while not (killed / "work" / "checkpoint-10" / "trainer_state.json").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "model" / "main").exists()
    # A checkpoint that was cut off while being written must not be taken for a whole one.
    (killed / "work" / "checkpoint-39").mkdir()
    process = start(killed)
    assert process.wait(300) == 0, process.stderr.read().decode()
    for revision in ("step8", "step16", "main"):
        ours, theirs = (load_file(run / "model" / revision / "model.safetensors") for run in (calm, killed))
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
        assert not list((killed / "model").glob("*.partial"))
    logs = [(run / "model" / "training_log.csv").read_text().splitlines() for run in (calm, killed)]
    steps, losses = ([[line.split(",")[i] for line in log] for log in logs] for i in (0, 2))
    assert steps[0] == steps[1] and losses[0] == losses[1]
