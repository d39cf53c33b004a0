"""The script behind `make gpu-evidence`, in its smallest form and without a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from helpers import memory, models

SCRIPT = Path(__file__).parents[1] / "bench" / "gpu_evidence.py"
sys.path.insert(0, str(SCRIPT.parent))
import gpu_evidence  # noqa: E402

MODEL = "EleutherAI/pythia-14m"
ARGUMENTS = ["--smallest", "--device", "cpu", "--to"]
pytestmark = pytest.mark.filterwarnings("ignore:_check_is_size:FutureWarning")  # bitsandbytes to torch


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The file that a run left, and what it printed."""
    folder = tmp_path_factory.mktemp("evidence")
    command = [sys.executable, str(SCRIPT), *ARGUMENTS, str(folder)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "cpu.json", run.stdout


def test_the_smallest_form_measures_every_part(done):
    file, printed = done
    content = json.loads(file.read_text())
    assert [path.name for path in file.parent.iterdir()] == ["cpu.json"]
    parts = content["models"][MODEL]
    assert list(parts) == ["ours", "trl_defaults", "nf4", "limited", "limited_long"]
    assert [part["failed"] for part in parts.values()] == [None] * 5
    for part in ("ours", "trl_defaults"):
        assert parts[part]["steps_per_second"] > 0
        assert parts[part]["tokens_per_second"] == 64 * parts[part]["steps_per_second"]
        assert parts[part]["steps_measured"] == 1
        assert 0.2 < parts[part]["peak_gb"] < 4
        assert parts[part]["trained_weights"] > 0
    assert parts["trl_defaults"]["gradient_checkpointing"]
    assert 0 < parts["ours"]["planned_gb"] < parts["ours"]["peak_gb"]  # on a CPU Python's own memory comes on top
    ratio = content["ours_to_trl_defaults"][MODEL]
    assert ratio["speed"] == parts["ours"]["steps_per_second"] / parts["trl_defaults"]["steps_per_second"]
    assert ratio["peak_memory"] == parts["ours"]["peak_gb"] / parts["trl_defaults"]["peak_gb"]
    assert parts["nf4"]["rounding_error"] == pytest.approx(0.092, abs=0.002)
    assert "4 of 8 x 128" in printed and "NF4 " in printed and "right" in printed


def test_under_the_limit_the_plan_decides(done):
    parts = json.loads(done[0].read_text())["models"][MODEL]
    whole, fewer = parts["limited"], parts["limited_long"]
    assert whole["examples_at_once"] == whole["examples_a_step"] == 2
    assert fewer["examples_at_once"] == fewer["planned_examples_at_once"] < fewer["examples_a_step"]
    for part in (whole, fewer):
        assert part["planned_gb"] < part["limit_gb"]
        assert part["peak_gb"] - part["held_before_gb"] < part["limit_gb"]


def test_the_file_says_where_the_numbers_come_from(done):
    content = json.loads(done[0].read_text())
    versions = {"springback", "torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "python"}
    assert versions | {"device", "machine", "configuration"} <= set(content["about"])
    assert content["settings"]["seed"] == 0
    assert all(part["date"] and part["seconds"] > 0 for part in content["models"][MODEL].values())


def here(function, *arguments):
    """In place of a process of its own, where that is not what is tested."""
    return {"failed": None, **gpu_evidence._quietly(function, *arguments), "seconds": 0.0}


def test_a_second_run_skips_what_is_there(done, monkeypatch, capsys):
    monkeypatch.setattr(gpu_evidence, "in_its_own_process", here)
    monkeypatch.setattr(gpu_evidence, "build", broken)
    file, _ = done
    before = file.read_bytes(), file.stat().st_mtime_ns
    gpu_evidence.main([*ARGUMENTS, str(file.parent)])
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert "4 of 8 x 128" in capsys.readouterr().out


def test_a_stopped_run_goes_on(done, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_evidence, "in_its_own_process", here)
    monkeypatch.setattr(gpu_evidence, "build", fine)
    monkeypatch.setitem(gpu_evidence.PARTS, "nf4", fine)
    content = json.loads(done[0].read_text())
    del content["models"][MODEL]["nf4"]
    (tmp_path / "cpu.json").write_text(json.dumps(content))
    gpu_evidence.main([*ARGUMENTS, str(tmp_path)])
    parts = json.loads((tmp_path / "cpu.json").read_text())["models"][MODEL]
    assert set(parts.pop("nf4")) == {"failed", "seconds", "date"}
    assert parts == content["models"][MODEL]


def test_a_run_with_other_versions_is_not_mixed_in(done, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_evidence, "in_its_own_process", here)
    content = json.loads(done[0].read_text())
    content["about"]["peft"] = "0.0"
    (tmp_path / "cpu.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="another peft: --again measures everything anew"):
        gpu_evidence.main([*ARGUMENTS, str(tmp_path)])
    assert json.loads((tmp_path / "cpu.json").read_text()) == content


# ---- failures: parts that need no model ----------------------------------------------------------------------------


def broken(*_):
    raise ValueError("it broke")


def killed(*_):
    os._exit(9)


def fine(*_):
    return {}


def measured(folder, *more):
    """The parts of the file, and the exit status."""
    try:
        status = gpu_evidence.main([*ARGUMENTS, str(folder), *more])
    except SystemExit as stopped:
        status = stopped.code
    return json.loads((folder / "cpu.json").read_text())["models"][MODEL], status


def test_a_part_that_fails_is_recorded_and_stops_no_other(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu_evidence, "build", fine)
    monkeypatch.setattr(gpu_evidence, "PARTS", {"ours": broken, "limited": killed, "nf4": fine})
    parts, status = measured(tmp_path)
    died = "the process died: perhaps the system's memory ran out"
    assert {name: part["failed"] for name, part in parts.items()} == {
        "ours": "ValueError: it broke",
        "limited": died,
        "nf4": None,
    }
    assert status == 1
    assert f"{MODEL}, ours: ValueError: it broke" in capsys.readouterr().out.splitlines()


def test_a_model_that_cannot_be_built_fails_until_again(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_evidence, "in_its_own_process", here)
    monkeypatch.setattr(gpu_evidence, "build", broken)
    monkeypatch.setattr(gpu_evidence, "PARTS", {"nf4": fine})
    failed, status = measured(tmp_path)
    assert failed["nf4"]["failed"] == "ValueError: it broke" and status == 1
    monkeypatch.setattr(gpu_evidence, "build", fine)
    assert measured(tmp_path) == (failed, 1)
    parts, status = measured(tmp_path, "--again")
    assert parts["nf4"]["failed"] is None and status is None


def test_without_a_gpu_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="PyTorch finds no GPU here; .* --smallest --device cpu --to FOLDER"):
        gpu_evidence.main([])


def test_trials_stay_out_of_the_data():
    with pytest.raises(SystemExit, match="give another folder by --to"):
        gpu_evidence.main(["--smallest", "--device", "cpu"])


def test_a_file_in_data_is_listed(monkeypatch, tmp_path):
    monkeypatch.setenv("SPRINGBACK_DATA", str(tmp_path))
    for content in ({"models": {}}, {"models": {"one": {}}}):
        gpu_evidence.store(tmp_path / "results" / "gpu" / "some.json", content)
        assert json.loads(models.verify("results/gpu/some.json").read_text()) == content
    assert not list(tmp_path.rglob("*.partial"))


def test_a_limit_is_what_the_plan_sees(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: 10**15)
    before = gpu_evidence.limit(1e9, "cpu")
    held = torch.ones(10**8)
    assert memory.free("cpu") == pytest.approx(1e9 - held.nbytes, abs=5e7)
    assert before > 1e8


# ---- NF4 -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def layer():
    """A weight matrix and a 4-bit layer made of it."""
    from bitsandbytes.nn import Linear4bit  # here: the processes of the tests above import this module, too

    with models.seeded(0):
        weight, bias = torch.randn(96, 128), torch.randn(96)
    layer = Linear4bit(128, 96, compute_dtype=torch.float32, quant_type="nf4")
    layer.load_state_dict({"weight": weight, "bias": bias})
    return weight, layer.to("cpu")


def test_nf4_agrees_with_the_reference(layer):
    found = gpu_evidence.compare(*layer, rows=5)
    assert "failed" not in found
    assert set(found["differences"]) == {"quantised", "quantised_doubly", "forward", "forward_of_one_row"}


def test_another_level_is_noticed(layer, monkeypatch):
    monkeypatch.setattr(gpu_evidence, "LEVELS", (*gpu_evidence.LEVELS[:-2], 0.75, 1.0))
    found = gpu_evidence.compare(*layer, rows=5)
    assert found["failed"].startswith("quantised: the difference is larger than allowed")


def test_a_wrong_forward_is_noticed(layer):
    weight, module = layer
    module.register_forward_hook(lambda module, given, output: output * 1.001)
    found = gpu_evidence.compare(weight, module, rows=5)
    assert found["failed"] == "; ".join(
        f"{what}: the difference is larger than allowed" for what in ("forward", "forward_of_one_row")
    )


def test_another_weight_is_noticed(layer):
    weight, module = layer
    found = gpu_evidence.compare(weight.roll(1, 0), module, rows=5)
    assert found["failed"] == "quantised_doubly: the difference is larger than allowed"
