"""The engine of stored experiments: runs the cells of a grid that are not done yet, on one core, many, or a cluster.

A cell is one point of the grid with one seed. Once done, it is never run again: it is in data/results, or, until all
are done, in a folder of parts, one file a cell. Killed at any moment, a sweep loses what is in flight and no more.

Workers write nothing: they may be on other machines. They give back the rows of their cell, with all provenance, and
the process that asked keeps them at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import results

if TYPE_CHECKING:
    import pandas as pd

PARTS = Path("_build/sweep")
PATIENCE = 3  # rounds in a row in which workers die and no cell is done
BACKENDS = ("loky", "ray")

Grid = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Experiment:
    """A declaration.

    run: gives the rows of one cell: ``run(seed=..., **settings, **point)``.
    settings: the same in every cell.
    grid: values of the settings that vary; every combination is a point. Several grids are joined.
    """

    run: Callable[..., pd.DataFrame]
    settings: dict[str, Any] = field(default_factory=dict)
    grid: Grid | Sequence[Grid] = field(default_factory=dict)
    seeds: int = 10

    def cells(self) -> list[Cell]:
        """All cells, a seed at a time, so that an unfinished sweep has whole seeds."""
        grids = [self.grid] if isinstance(self.grid, Mapping) else self.grid
        points = [
            dict(zip(grid, values, strict=True)) for grid in grids for values in itertools.product(*grid.values())
        ]
        return [Cell(point, self.settings | point, seed) for seed in range(self.seeds) for point in points]


@dataclass(frozen=True)
class Cell:
    """One point of the grid, all settings there, and a seed."""

    point: dict[str, Any]
    configuration: dict[str, Any]
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        return results.digest(self.configuration), self.seed

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in {"seed": self.seed, **self.point}.items())

    def label(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the point of the grid, but for columns that are there already."""
        return table.assign(**{name: value for name, value in self.point.items() if name not in table})


# ---- one cell --------------------------------------------------------------------------------------------------------


def compute(run: Callable[..., pd.DataFrame], cell: Cell) -> pd.DataFrame:
    """Run one cell here and now: its rows, with the point of the grid, seconds and provenance.

    Raises:
        ValueError: the cell gives no rows, so nobody could tell that it is done.
    """
    start = time.perf_counter()
    with _single_thread():
        table = run(seed=cell.seed, **cell.configuration)
    seconds = round(time.perf_counter() - start, 1)
    if table.empty:
        raise ValueError("the cell gave no rows.")
    return cell.label(table).assign(seed=cell.seed, seconds=seconds, **results.provenance(cell.configuration))


@contextlib.contextmanager
def _single_thread() -> Iterator[None]:
    """One torch thread, for the same numbers everywhere, and no progress bars but the sweep's own."""
    import torch

    threads, progress = torch.get_num_threads(), os.environ.get("SPRINGBACK_PROGRESS", "on")
    torch.set_num_threads(1)
    os.environ["SPRINGBACK_PROGRESS"] = "off"
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.environ["SPRINGBACK_PROGRESS"] = progress


def _work(run: Callable[..., pd.DataFrame], cell: Cell) -> tuple[Cell, pd.DataFrame | Exception]:
    """What a worker does. An error is given back too: what a backend raises is then always a worker's death."""
    try:
        return cell, compute(run, cell)
    except Exception as error:
        failure = RuntimeError(f"{type(error).__name__}: {error}")  # the error itself may not travel
        failure.add_note(traceback.format_exc())
        return cell, failure


# ---- parts: what is done of an unfinished sweep ----------------------------------------------------------------------


def _save_part(folder: Path, label: str, table: pd.DataFrame) -> None:
    """Write rows, whole or not at all, to a file whose name ends with the checksum of its content."""
    content = results.to_bytes(table)
    results.put(folder / f"{label}-{_checksum(content)}.parquet", content)


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _read_parts(folder: Path) -> Iterator[pd.DataFrame]:
    import pandas as pd

    for file in sorted(folder.glob("*.parquet")):
        content = file.read_bytes()
        if not file.stem.endswith(_checksum(content)):
            raise ValueError(f"{file} is damaged (its content is not what its name says): delete it to run it again.")
        yield pd.read_parquet(io.BytesIO(content))


def done_cells(
    name: str, folder: Path, declared: set[tuple[str, int]], root: Path | None = None
) -> dict[tuple[str, int], pd.DataFrame]:
    """The rows of the declared cells that are done, by key.

    A store that does not verify does no harm if the parts have all: the sweep was killed while it was being replaced.

    Raises:
        ValueError: a damaged part or store; the message names the file and the mend.
    """
    tables = list(_read_parts(folder))
    done = _by_cell(tables)
    if not declared <= set(done) and results.path(name, root).exists():
        try:
            done = _by_cell([results.read(name, root)]) | done
        except ValueError as error:
            raise ValueError(f"{error} Or delete that file, to run its cells again.") from None
    return {key: rows for key, rows in done.items() if key in declared}


def _by_cell(tables: Iterable[pd.DataFrame]) -> dict[tuple[str, int], pd.DataFrame]:
    return {
        (configuration, int(seed)): rows
        for table in tables
        for (configuration, seed), rows in table.groupby(["configuration", "seed"], sort=False)
    }


# ---- running ---------------------------------------------------------------------------------------------------------


