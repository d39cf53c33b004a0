"""data/hub.yaml and what the profile hub makes of it."""

import re

import pytest
import torch
from transformers import AutoModelForCausalLM

from helpers import hub, models

# As the models' own pages say.
PARAMETERS = {
    "EleutherAI/pythia-14m": 14_067_712,
    "EleutherAI/pythia-70m": 70_426_624,
    "EleutherAI/pythia-160m": 162_322_944,
    "EleutherAI/pythia-410m": 405_334_016,
    "EleutherAI/pythia-1b": 1_011_781_632,
    "EleutherAI/pythia-1.4b": 1_414_647_808,
    "EleutherAI/pythia-2.8b": 2_775_208_960,
    "Qwen/Qwen2.5-0.5B": 494_032_768,
}


@pytest.fixture
def hub_profile(monkeypatch):
    for name in ("MODEL", "BEHAVIOUR", "FOLDER"):
        monkeypatch.delenv(f"SPRINGBACK_{name}", raising=False)
    monkeypatch.setenv("SPRINGBACK_PROFILE", "hub")


@pytest.mark.parametrize("name", hub.table("models"))
def test_the_shapes_have_the_size_of_the_models(name):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(hub.configuration(name))
    assert model.num_parameters() == PARAMETERS[name]


def test_a_commit_is_a_commit_or_unknown():
    commits = hub._commits({part: hub.table(part) for part in ("models", "data_sets", "text", "classifiers")})
    assert len(commits) >= 17
    for name, commit in commits.items():
        assert commit is None or re.fullmatch("[0-9a-f]{40}", commit), name


def test_a_known_commit_is_asked_for_and_a_named_revision_stays():
    assert hub.pinned("Qwen/Qwen2.5-0.5B") == "060db6499f32faf8b98477b0a26969ef7d8b9987"
    assert hub.pinned("Qwen/Qwen2.5-0.5B", "step3000") == "step3000"
    assert hub.pinned("EleutherAI/pythia-14m") == "main"  # unknown
    assert hub.pinned("some/other") == "main"


def test_without_the_profile_nothing_changes(monkeypatch):
    monkeypatch.delenv("SPRINGBACK_PROFILE", raising=False)
    monkeypatch.setenv("SPRINGBACK_MODEL", "my/own")
    assert [hub.in_place_of(name) for name in ("neox-1m", "mood", "step192")] == ["neox-1m", "mood", "step192"]
    assert hub.results_folder() is None


def test_under_the_profile_something_real_stands_in(hub_profile):
    for name in models.names():
        assert hub.in_place_of(name) in hub.table("models")
    for name in ("mood", "refusal", "truth", "instruction"):
        assert hub.in_place_of(name) in hub.table("data_sets")
    for revision in models.revisions("neox-0.4m"):
        assert re.fullmatch(r"step\d+000|main", hub.in_place_of(revision)), revision
    with pytest.raises(ValueError, match="Nothing stands in for 'neox-9m' under the profile hub: choose from"):
        hub.in_place_of("neox-9m")


def test_ones_own_stands_in_for_all(hub_profile, monkeypatch):
    monkeypatch.setenv("SPRINGBACK_MODEL", "my/folder")
    monkeypatch.setenv("SPRINGBACK_BEHAVIOUR", "my.csv")
    assert [hub.in_place_of(name) for name in ("neox-1m", "mood", "step192")] == ["my/folder", "my.csv", "main"]
    monkeypatch.setenv("SPRINGBACK_MODEL", "EleutherAI/pythia-14m")
    assert hub.in_place_of("step192") == "step3000"


def test_results_go_to_the_drive_where_there_is_one(hub_profile, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert hub.results_folder() == tmp_path / "springback"
    monkeypatch.setattr(hub, "DRIVE", tmp_path / "drive")
    (tmp_path / "drive").mkdir()
    assert hub.results_folder() == tmp_path / "drive/springback"
    monkeypatch.setenv("SPRINGBACK_FOLDER", str(tmp_path / "mine"))
    assert hub.results_folder() == tmp_path / "mine"


def test_a_model_that_is_not_in_the_table_is_refused():
    with pytest.raises(ValueError, match="'some/other' is not in data/hub.yaml: choose from EleutherAI/"):
        hub.configuration("some/other")


def test_pin_writes_the_commits_of_today(monkeypatch, tmp_path):
    import huggingface_hub

    now = {"Qwen/Qwen2.5-0.5B": "a" * 40, "stanfordnlp/imdb": "b" * 40}

    class Api:
        def repo_info(self, name, repo_type):
            assert (repo_type == "dataset") == (
                name.split("/")[1] in "imdb BeaverTails truthful_qa alpaca pile-10k TinyStories"
            )
            return type("Info", (), {"sha": now.get(name, "c" * 40)})

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    changed = hub.pin(target=tmp_path / "hub.yaml")
    assert "Qwen/Qwen2.5-0.5B" in changed and "EleutherAI/pythia-14m" in changed
    import yaml

    written = hub._commits(yaml.safe_load((tmp_path / "hub.yaml").read_text()))
    assert written == {name: now.get(name, "c" * 40) for name in written}
    before, after = (file.read_text() for file in (models.data_root() / "hub.yaml", tmp_path / "hub.yaml"))
    assert re.sub("[0-9a-f]{40}|~", "", before) == re.sub("[0-9a-f]{40}|~", "", after)  # and nothing else
