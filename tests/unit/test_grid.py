"""The engine of stored experiments: every cell once, nothing lost, nothing damaged taken for whole."""

import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import experiments, grid, models, results, sweep

CHEAP = {"factor": [1, 2, 3, 4], "level": [0.0, 0.5]}
SLEEP = 0.004


def cheap(seed, factor, level, offset):
    """A cell that takes a moment and whose rows depend on all that it is given. It notes that it was begun."""
    if "SWEEP_LOG" in os.environ:
        with open(os.environ["SWEEP_LOG"], "a") as log:
            log.write("begun\n")
    time.sleep(SLEEP)
    values = np.random.default_rng([seed, factor]).normal(level + offset, 1, 3)
    return pd.DataFrame({"value": values, "step": [0, 1, 2]})


def experiment(seeds=5, **changes):
    return grid.Experiment(cheap, {"offset": 1.0}, CHEAP | changes, seeds)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A data folder and a folder for the parts, of this test alone."""
    monkeypatch.setenv("SPRINGBACK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SPRINGBACK_PROGRESS", "off")
    return tmp_path / "parts"


@pytest.fixture
def ran(monkeypatch):
    """Notes the cells that are run in this process."""
    seen = []
    compute = grid.compute
    monkeypatch.setattr(grid, "compute", lambda run, cell: seen.append(cell.key) or compute(run, cell))
    return seen


def rows_of(name="cheap"):
    return results.read(name).drop(columns="seconds")


# ---- what is run -------------------------------------------------------------------------------------------------


def test_every_cell_is_run_once_and_stored_with_its_point_and_provenance(place, ran):
    grid.run("cheap", experiment(), workers=1, parts=place)
    assert len(ran) == len(set(ran)) == 4 * 2 * 5
    table = results.read("cheap")
    assert len(table) == 3 * len(ran) and not table.isna().any().any()
    assert {"factor", "level", "seed", "seconds", *results.PROVENANCE} <= set(table)
    first = table.iloc[0]
    settings = table.attrs["configurations"][first["configuration"]]
    assert settings == {"offset": 1.0, "factor": first["factor"], "level": first["level"]}
    assert (table["seconds"] >= 0).all()
    assert not list(place.rglob("*.parquet"))


def test_nothing_is_run_twice(place, ran):
    file = grid.run("cheap", experiment(), workers=1, parts=place)
    written = file.stat().st_mtime_ns
    ran.clear()
    grid.run("cheap", experiment(), workers=1, parts=place)
    assert ran == [] and file.stat().st_mtime_ns == written


def test_only_what_is_new_is_run_and_what_is_no_longer_declared_goes(place, ran):
    grid.run("cheap", experiment(seeds=2), workers=1, parts=place)
    ran.clear()
    grid.run("cheap", experiment(seeds=3, factor=[2, 3, 9]), workers=1, parts=place)
    assert len(ran) == 2 * 2 + 3 * 2  # the new factor for the old seeds, and all for the new one
    fresh = results.read("cheap")
    rows = fresh[["seed", "factor", "level"]].drop_duplicates().itertuples(index=False, name=None)
    assert list(rows) == list(itertools.product([0, 1, 2], [2, 3, 9], [0.0, 0.5]))  # as declared, not as run
    grid.run("again", experiment(seeds=3, factor=[2, 3, 9]), workers=1, parts=place)
    assert rows_of().equals(rows_of("again"))


def test_rows_of_before_the_grid_had_an_axis_are_kept_and_get_its_column(place, ran):
    """What was a setting may later vary: a cell with the old value is the same cell."""
    grid.run(
        "cheap", grid.Experiment(cheap, {"offset": 1.0, "level": 0.0}, {"factor": [1, 2]}, 2), parts=place, workers=1
    )
    assert "level" not in results.read("cheap")
    ran.clear()
    grid.run(
        "cheap",
        grid.Experiment(cheap, {"offset": 1.0}, {"factor": [1, 2], "level": [0.0, 0.5]}, 2),
        parts=place,
        workers=1,
    )
    assert len(ran) == 4
    assert results.read("cheap").groupby("level").size().to_dict() == {0.0: 12, 0.5: 12}


def test_grids_can_be_joined():
    both = grid.Experiment(cheap, {}, [{"factor": [1, 2], "level": [0.0]}, {"factor": [3], "level": [0.5]}], seeds=1)
    assert [cell.point for cell in both.cells()] == [
        {"factor": 1, "level": 0.0},
        {"factor": 2, "level": 0.0},
        {"factor": 3, "level": 0.5},
    ]


def test_without_a_grid_the_hash_is_that_of_the_settings():
    (cell,) = grid.Experiment(cheap, {"offset": 1.0}, seeds=1).cells()
    assert cell.key == (results.digest({"offset": 1.0}), 0)


def test_another_data_folder_is_stored_in_and_read_again(place, ran, tmp_path):
    file = grid.run("cheap", experiment(seeds=1), workers=1, parts=place, root=tmp_path / "mine")
    assert file == results.path("cheap", tmp_path / "mine") and not results.path("cheap").exists()
    ran.clear()
    grid.run("cheap", experiment(seeds=2), workers=1, parts=place, root=tmp_path / "mine")
    assert len(ran) == 8 and len(results.read("cheap", tmp_path / "mine")) == 48


def test_two_workers_give_the_same_table_as_one(place):
    grid.run("cheap", experiment(), workers=1, parts=place)
    grid.run("other", experiment(), workers=2, parts=place)
    assert rows_of().equals(rows_of("other"))


def test_a_cell_has_one_thread_and_no_bars_and_leaves_both_as_they_were(monkeypatch):
    def look(seed):
        return pd.DataFrame({"threads": [torch.get_num_threads()], "progress": [os.environ["SPRINGBACK_PROGRESS"]]})

    monkeypatch.setenv("SPRINGBACK_PROGRESS", "on")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        (row,) = grid.compute(look, grid.Cell({}, {}, 0)).itertuples()
        assert (row.threads, row.progress) == (1, "off")
        assert (torch.get_num_threads(), os.environ["SPRINGBACK_PROGRESS"]) == (2, "on")
    finally:
        torch.set_num_threads(before)


# ---- what goes wrong ---------------------------------------------------------------------------------------------


def fails(seed, factor):
    if (seed, factor) == (1, 2):
        raise ArithmeticError("nothing adds up")
    return pd.DataFrame({"value": [factor]})


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cell_that_fails_is_named_and_the_others_are_kept(place, workers):
    failing = grid.Experiment(fails, {}, {"factor": [1, 2]}, seeds=2)
    with pytest.raises(RuntimeError, match=r"cheap, seed 1, factor 2: ArithmeticError: nothing adds up.* kept in"):
        grid.run("cheap", failing, workers=workers, parts=place)
    assert len(list(place.rglob("*.parquet"))) >= (3 if workers == 1 else 2)
    with pytest.raises(ValueError, match="MANIFEST.json is missing"):  # nothing was stored
        results.read("cheap")


def fails_oddly(seed):
    class Odd(Exception):  # what no process can send to another
        def __init__(self, a, b):
            super().__init__(f"{a} {b}")

    raise Odd("very", "odd")


def test_what_a_cell_raises_need_not_travel_and_its_place_is_told(place):
    with pytest.raises(RuntimeError, match="cheap, seed [01]: Odd: very odd") as caught:
        grid.run("cheap", grid.Experiment(fails_oddly, seeds=2), workers=2, parts=place)
    assert "in fails_oddly" in caught.value.__cause__.__notes__[0]


def test_a_cell_without_rows_is_a_failure(place):
    with pytest.raises(RuntimeError, match="cheap, seed 0: ValueError: the cell gave no rows"):
        grid.run("cheap", grid.Experiment(lambda seed: pd.DataFrame({"value": []})), workers=1, parts=place)


def dies(seed, folder):
    """The first run of seed 3 takes its worker down with it."""
    flag = Path(folder) / "died"
    if seed == 3 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return pd.DataFrame({"value": [seed]})


def test_a_killed_worker_costs_no_cell(place, tmp_path):
    grid.run("cheap", grid.Experiment(dies, {"folder": str(tmp_path)}, seeds=8), workers=2, parts=place)
    assert (tmp_path / "died").exists()
    assert results.read("cheap")["value"].tolist() == list(range(8))


def always_dies(seed):
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_that_always_die_end_the_sweep(place):
    with pytest.raises(RuntimeError, match="Workers died 3 times .*; 2 cells are missing, among them seed 0"):
        grid.run("cheap", grid.Experiment(always_dies, {}, seeds=2), workers=2, parts=place)


def interrupted(place):
    """Parts of a sweep that was stopped in its middle."""
    failing = grid.Experiment(fails, {}, {"factor": [1, 2]}, seeds=2)
    with pytest.raises(RuntimeError):
        grid.run("cheap", failing, workers=1, parts=place)
    return sorted(place.rglob("*.parquet"))


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content.replace(b"PAR1", b"PAR2", 1)])
def test_a_damaged_part_is_refused_by_name_until_it_is_deleted(place, damage):
    part = interrupted(place)[0]
    part.write_bytes(damage(part.read_bytes()))
    whole = grid.Experiment(lambda seed, factor: pd.DataFrame({"value": [factor]}), {}, {"factor": [1, 2]}, seeds=2)
    with pytest.raises(ValueError, match=f"{part} is damaged .*delete it"):
        grid.run("cheap", whole, workers=1, parts=place)
    part.unlink()
    grid.run("cheap", whole, workers=1, parts=place)
    assert results.read("cheap")["value"].tolist() == [1, 2, 1, 2]


def test_an_edited_store_is_refused_by_name(place):
    file = grid.run("cheap", experiment(seeds=1), workers=1, parts=place)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"cheap.parquet is damaged .*restore it.* Or delete that file"):
        grid.run("cheap", experiment(seeds=2), workers=1, parts=place)
    file.unlink()
    grid.run("cheap", experiment(seeds=2), workers=1, parts=place)
    assert set(results.read("cheap")["seed"]) == {0, 1}


def test_a_store_whose_replacement_was_cut_off_is_mended(place, monkeypatch):
    """Killed between the table and the manifest: the next sweep has all rows in its parts."""
    grid.run("cheap", experiment(seeds=1), workers=1, parts=place)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(models, "list_in_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            grid.run("cheap", experiment(seeds=2), workers=1, parts=place)
    with pytest.raises(ValueError, match="damaged"):
        results.read("cheap")
    grid.run("cheap", experiment(seeds=2), workers=1, parts=place)
    grid.run("again", experiment(seeds=2), workers=1, parts=place)
    assert rows_of().equals(rows_of("again"))


def sweep_in(folder):
    folder.mkdir(exist_ok=True)
    os.environ |= {"SPRINGBACK_DATA": f"{folder}/data", "SPRINGBACK_PROGRESS": "off", "SWEEP_LOG": f"{folder}/log"}
    grid.run("cheap", experiment(), workers=1, parts=folder / "parts")


def test_a_second_sweep_of_the_same_experiment_waits_and_finds_all_done(tmp_path, monkeypatch):
    processes = multiprocessing.get_context("fork")
    both = [processes.Process(target=sweep_in, args=(tmp_path / "both",)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert (tmp_path / "both/log").read_text().count("begun") == 40


@pytest.mark.timeout(300)
def test_killed_a_hundred_times_it_ends_with_the_same_table(tmp_path, monkeypatch):
    """kill -9 at random moments, each time going on with what is there; a sweep that ends begins anew elsewhere."""
    processes = multiprocessing.get_context("fork")
    dice, kills, here, finished = random.Random(), 0, 0, []  # here: kills of the sweep under way
    while kills < 100 or here:
        place = tmp_path / str(len(finished))
        child = processes.Process(target=sweep_in, args=(place,))
        child.start()
        child.join(dice.uniform(0.005, 0.3) if kills < 100 else None)
        if child.is_alive():
            child.kill()
            child.join()
            kills, here = kills + 1, here + 1
            continue
        assert child.exitcode == 0
        begun = (place / "log").read_text().count("begun")
        assert 40 <= begun <= 40 + here, "a kill costs the cell in flight and no other"
        finished.append(place)
        here = 0
    monkeypatch.setenv("SPRINGBACK_DATA", f"{tmp_path}/undisturbed")
    grid.run("cheap", experiment(), workers=1, parts=tmp_path / "parts")
    undisturbed = rows_of()
    assert len(undisturbed) == 3 * 40
    for place in finished:
        monkeypatch.setenv("SPRINGBACK_DATA", f"{place}/data")
        assert rows_of().equals(undisturbed)
        assert {file.name for file in place.rglob("*") if file.is_file()} == {"cheap.parquet", "MANIFEST.json", "log"}


# ---- what is declared --------------------------------------------------------------------------------------------


def test_an_unknown_experiment_lists_the_known_ones(capsys):
    with pytest.raises(ValueError, match="Unknown experiment 'recoil': choose from .*replay"):
        sweep.run("recoil")
    with pytest.raises(SystemExit):
        sweep.main(["recoil"])
    assert "Unknown experiment 'recoil'" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(sweep.EXPERIMENTS))
def test_an_experiment_is_stored_whole_with_ten_seeds_or_not_yet(name):
    cells = sweep.experiment(name).cells()
    keys = [cell.key for cell in cells]
    assert len(keys) == len(set(keys)) and {cell.seed for cell in cells} >= set(range(10))
    if not results.path(name).exists():
        pytest.skip("not run yet")
    stored = results.read(name)[["configuration", "seed"]].drop_duplicates()
    assert set(stored.itertuples(index=False, name=None)) == set(keys), "run 'make sweep' and commit what it writes"


def test_the_declarations_need_no_heavy_import():
    """`make sweep` answers --help and a misspelt name at once."""
    script = "import sys; from helpers import sweep; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    assert sweep.FROM_BASE == experiments.FROM_BASE


def test_the_list_says_how_many_cells_are_done(place, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "PARTS", place)
    monkeypatch.setitem(sweep.EXPERIMENTS, "cheap", experiment(seeds=2))
    sweep.main(["--list", "cheap"])
    sweep.run("cheap", workers=1, parts=place)
    monkeypatch.setitem(sweep.EXPERIMENTS, "cheap", experiment(seeds=3))
    sweep.main(["--list", "cheap"])
    assert capsys.readouterr().out == "cheap: 0 of 16 cells done\ncheap: 16 of 24 cells done\n"


def test_a_cell_that_is_not_declared_is_refused():
    with pytest.raises(ValueError, match="'replay' has no cell of configuration 'abc' and seed 0"):
        sweep.again("replay", "abc", 0)
