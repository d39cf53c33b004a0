"""Models and where they come from: the micro models in data/models, a folder, or the hub.

Every file read from data/ is first checked against data/MANIFEST.json.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    import pandas as pd

ADAPTERS = ("full", "lora", "qlora")
MANIFEST = "MANIFEST.json"
CONTROLS = ("-filtered", "-tilted")

# Top folder (or file) of data/: where its files come from, and their licence.
ORIGINS = {
    "models": ("made by `make models` (helpers.pretrain) from the micro-world", "CC-BY-4.0"),
    "results": ("made by `make sweep` (helpers.sweep)", "CC-BY-4.0"),
    "claims.yaml": ("written before `make sweep` was run", "CC-BY-4.0"),
    "published": ("numbers as published; see data/published/README.md", "facts; Pythia's under Apache-2.0"),
}


class Loaded(NamedTuple):
    """A model with its tokenizer and where they came from."""

    model: Any
    tokenizer: Any
    name: str
    revision: str


# ---- data/ -------------------------------------------------------------------------------------------------


def data_root() -> Path:
    """The folder data/: SPRINGBACK_DATA if set, else what the installed package or the repository carries."""
    if "SPRINGBACK_DATA" in os.environ:
        return Path(os.environ["SPRINGBACK_DATA"])
    packaged = Path(__file__).parent / "_data"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "data"


def _manifest(root: Path) -> dict[str, dict]:
    try:
        return json.loads((root / MANIFEST).read_text())["files"]
    except FileNotFoundError:
        raise ValueError(f"{root / MANIFEST} is missing: {_MEND}") from None
    except (ValueError, KeyError):
        raise ValueError(f"{root / MANIFEST} is damaged: {_MEND}") from None


_MEND = "restore it with 'git checkout -- data', or install Springback again."


def verify(path: str | Path, root: Path | None = None) -> Path:
    """Check one file of data/ against the manifest: there, of the right size and SHA-256.

    Args:
        path: of the file, relative to data/ (or absolute, inside it).
        root: another data folder.

    Returns:
        the file's whole path.

    Raises:
        ValueError: the file is missing, damaged, or not in the manifest; the message names it and the mend.
    """
    root = Path(root or data_root())
    file = root / path
    known = _manifest(root).get(file.relative_to(root).as_posix())
    if known is None:
        raise ValueError(f"{file} is not listed in {root / MANIFEST}, so nobody can say whether it is whole.")
    if not file.is_file():
        raise ValueError(f"{file} is missing: {_MEND}")
    if file.stat().st_size != known["bytes"]:
        raise ValueError(f"{file} is damaged ({file.stat().st_size} bytes instead of {known['bytes']}): {_MEND}")
    if _sha256(file) != known["sha256"]:
        raise ValueError(f"{file} is damaged (its SHA-256 is not the one in {MANIFEST}): {_MEND}")
    return file


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(root: Path | None = None) -> Path:
    """Write data/MANIFEST.json: size, SHA-256, source and licence of every file in data/.

    Raises:
        ValueError: a top folder whose source and licence `ORIGINS` does not know.
    """
    root = Path(root or data_root())
    found = [p for p in root.rglob("*") if p.is_file() and p != root / MANIFEST and p.suffix != ".partial"]
    return _save_manifest({file.relative_to(root).as_posix(): _entry(file, root) for file in found}, root)


def list_in_manifest(file: Path, root: Path | None = None) -> Path:
    """List one file of data/ as it is now. What the manifest says of the others stays, so no damage is blessed.

    Raises:
        ValueError: a top folder whose source and licence `ORIGINS` does not know, or a damaged manifest.
    """
    root = Path(root or data_root())
    files = _manifest(root) if (root / MANIFEST).exists() else {}
    return _save_manifest(files | {file.relative_to(root).as_posix(): _entry(file, root)}, root)


def _entry(file: Path, root: Path) -> dict[str, Any]:
    top = file.relative_to(root).parts[0]
    if top not in ORIGINS:
        raise ValueError(f"{file} has no known source and licence: put it under {', '.join(ORIGINS)} in {root}.")
    source, licence = ORIGINS[top]
    return {"bytes": file.stat().st_size, "sha256": _sha256(file), "source": source, "licence": licence}


def _save_manifest(files: dict[str, dict], root: Path) -> Path:
    partial = root / f"{MANIFEST}.partial"
    ordered = {name: files[name] for name in sorted(files, key=Path)}
    partial.write_text(json.dumps({"files": ordered}, indent=1) + "\n")
    return partial.replace(root / MANIFEST)


# ---- the micro models --------------------------------------------------------------------------------------


def names(root: Path | None = None, controls: bool = False) -> list[str]:
    """Names of the micro models, smallest file first.

    Args:
        root: another data folder.
        controls: list those too whose pre-training text had another share of good poles (`pretrain.Recipe`): their
            names end with "-filtered" and "-tilted".
    """
    sizes: dict[str, int] = {}
    for file, known in _manifest(Path(root or data_root())).items():
        if file.startswith("models/") and file.endswith("/main/model.safetensors"):
            sizes[file.split("/")[1]] = known["bytes"]
    return sorted((name for name in sizes if controls or not name.endswith(CONTROLS)), key=sizes.get)


def revisions(name: str, root: Path | None = None) -> list[str]:
    """Revisions of a micro model in training order: "step64", ..., "main"."""
    _choose(name, names(root, controls=True), "model")
    found = {file.split("/")[2] for file in _manifest(Path(root or data_root())) if file.startswith(f"models/{name}/")}
    steps = sorted(int(revision[4:]) for revision in found if revision.startswith("step"))
    return [*(f"step{step}" for step in steps), "main"]


def card(name: str, root: Path | None = None) -> str:
    """The model card of a micro model, in Markdown."""
    return _file_of(name, "README.md", root).read_text()


def training_log(name: str, root: Path | None = None) -> pd.DataFrame:
    """Pre-training of a micro model: step, tokens, loss (nats per token), learning_rate, seconds."""
    import pandas as pd

    return pd.read_csv(_file_of(name, "training_log.csv", root))


def evaluation(name: str, root: Path | None = None) -> pd.DataFrame:
    """What each revision of a micro model reached on held-out text, in training order (`pretrain.evaluate`)."""
    import pandas as pd

    return pd.read_csv(_file_of(name, "evaluation.csv", root))


def _file_of(name: str, file: str, root: Path | None) -> Path:
    return verify(f"models/{_choose(name, names(root, controls=True), 'model')}/{file}", root)


def _choose(value: str, valid: list[str] | tuple[str, ...], what: str) -> str:
    if value not in valid:
        raise ValueError(f"Unknown {what} {value!r}: choose from {', '.join(valid)}.")
    return value


# ---- loading -----------------------------------------------------------------------------------------------


def default_device() -> str:
    """ "cuda" under the profile hub where there is such a device, else "cpu"."""
    hub = os.environ.get("SPRINGBACK_PROFILE") == "hub"
    return "cuda" if hub and torch.cuda.is_available() else "cpu"


def load(
    name: str,
    revision: str = "main",
    *,
    adapter: str = "full",
    rank: int = 8,
    alpha: float | None = None,
    device: str | None = None,
    seed: int = 0,
    root: Path | None = None,
) -> Loaded:
    """Load a model with its tokenizer, ready to be measured or fine-tuned.

    Args:
        name: a micro model (`names`), a folder in Hugging Face format, or a model of the hub as "organisation/name".
        revision: which moment of pre-training: see `revisions` for micro models.
        adapter: what fine-tuning will train: "full" (every weight), "lora" (low-rank adapters on every linear layer)
            or "qlora" (the same on a base quantised to 4 bits, NF4 with double quantisation).
        rank: of the adapters.
        alpha: the adapters' output is scaled by alpha / rank; by default alpha = 2 rank.
        device: "cpu" or "cuda"; by default as the profile says.
        seed: of the adapters' initial weights.
        root: another data folder than data/.

    Returns:
        the model in evaluation mode and in float32 (but for the 4-bit weights), dropout off.

    Raises:
        ValueError: an unknown name, revision or adapter, a damaged or missing file, or a rank that does not fit.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    _choose(adapter, ADAPTERS, "adapter")
    device = device or default_device()
    source, options = _locate(name, revision, root)
    if adapter == "qlora":
        from transformers import BitsAndBytesConfig

        # bitsandbytes calls a function of torch by its old name, in every pass.
        warnings.filterwarnings("ignore", "_check_is_size", FutureWarning)

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=_compute_dtype(device),
        )
        options["device_map"] = {"": device}
    logging.disable_progress_bar()
    try:
        # Only safetensors, and no code from the hub. The micro models are stored in half precision.
        options |= {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": False}
        model = AutoModelForCausalLM.from_pretrained(source, **options)
        tokenizer = _tokenizer(source, options.get("revision", "main"))
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"Model {name!r}, revision {revision!r}, could not be loaded: {_why(error)}") from error
    finally:
        logging.enable_progress_bar()
    if adapter != "full":
        model = _with_adapters(model, adapter, rank, alpha, seed)
    return Loaded(model.to(device).eval(), tokenizer, name, revision)


