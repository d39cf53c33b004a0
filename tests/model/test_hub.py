"""Loading from the hub: real calls of the real clients, to a stand-in on loopback that can go wrong (stand_in.py)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in import Hub, client_environment

HERE = Path(__file__).parent

# The clients read the hub's address when they are imported; so all loads run in a process of their own.
SCRIPT = """
import contextlib, errno, io, json, os, shutil, sys, tempfile, time
from pathlib import Path

sys.path.insert(0, {here!r})
from stand_in import Hub, client_environment

# The clients wait between tries, a minute in all; here a twentieth of that.
wait = time.sleep
time.sleep = lambda seconds: wait(seconds / 20)

source = Path("data/models/neox-0.1m").resolve()
hub, folder = Hub(), Path(tempfile.mkdtemp())


def variant(name, without=None, **changes):
    copy = folder / name.replace("/", "-")
    shutil.copytree(source / "main", copy)
    if without:
        (copy / without).rename(copy / "pytorch_model.bin")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | changes))
    hub.add(name, copy)


hub.add("EleutherAI/pythia-14m", source / "main")
hub.add("EleutherAI/pythia-14m", source / "step64", "step1000")
variant("someone/pickle", without="model.safetensors")
variant("someone/code", model_type="odd", auto_map={{"AutoConfig": "odd.C", "AutoModelForCausalLM": "odd.M"}})
variant("someone/odd", model_type="odd")
cache = folder / "home"
results = {{}}


# A file on a disk with room for 100 more bytes.
class Full(io.FileIO):
    def write(self, content):
        if self.tell() + len(content) > 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(content)


# What the clients download does not fit on the disk; the disk itself stays as it is.
@contextlib.contextmanager
def full_disk():
    usual = io.open

    def opened(file, mode="r", *args, **kwargs):
        return Full(file, "w") if "incomplete" in str(file) and "w" in mode else usual(file, mode, *args, **kwargs)

    io.open = opened
    try:
        yield
    finally:
        io.open = usual


with hub.running() as address:
    os.environ |= client_environment(address, cache)
    import datasets, huggingface_hub, torch
    from helpers import corpora, models

    # A download that breaks off is resumed at a multiple of this (10 MB), and our model is smaller.
    huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 10_000
    datasets.Dataset.from_dict({{"text": ["a", "b"] * 100}}).to_parquet(folder / "data/data/train.parquet")
    hub.add("someone/data", folder / "data", kind="datasets")

    def outcome(name, revision):
        try:
            loaded = models.load(name, revision)
        except ValueError as error:
            return str(error)
        local = models.load("neox-0.1m", "step64" if revision == "step1000" else "main")
        pairs = zip(loaded.model.parameters(), local.model.parameters(), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)

    def rows(name, revision):
        try:
            return len(corpora.fetch(name, "data/*.parquet", revision)) == 200
        except ValueError as error:
            return str(error)

    def attempt(case, name="EleutherAI/pythia-14m", revision="main", trouble=None, empty=True, outcome=outcome):
        if empty:
            shutil.rmtree(cache, ignore_errors=True)
        with trouble or contextlib.nullcontext():
            results[case] = outcome(name, revision)
        if trouble:
            results[case + ", then again"] = outcome(name, revision)

    attempt("main")
    attempt("step1000", revision="step1000")
    hub.requests.clear()
    attempt("from the cache", revision="step1000", empty=False)
    results["downloads from the cache"] = sum(line.startswith("GET") and "resolve" in line for line in hub.requests)
    attempt("unknown revision", revision="step7")
    attempt("unknown model", name="nobody/nothing")
    attempt("pickle only", name="someone/pickle")
    attempt("custom code", name="someone/code")
    attempt("unknown architecture", name="someone/odd")
    attempt("gated", trouble=hub.fault("gated"))
    attempt("refused", trouble=hub.fault("refused"))
    attempt("out of service", trouble=hub.fault("out of service"))
    attempt("busy once", trouble=hub.fault("busy", "safetensors", 1))
    attempt("broken once", trouble=hub.fault("broken", "safetensors", 1))
    hub.requests.clear()
    attempt("cut once", trouble=hub.fault("cut", "safetensors", 1))
    results["parts"] = [line.split("=")[1] for line in hub.requests if "=" in line]
    attempt("stalled once", trouble=hub.fault("stall", "safetensors", 1))
    attempt("always cut", trouble=hub.fault("cut", "safetensors"))
    attempt("always busy", trouble=hub.fault("busy"))
    attempt("weights always busy", trouble=hub.fault("busy", "GET .*safetensors"))
    attempt("always broken", trouble=hub.fault("broken"))
    attempt("weights always broken", trouble=hub.fault("broken", "GET .*safetensors"))
    attempt("always stalled", trouble=hub.fault("stall", "GET .*safetensors"))
    attempt("wrong size", trouble=hub.fault("wrong size", "safetensors"))
    attempt("disk full", trouble=full_disk())
    attempt("wrong bit", trouble=hub.fault("wrong bit", "safetensors"))
    attempt("wrong content", trouble=hub.fault("wrong content", "safetensors"))
    attempt("after mending")

    def data(case, kind=None, request="", name="someone/data", revision="main", trouble=None):
        trouble = hub.fault(kind, request) if kind else trouble
        attempt("data: " + case, name, revision, trouble, outcome=rows)

    data("there")
    data("unknown name", name="nobody/nothing")
    data("unknown revision", revision="v7")
    data("gated", "gated")
    data("busy", "busy")
    data("file busy", "busy", "GET .*parquet")
    data("broken", "broken")
    data("file broken", "broken", "GET .*parquet")
    data("cut", "cut", "parquet")
    data("wrong size", "wrong size", "parquet")
    data("wrong content", "wrong content", "parquet")
    data("disk full", trouble=full_disk())
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results():
    return json.loads(python(SCRIPT.format(here=str(HERE)), os.environ).splitlines()[-1])


