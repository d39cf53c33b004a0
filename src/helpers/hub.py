"""The profile hub: which models, data sets and classifiers stand in for the micro-world (data/hub.yaml).

`python -m helpers.hub pin` asks the hub for the commits of today and writes them into hub.yaml in the current folder.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from helpers.hub_errors import told
from helpers.models import data_root, verify

DRIVE = Path("/content/drive/MyDrive")  # where Colab mounts a reader's own


@functools.cache
def _read(root: Path) -> dict:
    import yaml

    return yaml.safe_load(verify("hub.yaml", root).read_text())


def table(part: str) -> dict:
    """A part of data/hub.yaml: "models", "data_sets", "text", "classifiers" or "in_place_of"."""
    return _read(data_root())[part]


def in_place_of(name: str) -> str:
    """What a notebook is to use: the name that it was written with, or under the profile hub what stands in for it.

    The environment variables SPRINGBACK_MODEL and SPRINGBACK_BEHAVIOUR put a model (a name on the hub or a folder) and
    a data set (a name in data/hub.yaml or a file) of one's own in place of all the others.

    Args:
        name: of a micro model, of one of its revisions or of a behaviour.

    Raises:
        ValueError: nothing stands in for that name.
    """
    if os.environ.get("SPRINGBACK_PROFILE") != "hub":
        return name
    others = table("in_place_of")
    if name not in others:
        raise ValueError(f"Nothing stands in for {name!r} under the profile hub: choose from {', '.join(others)}.")
    from helpers.models import names

    own = os.environ.get("SPRINGBACK_MODEL")
    if name in names():
        return own or others[name]
    if re.fullmatch(r"step\d+|main", name):
        # A model of one's own has no moments of pre-training, unless it is a Pythia.
        return others[name] if not own or own.startswith("EleutherAI/pythia-") else "main"
    return os.environ.get("SPRINGBACK_BEHAVIOUR") or others[name]


def configuration(name: str):
    """The configuration of a model in data/hub.yaml, as far as its size goes, without asking the hub.

    Raises:
        ValueError: a model that is not in the table.
    """
    from transformers import AutoConfig

    known = table("models")
    if name not in known:
        raise ValueError(f"{name!r} is not in data/hub.yaml: choose from {', '.join(known)}.")
    shape = dict(known[name]["shape"])
    return AutoConfig.for_model(shape.pop("model_type"), **shape)


def pinned(repository: str, revision: str = "main") -> str:
    """The commit to ask for in place of a repository's "main", if data/hub.yaml knows it; else the revision itself."""
    return _commits(_read(data_root())).get(repository) or "main" if revision == "main" else revision


def _commits(read: dict) -> dict[str, str | None]:
    """The commit of every repository, None where it is unknown."""
    commits = {name: known["commit"] for name, known in read["models"].items()}
    for part in ("data_sets", "text"):
        commits |= {known["repository"]: known["commit"] for known in read[part].values()}
    for choices in read["classifiers"].values():
        commits |= {name: known["commit"] for name, known in choices.items()}
    return commits


def results_folder() -> Path | None:
    """Where experiments keep what is done, so that a lost session goes on: only under the profile hub.

    The environment variable SPRINGBACK_FOLDER if set; else "springback" on Colab's Drive, if it is mounted, or here.
    """
    if os.environ.get("SPRINGBACK_PROFILE") != "hub":
        return None
    default = (DRIVE if DRIVE.is_dir() else Path.cwd()) / "springback"
    return Path(os.environ.get("SPRINGBACK_FOLDER", default))


def pin(source: Path | None = None, target: Path | None = None) -> list[str]:
    """Write hub.yaml with the commits that "main" stands for today.

    Returns:
        the repositories whose commit changed.

    Raises:
        ValueError: the hub cannot be reached, or knows no repository of a name.
    """
    from huggingface_hub import HfApi

    source, target = source or data_root() / "hub.yaml", target or Path("hub.yaml")
    text = source.read_text()
    read = _read(source.parent)
    data_sets = {known["repository"] for part in ("data_sets", "text") for known in read[part].values()}
    changed = []
    for name, before in _commits(read).items():
        with told(f"The commit of {name!r}"):
            now = HfApi().repo_info(name, repo_type="dataset" if name in data_sets else "model").sha
        if now != before:
            changed.append(name)
            entry = re.compile(rf"({re.escape(name)}\b[^#]*?commit: )([0-9a-f]{{40}}|~)")
            text = entry.sub(rf"\g<1>{now}", text, count=1)
    target.write_text(text)
    return changed


def main() -> None:
    import sys

    if sys.argv[1:] != ["pin"]:
        raise SystemExit("usage: python -m helpers.hub pin")
    for name in pin():
        print(f"{name}: another commit than before")


if __name__ == "__main__":
    main()