def run(
    name: str,
    experiment: Experiment,
    *,
    workers: int | None = None,
    backend: str = "loky",
    parts: Path = PARTS,
    root: Path | None = None,
    address: str | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
) -> Path:
    """Run the cells that are missing of one experiment, and store the whole.

    Args:
        name: what the experiment is stored as.
        experiment: its declaration.
        workers: processes; by default one a core, or as many as the cluster has room for. One means none but this.
        backend: "loky" (processes of this machine) or "ray" (a Ray cluster).
        parts: where the cells that are done are kept until all are.
        root: another data folder to store the whole in.
        address: of the Ray cluster; by default the one that RAY_ADDRESS names, else a new one on this machine.
        num_cpus: that a task asks of the Ray cluster.
        num_gpus: the same of GPUs; a fraction shares one.

    Returns:
        the stored file.

    Raises:
        ValueError: an unknown backend, or a damaged part or store; the message names the file and the mend.
        RuntimeError: a cell failed, or workers died again and again; what is done is kept.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    if backend not in BACKENDS:
        raise ValueError(f"Unknown backend {backend!r}: choose from {', '.join(BACKENDS)}.")
    folder = parts / name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {cell.key: cell for cell in experiment.cells()}
    show = os.environ.get("SPRINGBACK_PROGRESS") != "off"
    with results.locked(folder):
        done = done_cells(name, folder, set(wanted), root)
        missing = [cell for key, cell in wanted.items() if key not in done]
        cluster = {"address": address, "num_cpus": num_cpus, "num_gpus": num_gpus}
        pool = _ray_pool(workers, **cluster) if backend == "ray" and missing else {"n_jobs": workers or os.cpu_count()}
        with tqdm(total=len(wanted), initial=len(done), desc=name, unit="cell", disable=not show) as bar:
            for cell, table in _attempts(experiment.run, missing, {"backend": backend, **pool}):
                if isinstance(table, Exception):
                    kept = f"The cells that are done are kept in {folder}."
                    raise RuntimeError(f"{name}, {cell}: {table} {kept}") from table
                _save_part(folder, "-".join(map(str, cell.key)), table)
                bar.update()
        done = done_cells(name, folder, set(wanted), root)
        table = pd.concat([cell.label(done[key]) for key, cell in wanted.items()], ignore_index=True)
        if not table.equals(_stored(name, root)):
            _save_part(folder, "all", table)  # the store's old rows may stand nowhere else while it is replaced
            results.write(name, table, [cell.configuration for cell in wanted.values()], root)
        for file in [*folder.glob("*.parquet"), *folder.glob("*.partial")]:
            file.unlink()
    return results.path(name, root)


def _stored(name: str, root: Path | None) -> pd.DataFrame | None:
    try:
        return results.read(name, root)
    except ValueError:
        return None


def _attempts(
    run: Callable, missing: list[Cell], pool: Mapping[str, Any]
) -> Iterator[tuple[Cell, pd.DataFrame | Exception]]:
    """The cells with their rows, in the order in which they are done. What went down with a worker is tried again."""
    waiting, deaths = {cell.key: cell for cell in missing}, (BrokenExecutor,)
    if pool["backend"] == "ray":
        from ray.exceptions import ObjectLostError, RayActorError

        deaths = (RayActorError, ObjectLostError)
    fruitless = 0
    while waiting:
        before = len(waiting)
        try:
            for cell, table in _results(run, list(waiting.values()), pool):
                del waiting[cell.key]
                yield cell, table
        except deaths as error:
            fruitless = fruitless + 1 if len(waiting) == before else 0
            if fruitless == PATIENCE:
                raise RuntimeError(
                    f"Workers died {PATIENCE} times in a row before a cell was done, as if killed or out of memory; "
                    f"{len(waiting)} cells are missing, among them {next(iter(waiting.values()))}."
                ) from error


def _results(run: Callable, todo: list[Cell], pool: Mapping[str, Any]) -> Iterator:
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(**pool):
        yield from Parallel(return_as="generator_unordered", batch_size=1)(delayed(_work)(run, cell) for cell in todo)


def _ray_pool(workers: int | None, address: str | None, num_cpus: float, num_gpus: float) -> dict[str, Any]:
    """Join a Ray cluster: what `parallel_config` needs to know of it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells no one that it runs
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # without it, a warning about Ray's future
    try:
        import ray
    except ImportError:
        raise ValueError("The backend 'ray' needs Ray: install it with pip install 'springback[cluster]'.") from None
    from joblib import register_parallel_backend
    from ray.util.joblib.ray_backend import RayBackend

    class Streaming(RayBackend):
        """Gives each result as it comes, which Ray's pool can, though joblib's pool that it stands in for cannot."""

        supports_return_generator = True

    register_parallel_backend("ray", Streaming)
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level="error")
    there = ray.cluster_resources()
    room = min(there.get(kind, 0) // asked for kind, asked in (("CPU", num_cpus), ("GPU", num_gpus)) if asked)
    if room < 1:
        raise ValueError(f"The cluster has no room for a task of {num_cpus} CPUs and {num_gpus} GPUs: it has {there}.")
    return {"n_jobs": workers or int(room), "ray_remote_args": {"num_cpus": num_cpus, "num_gpus": num_gpus}}