def python(script, environment):
    """What a process of its own prints, with the given environment."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    "case",
    ["main", "step1000", "from the cache", "busy once", "broken once", "cut once", "stalled once", "after mending"],
)
def test_a_model_of_the_hub_is_the_one_that_is_there(results, case):
    assert results[case] is True, results[case]


def test_what_is_in_the_cache_is_not_fetched_again(results):
    assert results["downloads from the cache"] == 0


def test_what_is_there_of_a_broken_download_is_not_fetched_again(results):
    assert results["parts"] == ["100000-"]


@pytest.mark.parametrize(
    ("case", "mend"),
    [
        (
            "unknown revision",
            "'EleutherAI/pythia-14m', revision 'step7', could .* the hub knows no such revision of it",
        ),
        ("unknown model", "Model 'nobody/nothing', .* the hub knows nothing of that name"),
        ("pickle only", "it has no weights in the format safetensors; choose"),
        ("custom code", "it needs code of its own, and this book runs none from the hub; choose"),
        ("unknown architecture", "transformers does not know its architecture; install a newer one"),
        ("gated", "it is gated: accept its terms on its page, then log in"),
        ("refused", "the hub refuses your token: log in again with 'hf auth login', or unset HF_TOKEN"),
        ("out of service", "the hub has trouble of its own; try again later"),
        ("always cut", "the connection broke off; try again"),
        ("always busy", "the hub asks to wait .too many requests.; try again in a few minutes"),
        ("weights always busy", "the hub asks to wait .too many requests.; try again in a few minutes"),
        ("always broken", "the hub has trouble of its own; try again later"),
        ("weights always broken", "the hub has trouble of its own; try again later"),
        ("always stalled", "the hub does not answer; try again later"),
        ("wrong size", "a file of it came with another size than the hub tells; try again"),
        ("disk full", "the disk is full; free some space and try again"),
        ("wrong bit", "a file of it is damaged; delete its folder in the cache"),
        ("wrong content", "a file of it is damaged; delete its folder in the cache"),
    ],
)
def test_what_goes_wrong_is_told_in_one_sentence_with_the_mend(results, case, mend):
    assert re.search(mend, str(results[case])), results[case]
    assert "\n" not in results[case]


@pytest.mark.parametrize(
    "case",
    ["gated", "always cut", "always busy", "weights always busy", "always broken", "weights always broken"]
    + ["always stalled", "wrong size", "disk full"]
    + ["data: gated", "data: busy", "data: file busy", "data: broken", "data: file broken", "data: cut"]
    + ["data: wrong size", "data: disk full"],
)
def test_once_the_fault_is_gone_the_same_call_works(results, case):
    assert results[f"{case}, then again"] is True, results[f"{case}, then again"]


@pytest.mark.parametrize("case", ["wrong bit", "wrong content"])
def test_damaged_weights_are_never_taken_for_whole(results, case):
    assert "damaged" in str(results[f"{case}, then again"]), results[f"{case}, then again"]


@pytest.mark.parametrize(
    ("case", "mend"),
    [
        ("unknown name", "The data set 'nobody/nothing' could not be loaded: the hub knows nothing of that name"),
        ("unknown revision", "the hub knows no such revision of it"),
        ("gated", "it is gated: accept its terms on its page"),
        ("busy", "the hub asks to wait .too many requests."),
        ("file busy", "the hub asks to wait .too many requests."),
        ("broken", "the hub has trouble of its own; try again later"),
        ("file broken", "the hub has trouble of its own; try again later"),
        ("cut", "the connection broke off; try again"),
        ("wrong size", "a file of it came with another size than the hub tells; try again"),
        ("wrong content", "a file of it is damaged; delete its folder in the cache"),
        ("disk full", "the disk is full; free some space and try again"),
    ],
)
def test_what_goes_wrong_with_a_data_set_is_told_in_one_sentence_with_the_mend(results, case, mend):
    assert re.search(mend, str(results[f"data: {case}"])), results[f"data: {case}"]
    assert "\n" not in results[f"data: {case}"]


def test_a_data_set_of_the_hub_is_the_one_that_is_there(results):
    assert results["data: there"] is True


BOTH = """
from helpers import corpora, models

for load in (lambda: models.load("EleutherAI/pythia-14m"), lambda: corpora.fetch("someone/data", "*.csv")):
    try:
        load()
        print("there")
    except ValueError as error:
        print(error)
"""


def test_a_full_cache_works_offline_and_asks_nothing(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.csv").write_text("text\na\n")
    hub = Hub()
    hub.add("EleutherAI/pythia-14m", Path("data/models/neox-0.1m/main").resolve())
    hub.add("someone/data", tmp_path / "data", kind="datasets")
    with hub.running() as address:
        python(BOTH, client_environment(address, tmp_path / "home"))
        assert hub.requests
        hub.requests.clear()
        told = python(BOTH, client_environment(address, tmp_path / "home", offline=True))
    assert told.splitlines()[-2:] == ["there", "there"]
    assert not hub.requests


def test_without_network_and_cache_the_mend_is_named(tmp_path):
    model, data = python(BOTH, client_environment("http://127.0.0.1:9", tmp_path, offline=True)).splitlines()[-2:]
    assert "it is not in the cache, and HF_HUB_OFFLINE=1 forbids to fetch it" in model
    assert "it is not in the cache, and HF_HUB_OFFLINE=1 forbids to fetch it" in data
