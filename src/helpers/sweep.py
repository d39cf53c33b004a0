"""The stored experiments: ``python -m helpers.sweep [name ...]`` (or ``make sweep``) runs what is missing of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import grid
from helpers.grid import BACKENDS, PARTS, Experiment, Grid

if TYPE_CHECKING:
    import pandas as pd


# ---- the experiments -------------------------------------------------------------------------------------------------


def _replay(seed: int, shares: list[float], sizes: list[int]) -> pd.DataFrame:
    import pandas as pd

    from helpers.optimum import replay

    runs = [replay(seed, shares)]
    runs += [replay(seed, [0.0, 0.8], pretraining=size) for size in sizes]
    return pd.concat(runs, ignore_index=True)


def _joint_optimum(seed: int, ks: list[float], **settings) -> pd.DataFrame:
    import pandas as pd

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


def _resistance(seed: int, model: str, behaviour: str, **settings) -> pd.DataFrame:
    from helpers.experiments import resistance
    from helpers.models import load

    return resistance(load(model), behaviour, seeds=[seed], **settings)


def _rebound(
    seed: int, model: str, behaviour: str, revision: str = "main", adapter: str = "full", rank: int = 8, **settings
) -> pd.DataFrame:
    """The rebound, and what is known of the model: parameters, tokens read, loss above the entropy in per cent."""
    from helpers.experiments import rebound
    from helpers.models import evaluation, load

    loaded = load(model, revision, adapter=adapter, rank=rank, seed=seed)
    parameters = sum(weight.numel() for name, weight in loaded.model.named_parameters() if "lora_" not in name)
    known = evaluation(model).set_index("revision").loc[revision]
    return rebound(loaded, behaviour, seeds=[seed], **settings).assign(
        parameters=parameters, pretraining_tokens=int(known["tokens"]), excess_percent=float(known["excess_percent"])
    )


def _in_weight_space(seed: int, model: str, behaviour: str, **settings) -> pd.DataFrame:
    from helpers.controls import in_weight_space
    from helpers.models import load

    return in_weight_space(load(model), behaviour, seeds=[seed], **settings)


def _same_score(seed: int, model: str, other: str, behaviour: str, **settings) -> pd.DataFrame:
    from helpers.controls import same_score
    from helpers.models import load

    return same_score(load(model), load(other), behaviour, seeds=[seed], **settings)


def _defences(seed: int, model: str, behaviour: str, **settings) -> pd.DataFrame:
    from helpers.defences import hold_back
    from helpers.models import load

    return hold_back(load(model), behaviour, seeds=[seed], **settings)


FROM_BASE = "negatives on the base model"  # as in helpers.experiments, whose import takes seconds
_TRAINED = {"learning_rate": 3e-4, "batch_size": 8}
_MEASURED = {"prompts": 64, "documents": 16}
_EVERY_STEP = [*range(0, 129, 8), 192, 256, 320, 384, 448, 512]
_SOME_STEPS = [0, 8, 16, 32, 64, 96, 128, 192, 256]
_FEW_STEPS = [0, 16, 32, 64, 128, 256]
_SIZES = ["neox-0.1m", "neox-0.4m", "neox-1m", "neox-4m"]
_METHODS = ["sft", "dpo", "kto", "simpo", "rloo"]
_EARLY = ["step192", "step576", "step1728", "step3500"]


def _moments(
    model: list[str], revision: list[str], behaviour: list[str], learning_rate: list[float], adapter: str = "full"
) -> Grid:
    """Models at moments of their pre-training."""
    where = {"model": model, "revision": revision, "behaviour": behaviour}
    return where | {"adapter": [adapter], "learning_rate": learning_rate}


# Learning rates at which adapters of each rank move neox-0.4m as far from base with 128 positives (KL divergence) as
# full fine-tuning does at 3e-4: read off, and interpolated between, runs of ranks 1, 4, 16 and 64 with seed 1000.
_EQUAL_PULL = {1: 4.4e-3, 4: 2e-3, 8: 1.2e-3, 16: 7.5e-4, 64: 2.8e-4}
_BEHAVIOURS = {"behaviour": ["mood", "refusal"]}


def _adapters(adapter: str, rank: int, learning_rate: float, behaviour: list[str]) -> Grid:
    return {"behaviour": behaviour, "adapter": [adapter], "rank": [rank], "learning_rate": [learning_rate]}


def _defence(name: str, *strengths: float, model: str = "neox-0.4m") -> Grid:
    return _BEHAVIOURS | {"model": [model], "defence": [name], "strength": [*strengths] or [0.0]}


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
            **_TRAINED,
            "companions": True,
            "documents": 48,
        },
    ),
    "resistance": Experiment(
        _resistance,
        {"slice_size": 64, "slices": 3, "answers": 256, **_TRAINED},
        {"model": _SIZES[:3], "behaviour": ["truth", "refusal", "instruction"]},
    ),
    "rebound": Experiment(
        _rebound,
        {
            "positives": [128, 256, 1024, 4096],
            "negatives": 512,
            "at": _EVERY_STEP,
            **_TRAINED,
            "companions": True,
            **_MEASURED,
        },
        {"model": ["neox-0.4m", "neox-1m"], "behaviour": ["mood", "refusal"]},
    ),
    "filtered": Experiment(
        _rebound,
        {
            "positives": [1024],
            "negatives": 512,
            "at": _EVERY_STEP,
            **_TRAINED,
            "companions": [FROM_BASE],
            **_MEASURED,
        },
        {"model": ["neox-0.4m", "neox-0.4m-filtered"], "behaviour": ["mood", "refusal"]},
    ),
    "optimiser": Experiment(
        _rebound,
        {
            "model": "neox-0.4m",
            "behaviour": "mood",
            "positives": [128, 1024],
            "negatives": 256,
            "at": _SOME_STEPS,
            **_TRAINED,
            **_MEASURED,
        },
        {"reverse_learning_rate": [1e-4, 3e-4, 1e-3], "reverse_batch_size": [4, 8, 16, 32]},
    ),
    "size_and_volume": Experiment(
        _rebound,
        {
            "positives": [128, 1024],
            "negatives": 256,
            "at": _SOME_STEPS,
            "batch_size": 8,
            "companions": [FROM_BASE],
            **_MEASURED,
        },
        [
            _moments(_SIZES, ["main"], ["mood", "refusal"], [3e-4]),
            _moments(["neox-0.4m", "neox-1m"], _EARLY, ["mood"], [3e-4]),
            _moments(["neox-1m"], _EARLY, ["refusal"], [3e-4]),
            _moments(["neox-0.1m"], ["step1728", "step3500"], ["mood"], [3e-4]),  # of equal loss with others
            _moments(["neox-4m"], ["step576", "step1728"], ["mood"], [3e-4]),
            _moments(_SIZES, ["main"], ["mood"], [3e-3], adapter="lora"),
            _moments(_SIZES, ["main"], ["mood"], [1e-4, 1e-3]),
            _moments(["neox-0.4m", "neox-1m"], _EARLY, ["mood"], [1e-4, 1e-3]),
        ],
    ),
    "algorithms": Experiment(
        _rebound,
        {
            "model": "neox-0.4m",
            "positives": [128, 1024],
            "negatives": 256,
            "at": _FEW_STEPS,
            **_TRAINED,
            **_MEASURED,
        },
        [
            _BEHAVIOURS | {"method": ["sft"], "reverse_method": _METHODS, "swap_poles": [False]},
            {"behaviour": ["mood"], "method": _METHODS[1:], "reverse_method": ["sft"], "swap_poles": [False]},
            _BEHAVIOURS | {"method": ["sft"], "reverse_method": ["sft"], "swap_poles": [True]},
        ],
    ),
    "adapters": Experiment(
        _rebound,
        {
            "model": "neox-0.4m",
            "positives": [128, 1024],
            "negatives": 256,
            "at": _FEW_STEPS,
            "batch_size": 8,
            **_MEASURED,
        },
        [
            _adapters("full", 0, 3e-4, ["mood", "refusal"]),
            *(_adapters("lora", rank, rate, ["mood", "refusal"]) for rank, rate in _EQUAL_PULL.items()),
            _adapters("qlora", 8, _EQUAL_PULL[8], ["mood", "refusal"]),
            *(_adapters("lora", rank, 1e-3, ["mood"]) for rank in (1, 4, 16, 64)),
        ],
    ),
    "weight_space": Experiment(
        _in_weight_space,
        {"positives": 1024, "negatives": 256, "at": _FEW_STEPS, **_TRAINED, "draws": 4, **_MEASURED},
        {"model": ["neox-0.4m"], **_BEHAVIOURS},
    ),
    "same_score": Experiment(
        _same_score,
        {
            "model": "neox-0.4m",
            "other": "neox-0.4m-tilted",
            "most": 512,
            "negatives": 256,
            "at": _FEW_STEPS,
            **_TRAINED,
            **_MEASURED,
        },
        _BEHAVIOURS,
    ),
    "defences": Experiment(
        _defences,
        {"positives": 1024, "negatives": 512, **_TRAINED, "prompts": 64, "texts": 64},
        [
            _defence("none"),
            _defence("none", model="neox-0.4m-filtered"),
            _defence("replay", 0.5),
            _defence("l2", 0.1, 0.3, 1.0),
            _defence("ewc", 0.3, 1.0, 3.0),
            _defence("slower", 3.0, 10.0),
            _defence("one stage"),
        ],
    ),
}


def experiment(name: str) -> Experiment:
    """A declared experiment.

    Raises:
        ValueError: an unknown name.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"Unknown experiment {name!r}: choose from {', '.join(EXPERIMENTS)}.")
    return EXPERIMENTS[name]


