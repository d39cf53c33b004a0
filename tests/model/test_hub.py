"""Loading from the hub: real calls of the real clients, to a stand-in on loopback that can go wrong (hub.py)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# The clients read the hub's address when they are imported; so all loads run in a process of their own.
SCRIPT = """
import json, os, shutil, sys, tempfile
from pathlib import Path

sys.path.insert(0, {here!r})
from hub import Hub

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
os.environ |= {{"HF_HOME": str(cache), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}}
os.environ |= {{"HF_HUB_DOWNLOAD_TIMEOUT": "2", "HF_HUB_ETAG_TIMEOUT": "2"}}
results = {{}}
with hub.running() as address:
    os.environ["HF_ENDPOINT"] = address
    import torch
    from helpers import models

    def attempt(case, name="EleutherAI/pythia-14m", revision="main", fault=None, empty=True):
        if empty:
            shutil.rmtree(cache, ignore_errors=True)
        try:
            if fault:
                with hub.fault(*fault):
                    loaded = models.load(name, revision)
            else:
                loaded = models.load(name, revision)
        except ValueError as error:
            results[case] = str(error)
        else:
            local = models.load("neox-0.1m", "step64" if revision == "step1000" else "main")
            pairs = zip(loaded.model.parameters(), local.model.parameters(), strict=True)
            results[case] = all(torch.equal(a, b) for a, b in pairs)

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
    attempt("gated", fault=("gated",))
    attempt("busy once", fault=("busy", "safetensors", 1))
    attempt("broken once", fault=("broken", "safetensors", 1))
    attempt("cut once", fault=("cut", "safetensors", 1))
    attempt("stalled once", fault=("stall", "safetensors", 1))
    attempt("always cut", fault=("cut", "safetensors"))
    attempt("after the cut", empty=False)
    attempt("wrong content", fault=("wrong content", "safetensors"))
    attempt("after mending")
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results():
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    script = SCRIPT.format(here=str(HERE))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "case",
    ["main", "step1000", "from the cache", "busy once", "broken once", "cut once", "stalled once", "after the cut"]
    + ["after mending"],
)
def test_a_model_of_the_hub_is_the_one_that_is_there(results, case):
    assert results[case] is True, results[case]


def test_what_is_in_the_cache_is_not_fetched_again(results):
    assert results["downloads from the cache"] == 0


@pytest.mark.parametrize(
    ("case", "mend"),
    [
        (
            "unknown revision",
            "'EleutherAI/pythia-14m', revision 'step7', could .* the hub knows no such revision of it",
        ),
        ("unknown model", "Model 'nobody/nothing', .* the hub knows no model of that name"),
        ("pickle only", "it has no weights in the format safetensors; choose"),
        ("custom code", "it needs code of its own, and this book runs none from the hub; choose"),
        ("unknown architecture", "transformers does not know its architecture; install a newer one"),
        ("gated", "it is gated: accept its terms on its page, then log in"),
        ("always cut", "the connection broke off; try again"),
        ("wrong content", "a file of its weights is damaged; delete its folder in the cache"),
    ],
)
def test_what_goes_wrong_is_told_in_one_sentence_with_the_mend(results, case, mend):
    assert re.search(mend, str(results[case])), results[case]
    assert "\n" not in results[case]


def test_without_network_and_cache_the_mend_is_named(tmp_path):
    script = "from helpers import models; models.load('EleutherAI/pythia-14m')"
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert "it is not in the cache, and HF_HUB_OFFLINE=1 forbids to fetch it" in done.stderr.splitlines()[-1]
