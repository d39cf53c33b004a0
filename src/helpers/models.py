"""Models and where they come from: the micro models in data/models, a folder, or the hub.

Every file read from data/ is first checked against data/MANIFEST.json.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from helpers.hub_errors import check_hashes, sha256, told

if TYPE_CHECKING:
    import pandas as pd

    from helpers.memory import Plan

ADAPTERS = ("full", "lora", "qlora")
MANIFEST = "MANIFEST.json"
CONTROLS = ("-filtered", "-tilted")

# Top folder (or file) of data/: where its files come from, and their licence.
ORIGINS = {
    "models": ("made by `make models` (helpers.pretrain) from the micro-world", "CC-BY-4.0"),
    "results": ("made by `make sweep`, on GPUs by `make gpu-evidence`, or contributed", "CC-BY-4.0"),
    "claims.yaml": ("written before `make sweep` was run", "CC-BY-4.0"),
    "hub.yaml": ("names and numbers from the models' and data sets' own pages", "CC-BY-4.0"),
    "published": ("numbers as published; see data/published/README.md", "facts; Pythia's under Apache-2.0"),
}


class Loaded(NamedTuple):
    """A model with its tokenizer and where they came from; `plan` says what training needs, but for micro models."""

    model: Any
    tokenizer: Any
    name: str
    revision: str
    plan: Plan | None = None


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
    if sha256(file) != known["sha256"]:
        raise ValueError(f"{file} is damaged (its SHA-256 is not the one in {MANIFEST}): {_MEND}")
    return file


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
    return {"bytes": file.stat().st_size, "sha256": sha256(file), "source": source, "licence": licence}


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
    adapter: str | None = None,
    quantization: str | None = None,
    rank: int = 8,
    alpha: float | None = None,
    device: str | None = None,
    seed: int = 0,
    root: Path | None = None,
) -> Loaded:
    """Load a model with its tokenizer, ready to be measured or fine-tuned.

    What training a model of the hub or of a folder needs is reckoned, and said, before any weights are fetched
    (`memory.plan`). A commit that data/hub.yaml knows is asked for in place of "main".

    Args:
        name: a micro model (`names`), a folder in Hugging Face format, or a model of the hub as "organisation/name".
        revision: which moment of pre-training: see `revisions` for micro models; a branch or commit of the hub.
        adapter: what fine-tuning will train: "full" (every weight), "lora" (low-rank adapters on every linear layer)
            or "qlora" (the same on a base quantised to 4 bits, NF4 with double quantisation). By default "full" for
            micro models, and for others "qlora" if the profile is hub.
        quantization: "nf4" is another way to ask for "qlora".
        rank: of the adapters.
        alpha: the adapters' output is scaled by alpha / rank; by default alpha = 2 rank.
        device: "cpu" or "cuda"; by default as the profile says.
        seed: of the adapters' initial weights.
        root: another data folder than data/.

    Returns:
        the model in evaluation mode and in float32 (but for the 4-bit weights), dropout off.

    Raises:
        ValueError: an unknown name, revision, adapter or quantization, a damaged or missing file, a rank that does not
            fit, or a device with too little memory.
    """
    from huggingface_hub import snapshot_download
    from transformers import AutoModelForCausalLM, GenerationConfig

    device = device or default_device()
    source, options = _locate(name, revision, root)
    micro = name in names(root, controls=True) and not _is_model_folder(name)
    adapter = _adapter(adapter, quantization, micro)
    # Only safetensors, and no code from the hub. The micro models are stored in half precision.
    revision_asked = options.get("revision")
    options |= {"trust_remote_code": False}
    with told(f"Model {name!r}, revision {revision!r},"):
        plan = None if micro else _plan(name, source, options, adapter, rank, device)
        weights = {"dtype": torch.float32, "use_safetensors": True}
        if adapter == "qlora":
            weights |= _four_bits(device)
        model = AutoModelForCausalLM.from_pretrained(source, **options, **weights)
        # Nothing of a repository's own taste in sampling, such as a penalty for repetition.
        ids = {name: getattr(model.config, f"{name}_token_id", None) for name in ("bos", "eos", "pad")}
        model.generation_config = GenerationConfig(**{f"{name}_token_id": value for name, value in ids.items()})
        tokenizer = _tokenizer(source, options.get("revision", "main"))
        if revision_asked:
            check_hashes(snapshot_download(source, revision=revision_asked, local_files_only=True))
    if adapter != "full":
        model = _with_adapters(model, adapter, rank, alpha, seed)
    return Loaded(model.to(device).eval(), tokenizer, name, revision, plan)


def _adapter(adapter: str | None, quantization: str | None, micro: bool) -> str:
    if quantization not in (None, "nf4"):
        raise ValueError(f"Unknown quantization {quantization!r}: choose nf4, or None for full precision.")
    if quantization and adapter == "full":
        raise ValueError("4-bit weights cannot be trained: leave out quantization='nf4', or choose adapter='lora'.")
    if adapter is None:
        adapter = "qlora" if not micro and os.environ.get("SPRINGBACK_PROFILE") == "hub" else "full"
    return "qlora" if quantization else _choose(adapter, ADAPTERS, "adapter")


def _plan(name: str, source: str, options: dict, adapter: str, rank: int, device: str) -> Plan:
    from transformers import AutoConfig

    from helpers import memory

    plan = memory.plan(AutoConfig.from_pretrained(source, **options), name, adapter, rank, device)
    print(plan)
    return plan


def _four_bits(device: str) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    # bitsandbytes calls a function of torch by its old name, in every pass.
    warnings.filterwarnings("ignore", "_check_is_size", FutureWarning)
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype(device),
    )
    return {"quantization_config": config, "device_map": {"": device}}


def _is_model_folder(name: str) -> bool:
    return (Path(name) / "config.json").exists()


def _locate(name: str, revision: str, root: Path | None) -> tuple[str, dict]:
    """What `from_pretrained` is to be given: source and options."""
    if _is_model_folder(name):
        return name, {}
    if Path(name).is_dir() or name.startswith((".", "/", "~")):
        raise ValueError(f"{name} is no folder with a model: it needs a config.json, as `save_pretrained` writes it.")
    if name.count("/") == 1:
        from helpers import hub

        return name, {"revision": hub.pinned(name, revision)}
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


def compute_dtype(device: str) -> torch.dtype:
    """In which matrices of 4 bits are multiplied: bfloat16 from Ampere on, float16 on older GPUs, float32 on a CPU."""
    if device == "cpu":
        return torch.float32
    # A T4 could imitate bfloat16, slowly; it has units for float16.
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


class Adapter(NamedTuple):
    """What fine-tuning trains of a model: "full", or "lora" or "qlora" with their rank and scale."""

    kind: str
    rank: int | None = None
    alpha: float | None = None


def adapter_of(model) -> Adapter:
    """What fine-tuning trains of this model."""
    config = getattr(model, "peft_config", {}).get("default")
    if config is None:
        return Adapter("full")
    return Adapter("qlora" if getattr(model, "is_loaded_in_4bit", False) else "lora", config.r, config.lora_alpha)


def lora(rank: int, alpha: float | None = None):
    """PEFT's configuration of the adapters that `load` lays on every linear layer."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        target_modules="all-linear",
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,
        lora_dropout=0.0,
    )


def _with_adapters(model, adapter: str, rank: int, alpha: float | None, seed: int):
    from peft import get_peft_model, prepare_model_for_kbit_training

    width = model.config.hidden_size
    if not isinstance(rank, int) or not 1 <= rank <= width:
        raise ValueError(f"rank must be a whole number from 1 to the model's width, {width}, not {rank}.")
    if adapter == "qlora":
        # Checkpointing would cost a third of the time to save memory that small models do not need.
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    with seeded(seed), warnings.catch_warnings():  # PEFT asks transformers for an attribute by its old name
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return get_peft_model(model, lora(rank, alpha))


def fork(loaded: Loaded) -> Loaded:
    """A copy of a loaded model, so that several runs can start from the same weights.

    Weights that fine-tuning does not change, those under adapters, are shared between the copies.
    """
    frozen = {id(weight): weight for weight in loaded.model.parameters() if not weight.requires_grad}
    return loaded._replace(model=copy.deepcopy(loaded.model, frozen))


def trained(model) -> dict[str, torch.nn.Parameter]:
    """The weights that fine-tuning changes, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


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
