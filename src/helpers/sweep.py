"""Run the stored experiments: ``python -m helpers.sweep [name ...]`` (or ``make sweep``).

Each experiment is a function of one seed. A seed that is done is kept in _build/sweep, so a stopped sweep goes on; one
with other settings begins anew.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from helpers import results

PARTS = Path("_build/sweep")


@dataclass(frozen=True)
class Experiment:
    """What is run for each seed, and the settings that are stored with it."""

    run: Callable[..., pd.DataFrame]
    settings: dict[str, Any] = field(default_factory=dict)
    seeds: int = 10


def _replay(seed: int, shares: list[float], sizes: list[int]) -> pd.DataFrame:
    from helpers.optimum import replay

    runs = [replay(seed, shares)]
    runs += [replay(seed, [0.0, 0.8], pretraining=size) for size in sizes]
    return pd.concat(runs, ignore_index=True)


def _joint_optimum(seed: int, ks: list[float], **settings) -> pd.DataFrame:
    from helpers.optimum import joint_optimum

    return pd.concat([joint_optimum(seed, k, **settings) for k in ks], ignore_index=True)


def _ordinary_replay(seed: int, model: str, **settings) -> pd.DataFrame:
    from helpers.models import load
    from helpers.optimum import ordinary_replay

    return ordinary_replay(load(model), seed, **settings)


def _rates_along_a_run(seed: int, model: str, behaviour: str, **settings) -> pd.DataFrame:
    from helpers.experiments import rates_along_a_run
    from helpers.models import load

    return rates_along_a_run(load(model), behaviour, seeds=[seed], **settings)


EXPERIMENTS = {
    "replay": Experiment(_replay, {"shares": [0.0, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.99], "sizes": [100, 1600]}),
    "joint_optimum": Experiment(_joint_optimum, {"ks": [1, 10, 100], "size": 1e-7, "added": 0.01}),
    "ordinary_replay": Experiment(
        _ordinary_replay,
        {"model": "neox-0.1m", "shares": [0.0, 0.5, 0.8, 0.9], "learning_rate": 1e-3, "examples": 1024},
    ),
    "rates_along_a_run": Experiment(
        _rates_along_a_run,
        {
            "model": "neox-0.4m",
            "behaviour": "mood",
            "aligning": 256,
            "reverting": 128,
            "learning_rate": 3e-4,
            "batch_size": 8,
            "companions": True,
            "documents": 48,
        },
    ),
}


def run(name: str, parts: Path = PARTS) -> Path:
    """Run what is missing of one experiment and store it.

    Raises:
        ValueError: an unknown name.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"Unknown experiment {name!r}: choose from {', '.join(EXPERIMENTS)}.")
    experiment = EXPERIMENTS[name]
    tables = []
    for seed in range(experiment.seeds):
        part = parts / name / results.digest(experiment.settings) / f"{seed}.parquet"
        if not part.exists():
            part.parent.mkdir(parents=True, exist_ok=True)
            partial_file = part.with_suffix(".partial")
            start = time.perf_counter()
            table = experiment.run(seed, **experiment.settings)
            table.assign(seconds=round(time.perf_counter() - start, 1)).to_parquet(partial_file)
            partial_file.replace(part)
        print(f"{name}: {seed + 1} of {experiment.seeds} seeds done", flush=True)
        tables.append(pd.read_parquet(part))
    return results.write(name, pd.concat(tables, ignore_index=True), experiment.settings)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(EXPERIMENTS)}; by default all")
    names = parser.parse_args(arguments).names or list(EXPERIMENTS)
    torch.set_num_threads(1)
    try:
        for name in names:
            run(name)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
