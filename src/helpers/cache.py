"""What is done of an experiment, kept in a folder: after a lost session the same call goes on from there.

Each finished run is a table in Parquet, each aligned model the weights that were trained, in safetensors. Every set of
settings has a folder of its own, in which `settings.json` says which. Files appear whole or not at all.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from helpers import results
from helpers.models import Loaded, fork, trained


class Cache:
    """Tables and models by name, computed once.

    Args:
        folder: where to keep them; None to keep nothing.
        settings: all that decides the results, as plain values, which JSON can hold.

    Raises:
        ValueError: the folder cannot be written to.
    """

    def __init__(self, folder: Path | None, **settings: Any):
        self.folder = None
        if folder is None:
            return
        self.folder = Path(folder) / results.digest(settings)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
        except OSError as error:
            raise ValueError(
                f"Results cannot be kept in {folder} ({error.strerror}): set SPRINGBACK_FOLDER to another folder."
            ) from None

    def table(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table of that name: as it was kept, else made and kept."""
        if self.folder is None:
            return make()
        file = self.folder / f"{name}.parquet"
        if not file.exists():
            made = make()
            self._keep(file, lambda: results.to_bytes(made))
            return made
        try:
            return pd.read_parquet(file)
        except (OSError, ValueError):
            raise ValueError(f"{file} is damaged: delete it to run that part again.") from None

    def models(self, names: Sequence[str], base: Loaded, make: Callable[[], Sequence[Loaded]]) -> list[Loaded]:
        """Copies of `base` after training, by name: as they were kept, else made and kept, all of them together."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file, save

        if self.folder is None:
            return list(make())
        files = [self.folder / f"{name}.safetensors" for name in names]
        if not all(file.exists() for file in files):
            made = list(make())
            for file, loaded in zip(files, made, strict=True):
                weights = {name: weight.detach().contiguous() for name, weight in trained(loaded.model).items()}
                self._keep(file, lambda weights=weights: save(weights))
            return made
        kept = []
        for file in files:
            loaded = fork(base)
            try:
                weights = load_file(file)
            except (OSError, SafetensorError):
                raise ValueError(f"{file} is damaged: delete it to train that model again.") from None
            for name, weight in trained(loaded.model).items():
                weight.data.copy_(weights[name])
            kept.append(loaded)
        return kept

    @staticmethod
    def _keep(file: Path, content: Callable[[], bytes]) -> None:
        """Keep a file. If that fails it is told, and the result is not lost for it."""
        try:
            results.put(file, content())
        except OSError as error:
            warnings.warn(
                f"{file.name} cannot be kept in {file.parent} ({error.strerror}): free some space, or set "
                "SPRINGBACK_FOLDER to another folder; the run goes on.",
                stacklevel=3,
            )
