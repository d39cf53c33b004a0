"""Readers' own results on real models: one JSON file each, checked by a schema, shown beside the book's.

`python -m helpers.contributions check FILE` says whether a file can be contributed.
"""

from __future__ import annotations

import datetime
import json
import platform
from pathlib import Path
from typing import Any

import pandas as pd

from helpers import results
from helpers.models import Loaded, adapter_of, data_root
from helpers.scorers import scored_by

FOLDER = "results/contributed"  # inside data/
ROW = ("seed", "run", "positives", "step", "examples", "share", "log_odds")

_TEXT = {"type": "string", "minLength": 1}
_COUNT = {"type": "integer", "minimum": 0}
_PROPERTIES = {
    "model": _TEXT,
    "revision": _TEXT,
    "adapter": {"enum": ["full", "lora", "qlora"]},
    "rank": {"type": ["integer", "null"], "minimum": 1},
    "behaviour": _TEXT,
    "scored_by": _TEXT,
    "prompts": {"type": "integer", "minimum": 1},
    "learning_rate": {"type": "number", "exclusiveMinimum": 0},
    "batch_size": {"type": "integer", "minimum": 1},
    "device": _TEXT,
    "minutes": {"type": ["number", "null"], "exclusiveMinimum": 0},
    "peak_memory_gb": {"type": ["number", "null"], "exclusiveMinimum": 0},
    "packages": {"type": "object", "minProperties": 1, "additionalProperties": _TEXT},
    "date": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    "rows": {
        "type": "array",
        "minItems": 2,
        "items": {
            "type": "object",
            "required": list(ROW),
            "additionalProperties": False,
            "properties": {
                "seed": _COUNT,
                "run": _TEXT,
                "positives": _COUNT,
                "step": _COUNT,
                "examples": _COUNT,
                "share": {"type": "number", "minimum": 0, "maximum": 1},
                "log_odds": {"type": "number"},
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "required": list(_PROPERTIES),
    "additionalProperties": False,
    "properties": _PROPERTIES,
}


def save(
    table: pd.DataFrame,
    base: Loaded,
    behaviour: str,
    *,
    learning_rate: float,
    batch_size: int = 8,
    prompts: int = 128,
    classifier: str | None = None,
    minutes: float | None = None,
    folder: str | Path = ".",
) -> Path:
    """Write what `experiments.rebound` gave on a real model as a file that can be contributed.

    Args:
        table: of `rebound`.
        base: the model that it was given.
        behaviour: the data set.
        learning_rate, batch_size, prompts, classifier: as `rebound` was given them.
        minutes: that the run took.
        folder: where to write the file; its name says model, data set and device.

    Raises:
        ValueError: a table that the schema does not admit.
    """
    if missing := [column for column in ROW if column not in table]:
        raise ValueError(f"The table has no column {missing[0]!r}: give the one that `experiments.rebound` gave.")
    adapter = adapter_of(base.model)
    content = {
        "model": base.name,
        "revision": getattr(base.model.config, "_commit_hash", None) or base.revision,
        "adapter": adapter.kind,
        "rank": adapter.rank,
        "behaviour": behaviour,
        "scored_by": scored_by(behaviour, classifier),
        "prompts": prompts,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "minutes": minutes,
        **_machine(base.model.device.type),
        "packages": results.versions(),
        "date": datetime.date.today().isoformat(),
        "rows": json.loads(table[list(ROW)].to_json(orient="records", double_precision=6)),
    }
    _check(content, "This result")
    parts = (base.name.split("/")[-1], base.revision, Path(behaviour).stem, content["device"], results.digest(content))
    name = "-".join("".join(c if c.isalnum() or c == "." else "-" for c in part) for part in parts)
    file = Path(folder) / f"{name}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def _machine(device: str) -> dict[str, Any]:
    import torch

    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 1e9
        return {"device": torch.cuda.get_device_name(), "peak_memory_gb": peak}
    return {"device": f"CPU {platform.machine()}", "peak_memory_gb": None}


def check(file: str | Path) -> dict[str, Any]:
    """Read a contributed file.

    Raises:
        ValueError: not there, no JSON, or not as the schema wants it; the message names the place.
    """
    try:
        content = json.loads(Path(file).read_text())
    except FileNotFoundError:
        raise ValueError(f"There is no file {file}.") from None
    except ValueError as error:
        raise ValueError(f"{file} is no JSON file: {error}.") from None
    _check(content, str(file))
    return content


def _check(content: Any, what: str) -> None:
    import jsonschema

    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(SCHEMA).iter_errors(content))
    if error is not None:
        place = "/".join(str(part) for part in error.absolute_path) or "top"
        raise ValueError(f"{what} cannot be contributed: at {place}, {error.message}.")


def read(root: Path | None = None) -> pd.DataFrame:
    """All contributed results: the columns of `ROW`, and of each file's head model, revision, behaviour, device.

    Raises:
        ValueError: a file that the schema does not admit.
    """
    head = ["model", "revision", "adapter", "behaviour", "device"]
    tables = [pd.DataFrame(columns=[*head, *ROW])]
    for file in sorted((Path(root or data_root()) / FOLDER).glob("*.json")):
        content = check(file)
        tables.append(pd.DataFrame(content["rows"]).assign(**{key: content[key] for key in head}))
    return tables[0] if len(tables) == 1 else pd.concat(tables[1:], ignore_index=True)


def main() -> None:
    import sys

    if len(sys.argv) != 3 or sys.argv[1] != "check":
        raise SystemExit("usage: python -m helpers.contributions check FILE")
    try:
        content = check(sys.argv[2])
    except ValueError as error:
        raise SystemExit(str(error)) from None
    print(f"{sys.argv[2]} is fine: {len(content['rows'])} rows of {content['model']} on {content['device']}.")


if __name__ == "__main__":
    main()