# Of what the libraries raise, on the way down to the cause: a word of its type or text, and what to do.
_REASONS = (
    ("RevisionNotFoundError", "the hub knows no such revision of it; see the list of branches on its page."),
    ("GatedRepoError", "it is gated: accept its terms on its page, then log in with 'hf auth login'."),
    ("RepositoryNotFoundError", "the hub knows no model of that name; it is spelt organisation/name."),
    ("contains custom code", "it needs code of its own, and this book runs none from the hub; choose another model."),
    (
        "does not recognize this architecture",
        "transformers does not know its architecture; install a newer one, or choose another model.",
    ),
    (
        "SafetensorError",
        "a file of its weights is damaged; delete its folder in the cache (see 'hf cache ls') and try again.",
    ),
    ("No space left", "the disk is full; free some space and try again."),
    ("Too Many Requests", "the hub asks to wait (too many requests); try again in a few minutes."),
    (
        "LocalEntryNotFound",
        "it is not in the cache, and HF_HUB_OFFLINE=1 forbids to fetch it; load it once with a network.",
    ),
    ("RemoteProtocolError", "the connection broke off; try again, what is there already is not fetched twice."),
    ("Connect", "the hub cannot be reached; try again with a network, or choose a micro model."),
    ("Internal Server Error", "the hub has trouble of its own; try again later."),
    ("EntryNotFound", "it has no weights in the format safetensors; choose a model or a revision that has."),
)


