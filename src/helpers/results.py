"""Stored results: one Parquet file an experiment in data/results, each row with where it came from."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import helpers
from helpers.models import data_root, verify, write_manifest

if TYPE_CHECKING:
    import pandas as pd

PROVENANCE = ("configuration", "springback", "torch", "transformers", "trl", "machine")


def digest(configuration: dict[str, Any]) -> str:
    """Twelve hexadecimal digits that tell settings apart."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:12]


def write(name: str, table: pd.DataFrame, configuration: dict[str, Any], root: Path | None = None) -> Path:
    """Store a table as data/results/<name>.parquet, whole or not at all, and list it in the manifest.

    Args:
        name: of the experiment; an older file of that name is replaced.
        table: one row a measurement, with a column ``seed``. The columns of `PROVENANCE` are added.
        configuration: the settings that decide the numbers: plain values, which JSON can hold.
        root: another data folder.

    Raises:
        ValueError: a table without rows or without the column seed.
    """
    if table.empty or "seed" not in table:
        raise ValueError(f"The table for {name!r} needs rows and a column 'seed': without seeds it is no result.")
    table = table.assign(
        configuration=digest(configuration),
        springback=helpers.__version__,
        torch=version("torch"),
        transformers=version("transformers"),
        trl=version("trl"),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    )
    table.attrs = {"configuration": configuration}
    root = Path(root or data_root())
    file = root / "results" / f"{name}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    table.to_parquet(partial, index=False)
    partial.replace(file)
    write_manifest(root)
    return file


def read(name: str, root: Path | None = None) -> pd.DataFrame:
    """A stored table; its settings are in ``table.attrs["configuration"]``.

    Raises:
        ValueError: there is no such file, or it is damaged; the message says what mends it.
    """
    import pandas as pd

    return pd.read_parquet(verify(f"results/{name}.parquet", root))
