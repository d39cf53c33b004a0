"""What a lost session leaves behind, and that the same call goes on from it."""

import pandas as pd
import pytest
import torch

from helpers import experiments, models
from helpers.cache import Cache
from helpers.experiments import NEGATIVES

SETTINGS = {"positives": [8, 16], "negatives": 16, "prompts": 8}


@pytest.fixture(scope="module", params=["full", "qlora"])
def base(request):
    return models.load("neox-0.1m", adapter=request.param)


def rebound(base, folder, **more):
    return experiments.rebound(base, "mood", folder=folder, companions=True, **SETTINGS | more)


def test_a_kept_result_is_the_result(base, tmp_path):
    plain = rebound(base, None)
    pd.testing.assert_frame_equal(rebound(base, tmp_path), plain)
    pd.testing.assert_frame_equal(rebound(base, tmp_path), plain)


def test_what_is_done_is_not_done_again_and_what_is_lost_is(base, tmp_path, monkeypatch):
    whole = rebound(base, tmp_path)
    (lost,) = tmp_path.rglob(f"*{NEGATIVES}, positives 16.parquet")
    lost.unlink()
    runs = []
    train = experiments.finetune
    monkeypatch.setattr(experiments, "finetune", lambda *a, **k: runs.append(k["label"]) or train(*a, **k))
    pd.testing.assert_frame_equal(rebound(base, tmp_path), whole)
    assert runs == [NEGATIVES]


def test_resistance_goes_on_too(base, tmp_path, monkeypatch):
    settings = {"slice_size": 8, "slices": 2, "answers": 8}
    whole = experiments.resistance(base, "truth", folder=tmp_path, **settings)
    monkeypatch.setattr(experiments, "finetune", None)  # nothing is trained
    pd.testing.assert_frame_equal(experiments.resistance(base, "truth", folder=tmp_path, **settings), whole)


def test_other_settings_or_another_model_are_other_results(tmp_path):
    for revision, rate in (("main", 3e-4), ("main", 1e-3), ("step64", 3e-4)):
        rebound(models.load("neox-0.1m", revision), tmp_path, learning_rate=rate)
    retrained = models.load("neox-0.1m")  # another model under the same name
    with torch.no_grad():
        retrained.model.get_input_embeddings().weight.add_(1e-3)
    rebound(retrained, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_other_adapters_are_other_results(tmp_path):
    settings = ({}, {"seed": 1}, {"alpha": 1}, {"adapter": "qlora"})
    for more in settings:
        experiments.rebound(
            models.load("neox-0.1m", **{"adapter": "lora", **more}), "mood", folder=tmp_path, **SETTINGS
        )
    assert len(list(tmp_path.iterdir())) == len(settings)


def test_a_result_that_is_there_is_drawn(base, tmp_path):
    rebound(base, tmp_path)
    drawn = []
    whole = rebound(base, tmp_path, on_measure=drawn.append)
    assert len(drawn[-1]) == len(whole)


def test_what_cannot_be_kept_is_not_lost(base, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.warns(UserWarning, match=r"cannot be kept in .*No space left .*SPRINGBACK_FOLDER .*the run goes on"):
        found = rebound(base, tmp_path)
    pd.testing.assert_frame_equal(found, rebound(base, None))
    assert not list(tmp_path.rglob("*.partial"))


def test_a_damaged_file_is_named_with_the_mend(base, tmp_path):
    rebound(base, tmp_path)
    table = next(tmp_path.rglob("*.parquet"))
    kept = table.read_bytes()
    table.write_bytes(kept[:50])
    with pytest.raises(ValueError, match=r"\.parquet is damaged: delete it to run that part again"):
        rebound(base, tmp_path)
    table.write_bytes(kept)
    next(tmp_path.rglob("*.safetensors")).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"\.safetensors is damaged: delete it to train that model again"):
        rebound(base, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="Results cannot be kept in .*file .*SPRINGBACK_FOLDER"):
        Cache(tmp_path / "file", seed=0)
