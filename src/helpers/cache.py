"""What is done of an experiment, kept in a folder: after a lost session the same call goes on from there.

Each finished run is a table in Parquet, each aligned model the weights that were trained, in safetensors. Every set of
settings has a folder of its own, in which `settings.json` says which. Files appear whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
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
            partial = file.with_suffix(".partial")
            made.to_parquet(partial)
            partial.replace(file)
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
                weights = {name: weight.detach().contiguous() for name, weight in _trained(loaded).items()}
                partial = file.with_suffix(".partial")
                save_file(weights, partial)
                partial.replace(file)
            return made
        kept = []
        for file in files:
            loaded = fork(base)
            try:
                weights = load_file(file)
            except (OSError, SafetensorError):
                raise ValueError(f"{file} is damaged: delete it to train that model again.") from None
            for name, weight in _trained(loaded).items():
                weight.data.copy_(weights[name])
            kept.append(loaded)
        return kept


def _trained(loaded: Loaded) -> dict:
    return {name: weight for name, weight in loaded.model.named_parameters() if weight.requires_grad}