def _why(error: BaseException) -> str:
    """What was in the way, and the mend, in one sentence."""
    causes, cause = [], error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    told = " ".join(f"{type(cause).__name__} {cause}" for cause in causes)
    return next((reason for word, reason in _REASONS if word in told), str(error).splitlines()[0])


def _locate(name: str, revision: str, root: Path | None) -> tuple[str, dict]:
    """What `from_pretrained` is to be given: source and options."""
    if Path(name).is_dir() and (Path(name) / "config.json").exists():
        return name, {}
    if name.count("/") == 1:
        return name, {"revision": revision}
    _choose(name, names(root, controls=True), "model")
    _choose(revision, revisions(name, root), f"revision of {name}")
    root = Path(root or data_root())
    folder = f"models/{name}/{revision}"
    for file in _manifest(root):
        if file.startswith(f"{folder}/"):
            verify(file, root)
    return str(root / folder), {}


def _tokenizer(source: str, revision: str):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    # AutoTokenizer gives every Qwen2 folder Qwen2's own splitting rules, also where the folder says otherwise.
    config = Path(source) / "tokenizer_config.json"
    generic = config.is_file() and json.loads(config.read_text()).get("tokenizer_class") == "TokenizersBackend"
    return (PreTrainedTokenizerFast if generic else AutoTokenizer).from_pretrained(source, revision=revision)


def _compute_dtype(device: str) -> torch.dtype:
    if device == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _with_adapters(model, adapter: str, rank: int, alpha: float | None, seed: int):
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    width = model.config.hidden_size
    if not isinstance(rank, int) or not 1 <= rank <= width:
        raise ValueError(f"rank must be a whole number from 1 to the model's width, {width}, not {rank}.")
    if adapter == "qlora":
        # Checkpointing would cost a third of the time to save memory that small models do not need.
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        target_modules="all-linear",
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,
        lora_dropout=0.0,
    )
    with seeded(seed), warnings.catch_warnings():  # PEFT asks transformers for an attribute by its old name
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return get_peft_model(model, config)


def fork(loaded: Loaded) -> Loaded:
    """An independent copy of a loaded model, so that several runs can start from the same weights."""
    return loaded._replace(model=copy.deepcopy(loaded.model))


def parameters(model, trainable: bool = False) -> int:
    """Number of the model's parameters, or of those that fine-tuning changes; a 4-bit weight counts as one."""
    return model.num_parameters(only_trainable=trainable)


# ---- seeds -------------------------------------------------------------------------------------------------


def seed_everything(seed: int) -> None:
    """Seed `random`, NumPy's global generator and torch.

    Raises:
        ValueError: the seed is no whole number from 0 to 2**32 - 1.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, not {seed!r}.")
    random.seed(int(seed))
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block with every generator seeded, then give the caller's random state back."""
    python, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        seed_everything(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)
