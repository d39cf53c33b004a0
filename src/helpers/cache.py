"""What is done of an experiment, kept in a folder: after a lost session the same call goes on from there.

Each finished run is a table in Parquet, each aligned model the weights that were trained, in safetensors. Every set of
settings has a folder of its own, in which `settings.json` says which. Files appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.models import Loaded, fork


class Cache:
    """Tables and models by name, computed once.

    Args:
        folder: where to keep them; None to keep nothing.
        settings: all that decides the results.

    Raises:
        ValueError: the folder cannot be written to.
    """

    def __init__(self, folder: Path | None, **settings: Any):
        self.folder = None
        if folder is None:
            return
        said = json.dumps(settings, indent=1, sort_keys=True, default=str)
        self.folder = Path(folder) / hashlib.sha256(said.encode()).hexdigest()[:12]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "settings.json").write_text(said + "\n")
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
            self._keep(file, made.to_parquet)
            return made
        try:
            return pd.read_parquet(file)
        except (OSError, ValueError):
            raise ValueError(f"{file} is damaged: delete it to run that part again.") from None

    def models(self, names: Sequence[str], base: Loaded, make: Callable[[], Sequence[Loaded]]) -> list[Loaded]:
        """Copies of `base` after training, by name: as they were kept, else made and kept, all of them together."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file, save_file

        if self.folder is None:
            return list(make())
        files = [self.folder / f"{name}.safetensors" for name in names]
        if not all(file.exists() for file in files):
            made = list(make())
            for file, loaded in zip(files, made, strict=True):
                weights = {name: weight.detach().contiguous() for name, weight in trained(loaded).items()}
                self._keep(file, functools.partial(save_file, weights))
            return made
        kept = []
        for file in files:
            loaded = fork(base)
            try:
                weights = load_file(file)
            except (OSError, SafetensorError):
                raise ValueError(f"{file} is damaged: delete it to train that model again.") from None
            for name, weight in trained(loaded).items():
                weight.data.copy_(weights[name])
            kept.append(loaded)
        return kept

    @staticmethod
    def _keep(file: Path, write: Callable[[Path], object]) -> None:
        """Write a file whole or not at all. What cannot be kept is told, and the result is not lost for that."""
        partial = file.with_suffix(".partial")
        try:
            write(partial)
            partial.replace(file)
        except Exception as error:  # pyarrow and safetensors have errors of their own for a full disk
            with contextlib.suppress(OSError):
                partial.unlink()
            warnings.warn(
                f"{file.name} cannot be kept in {file.parent} ({error}): free some space, or set SPRINGBACK_FOLDER to "
                "another folder; the run goes on.",
                stacklevel=3,
            )


def trained(loaded: Loaded) -> dict:
    """The weights that fine-tuning changes, by name."""
    return {name: weight for name, weight in loaded.model.named_parameters() if weight.requires_grad}
