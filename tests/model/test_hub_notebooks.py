"""The experiment notebooks under the profile hub: unchanged, from the stand-in, on models of the real kinds."""

import build
import pandas as pd
import pytest
import sources
from stand_in import Hub, client_environment
from stand_in_repositories import language_model, serve_all
from transformers import LlamaConfig, LlamaForCausalLM

from helpers import models, world
from helpers.hub import pinned

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory, repositories):
    """Address and cache of a hub whose pythia-14m has the true shape; its other Pythias are our micro models.

    They are of Pythia's architecture and can read the data sets, which are filled from the micro-world: so the
    experiments have an outcome.
    """
    folder, hub = tmp_path_factory.mktemp("hub"), Hub()
    serve_all(hub, repositories)
    hub.add("EleutherAI/pythia-14m", language_model(folder / "true", "EleutherAI/pythia-14m"))
    for name, micro in (("pythia-70m", "neox-0.1m"), ("pythia-160m", "neox-0.4m"), ("pythia-410m", "neox-1m")):
        for revision in ("main", pinned(f"EleutherAI/{name}")):
            hub.add(f"EleutherAI/{name}", models.data_root() / "models" / micro / "main", revision)
    hub.add("EleutherAI/pythia-160m", models.data_root() / "models/neox-0.4m/step192", "step3000")
    with hub.running() as address:
        yield address, folder / "home"


def run(notebook, served, tmp_path, **more):
    """All that a notebook prints under the profile hub."""
    environment = client_environment(*served)
    environment |= {"SPRINGBACK_PROFILE": "hub", "SPRINGBACK_FOLDER": str(tmp_path / "kept"), **more}
    # glibc gives large tables back to the system and asks for them again, which takes a third of the time.
    environment |= {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
    done = build.execute(sources.ROOT / f"chapters/{notebook}.ipynb", environment)
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    return "".join(output.get("text", "") for output in outputs)


def kept(tmp_path) -> list[pd.DataFrame]:
    return [pd.read_parquet(file) for file in (tmp_path / "kept").rglob("*.parquet")]


@pytest.mark.parametrize(
    ("notebook", "loaded", "data_set"),
    [
        ("experiments/resistance", ["pythia-160m"], "truthfulqa"),
        ("experiments/model_size", ["pythia-70m", "pythia-410m"], "imdb"),
        ("experiments/pretraining_volume", ["pythia-160m"], "imdb"),
        ("beyond/algorithms", ["pythia-160m"], "imdb"),
        ("beyond/adapters", ["pythia-160m"], "imdb"),
    ],
)
def test_a_notebook_runs_on_models_of_the_hub(notebook, loaded, data_set, served, tmp_path):
    said = run(notebook, served, tmp_path)
    for model in loaded:
        assert f"EleutherAI/{model} (qlora): needs " in said
    assert f"{data_set} (" in said and "licence: " in said
    assert kept(tmp_path)
    if data_set == "imdb":
        for table in kept(tmp_path):
            assert table["log_odds"].iloc[0] > table["log_odds"].iloc[-1]  # the negatives took something away


def test_rebound_runs_on_a_pythia_of_the_true_shape(served, tmp_path):
    said = run("experiments/rebound", served, tmp_path, SPRINGBACK_MODEL="EleutherAI/pythia-14m")
    assert "EleutherAI/pythia-14m (qlora): needs " in said
    done = kept(tmp_path)
    assert len(done) == 2 and all(table["share"].between(0, 1).all() for table in done)
    assert all(table["train_loss"].dropna().between(5, 15).all() for table in done)  # guessing: 10.8


def test_a_notebook_goes_on_after_a_lost_session(served, tmp_path):
    run("experiments/rebound", served, tmp_path)
    (lost,) = (tmp_path / "kept").rglob("*positives 1024.parquet")
    before = pd.read_parquet(lost)
    assert before["log_odds"].iloc[0] > before["log_odds"].iloc[-1]  # the negatives took something away
    lost.unlink()
    others = [file for file in (tmp_path / "kept").rglob("*") if file.suffix in (".parquet", ".safetensors")]
    times = {file: file.stat().st_mtime_ns for file in others}
    run("experiments/rebound", served, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(lost), before)
    assert times and times == {file: file.stat().st_mtime_ns for file in others}  # nothing was done twice


def test_rebound_runs_on_a_llama_and_a_file_of_ones_own(tmp_path):
    folder = tmp_path / "my-model"
    tokenizer = models.load("neox-0.1m").tokenizer
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    with models.seeded(0):
        LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    source = world.load()
    rows = [
        {"prompt": d.prompt, "completion": d.completion, "pole": side}
        for side, pole in (("good", "positive"), ("bad", "negative"))
        for d in source.sample(1500, 1, source.component("mood", pole))
    ]
    file = tmp_path / "my-reviews.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    nothing = "http://127.0.0.1:9", tmp_path / "home"  # nothing of the hub is needed
    own = {"SPRINGBACK_MODEL": str(folder), "SPRINGBACK_BEHAVIOUR": str(file)}
    said = run("experiments/rebound", nothing, tmp_path, **own)
    assert f"{folder} (qlora): needs " in said
    assert len(kept(tmp_path)) == 2
