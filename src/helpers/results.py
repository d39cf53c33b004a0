"""Stored results: one Parquet file an experiment in data/results, each row with where it came from."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import helpers

if TYPE_CHECKING:
    import pandas as pd

LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "datasets")
PROVENANCE = ("configuration", "springback", "torch", "transformers", "trl", "machine")


def digest(configuration: dict[str, Any]) -> str:
    """Twelve hexadecimal digits that tell settings apart."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """Of this book and of the libraries that train."""
    return {"springback": helpers.__version__, **{name: version(name) for name in LIBRARIES}}


def provenance(configuration: dict[str, Any]) -> dict[str, str]:
    """The columns of `PROVENANCE` for rows that are made here and now with these settings."""
    import torch

    from helpers.models import default_device

    libraries = {name: made_with for name, made_with in versions().items() if name in PROVENANCE}
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if default_device() == "cuda":
        machine += f", {torch.cuda.get_device_name()}"
    return {"configuration": digest(configuration), **libraries, "machine": machine}


def write(name: str, table: pd.DataFrame, configurations: list[dict[str, Any]], root: Path | None = None) -> Path:
    """Store a table as data/results/<name>.parquet, whole or not at all, and list it in the manifest.

    Args:
        name: of the experiment; an older file of that name is replaced.
        table: one row a measurement, with a column ``seed`` and those of `PROVENANCE`.
        configurations: the settings that decide the numbers, of all rows: plain values, which JSON can hold.
        root: another data folder.

    Raises:
        ValueError: a table without rows, without a column, or with rows of other configurations.
    """
    if missing := [column for column in ("seed", *PROVENANCE) if column not in table]:
        raise ValueError(
            f"The table for {name!r} lacks the column {missing[0]!r}: rows of unknown origin are no result."
        )
    if table.empty:
        raise ValueError(f"The table for {name!r} has no rows.")
    known = {digest(configuration): configuration for configuration in configurations}
    if unknown := set(table["configuration"]) - set(known):
        raise ValueError(f"The table for {name!r} has rows of the configuration {min(unknown)}, which was not given.")
    from helpers.models import list_in_manifest

    table = table.copy()
    table.attrs = {"configurations": known}
    file = path(name, root)
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(file.parent):
        for left_by_the_dead in file.parent.glob("*.partial"):
            left_by_the_dead.unlink()
        put(file, to_bytes(table))
        list_in_manifest(file, file.parents[1])
    return file


def read(name: str, root: Path | None = None) -> pd.DataFrame:
    """A stored table; the settings of its rows are in ``table.attrs["configurations"]``, by their hash.

    Raises:
        ValueError: there is no such file, or it is damaged; the message says what mends it.
    """
    import pandas as pd

    from helpers.models import verify

    return pd.read_parquet(verify(path(name, root), root))


def path(name: str, root: Path | None = None) -> Path:
    """Where a table is stored, or would be."""
    from helpers.models import data_root

    return Path(root or data_root()) / "results" / f"{name}.parquet"


# ---- files -----------------------------------------------------------------------------------------------------------


def to_bytes(table: pd.DataFrame) -> bytes:
    """A table as the content of a Parquet file."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def put(file: Path, content: bytes) -> None:
    """Write a file, whole or not at all. What a process leaves that is killed meanwhile is called *.partial."""
    partial = file.with_name(f"{file.stem}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that lock a folder waiting. A process that dies, however it dies, keeps no lock."""
    import fcntl  # here, since reading needs none, and Windows has none

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