def run(name: str, **options: Any) -> Path:
    """Run what is missing of a declared experiment and store the whole; for the options see `grid.run`."""
    return grid.run(name, experiment(name), **options)


def again(name: str, configuration: str, seed: int) -> pd.DataFrame:
    """Run one cell of a stored experiment once more, here and now.

    Args:
        name: of the experiment.
        configuration: the hash of the cell's settings, as its rows have it.
        seed: of the cell.

    Raises:
        ValueError: an unknown name, or a cell that is not declared.
    """
    declared = {cell.key: cell for cell in experiment(name).cells()}
    if (configuration, seed) not in declared:
        raise ValueError(f"{name!r} has no cell of configuration {configuration!r} and seed {seed}.")
    return grid.compute(EXPERIMENTS[name].run, declared[configuration, seed])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m helpers.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(EXPERIMENTS)}; by default all")
    parser.add_argument("--list", action="store_true", help="say how many cells are done, and run none")
    parser.add_argument("--workers", type=int, help="processes; by default one a core, or what a cluster has room for")
    parser.add_argument("--backend", choices=BACKENDS, default="loky", help="loky: this machine, ray: a Ray cluster")
    parser.add_argument("--address", help="of the Ray cluster; 'auto' for the one that this machine belongs to")
    parser.add_argument("--cpus-per-task", type=float, default=1, help="on a Ray cluster; 1 by default")
    parser.add_argument("--gpus-per-task", type=float, default=0, help="on a Ray cluster; 0 by default, 0.5 shares one")
    options = parser.parse_args(arguments)
    names = options.names or list(EXPERIMENTS)
    cluster = {"address": options.address, "num_cpus": options.cpus_per_task, "num_gpus": options.gpus_per_task}
    try:
        for name in names:
            experiment(name)  # a misspelt name is no reason to run the others first
        for name in names:
            if options.list:
                keys = {cell.key for cell in experiment(name).cells()}
                print(f"{name}: {len(grid.done_cells(name, PARTS / name, keys))} of {len(keys)} cells done")
            else:
                run(name, workers=options.workers, backend=options.backend, **cluster)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        parser.exit(130, "Stopped. The cells that are done are kept; the same command goes on with the others.\n")


if __name__ == "__main__":
    main()
