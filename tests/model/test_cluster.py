"""The same sweep over a Ray cluster: here one of two workers on this machine, one of which is killed on the way."""

import os
import signal

import pandas as pd
import pytest

from helpers import grid, results

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'springback[cluster]'")


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture
def place(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("SPRINGBACK_DATA", str(tmp_path / "data"))
    return tmp_path


def stored(name):
    return results.read(name).drop(columns=["seconds", "worker"])


# The cells are defined inside the tests: what has no address travels to the workers whole, and they import no tests.


@pytest.mark.timeout(180)
def test_a_sweep_over_ray_survives_a_killed_worker(place):
    def dies_once(seed, folder):
        flag = f"{folder}/died"
        if seed == 3 and not os.path.exists(flag):
            with open(flag, "w") as file:
                file.write(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return pd.DataFrame({"value": [seed, seed**2], "worker": os.getpid()})

    experiment = grid.Experiment(dies_once, {"folder": str(place)}, seeds=12)
    grid.run("spread", experiment, workers=2, backend="ray", parts=place / "parts")
    killed, workers = int((place / "died").read_text()), results.read("spread").groupby("seed")["worker"].first()
    assert workers[3] != killed != os.getpid() and os.getpid() not in set(workers) and workers.nunique() >= 2
    grid.run("serial", experiment, workers=1, parts=place / "parts")
    assert stored("spread").equals(stored("serial"))


def test_a_cell_that_fails_on_the_cluster_is_named(place):
    def fails(seed):
        return pd.DataFrame({"value": [1 / (seed - 1)]})

    with pytest.raises(RuntimeError, match="broken, seed 1: ZeroDivisionError: division by zero"):
        grid.run("broken", grid.Experiment(fails, seeds=2), backend="ray", parts=place / "parts")


def test_a_task_that_the_cluster_has_no_room_for_is_refused(place):
    """It would wait for ever."""
    with pytest.raises(ValueError, match="no room for a task of 1 CPUs and 1 GPUs"):
        grid.run("large", grid.Experiment(pd.DataFrame), backend="ray", parts=place / "parts", num_gpus=1)
