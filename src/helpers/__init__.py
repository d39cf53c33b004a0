"""Helpers of the book Springback: a micro-world, micro models, and what is measured on them."""

import os

__version__ = "0.1.0"

PROFILES = ("micro", "hub")

# Read once, when the libraries are imported: the book tells no one that it runs, and tokenizers that are used before a
# DataLoader forks say nothing.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def setup(seed: int = 0, profile: str | None = None, threads: int | None = None) -> None:
    """Prepare a notebook: seed every generator, set the number of threads, say what runs where.

    Args:
        seed: for `random`, NumPy and torch.
        profile: "micro" (CPU, offline) or "hub" (models from the hub, on a GPU where there is one); by default what
            the environment variable SPRINGBACK_PROFILE says, else "micro".
        threads: CPU threads of torch; by default 1: for small models more gain little, one gives the same numbers
            whatever else runs, and it leaves the other cores free.

    Raises:
        ValueError: an unknown profile, a negative seed, or less than one thread.
    """
    import platform
    import warnings
    from importlib.metadata import version

    import torch

    from helpers.models import default_device, seed_everything

    profile = profile or os.environ.get("SPRINGBACK_PROFILE", "micro")
    if profile not in PROFILES:
        raise ValueError(f"Profile {profile!r} (SPRINGBACK_PROFILE) is unknown: choose from {', '.join(PROFILES)}.")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}.")
    os.environ["SPRINGBACK_PROFILE"] = profile  # one place that everything else reads
    seed_everything(seed)
    torch.set_num_threads(threads or 1)
    warnings.filterwarnings("ignore", category=FutureWarning, module="(accelerate|bitsandbytes|peft|transformers|trl)")

    print(f"springback {__version__} · Python {platform.python_version()} · torch {version('torch')}")
    print(" · ".join(f"{name} {version(name)}" for name in ("transformers", "trl", "peft")))
    print(f"profile {profile} · device {default_device()} · threads {torch.get_num_threads()} · seed {seed}")
