"""Stored results: come back as they were, with where they came from; what is damaged or unknown is refused."""

import pandas as pd
import pytest

from helpers import results, sweep

TABLE = pd.DataFrame({"seed": [0, 1], "ratio": [-1.0, -1.1]})


def test_a_table_comes_back_with_its_settings_and_provenance(tmp_path):
    file = results.write("spring", TABLE, {"rate": 0.1}, root=tmp_path)
    table = results.read("spring", root=tmp_path)
    assert file.name == "spring.parquet"
    assert table[list(TABLE)].equals(TABLE)
    assert set(table) == {*TABLE, *results.PROVENANCE}
    assert table.attrs["configuration"] == {"rate": 0.1}
    assert list(tmp_path.rglob("*.partial")) == []


def test_other_settings_have_another_hash(tmp_path):
    hashes = set()
    for rate in (0.1, 0.2, 0.1):
        results.write("spring", TABLE, {"rate": rate}, root=tmp_path)
        hashes |= set(results.read("spring", root=tmp_path)["configuration"])
    assert len(hashes) == 2


def test_a_damaged_file_is_refused_by_name(tmp_path):
    file = results.write("spring", TABLE, {}, root=tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"spring.parquet is damaged .*restore it"):
        results.read("spring", root=tmp_path)


def test_an_unknown_name_is_refused(tmp_path):
    results.write("spring", TABLE, {}, root=tmp_path)
    with pytest.raises(ValueError, match=r"sprang.parquet is not listed"):
        results.read("sprang", root=tmp_path)


@pytest.mark.parametrize("table", [TABLE[:0], TABLE.drop(columns="seed")])
def test_a_table_without_rows_or_seeds_is_no_result(tmp_path, table):
    with pytest.raises(ValueError, match="'spring' needs rows and a column 'seed'"):
        results.write("spring", table, {}, root=tmp_path)


# ---- sweeps --------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """An experiment that notes which seeds were run, in a data folder of its own."""
    ran = []

    def run(seed, factor):
        ran.append(seed)
        return pd.DataFrame({"seed": [seed], "value": [factor * seed]})

    monkeypatch.setenv("SPRINGBACK_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(sweep.EXPERIMENTS, "counted", sweep.Experiment(run, {"factor": 2}, seeds=3))
    return ran


def test_a_sweep_runs_what_is_missing_and_stores_all(tmp_path, counted):
    sweep.run("counted", tmp_path / "parts")
    assert counted == [0, 1, 2]
    next(tmp_path.glob("parts/counted/*/1.parquet")).unlink()
    sweep.run("counted", tmp_path / "parts")
    assert counted == [0, 1, 2, 1]
    table = results.read("counted")
    assert list(table["value"]) == [0, 2, 4]
    assert (table["seconds"] >= 0).all()
    assert table.attrs["configuration"] == {"factor": 2}


def test_a_seed_that_fails_leaves_the_others_done(tmp_path, counted, monkeypatch):
    def fails(seed, factor):
        if seed == 2:
            raise RuntimeError("stopped")
        return pd.DataFrame({"seed": [seed]})

    monkeypatch.setitem(sweep.EXPERIMENTS, "counted", sweep.Experiment(fails, {"factor": 2}, seeds=3))
    with pytest.raises(RuntimeError):
        sweep.run("counted", tmp_path / "parts")
    assert sorted(file.name for file in tmp_path.glob("parts/counted/*/*")) == ["0.parquet", "1.parquet"]


def test_seeds_that_were_run_with_other_settings_do_not_count(tmp_path, counted, monkeypatch):
    sweep.run("counted", tmp_path / "parts")
    other = sweep.Experiment(sweep.EXPERIMENTS["counted"].run, {"factor": 3}, seeds=3)
    monkeypatch.setitem(sweep.EXPERIMENTS, "counted", other)
    sweep.run("counted", tmp_path / "parts")
    assert list(results.read("counted")["value"]) == [0, 3, 6]


def test_an_unknown_experiment_lists_the_known_ones(tmp_path, capsys):
    with pytest.raises(ValueError, match="Unknown experiment 'recoil': choose from .*replay"):
        sweep.run("recoil", tmp_path)
    with pytest.raises(SystemExit):
        sweep.main(["recoil"])
    assert "Unknown experiment 'recoil'" in capsys.readouterr().err


def test_every_experiment_has_ten_seeds():
    assert min(experiment.seeds for experiment in sweep.EXPERIMENTS.values()) >= 10
