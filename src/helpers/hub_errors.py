"""What can go wrong between here and the hub, told in one sentence with the mend."""

from __future__ import annotations

import contextlib
import hashlib
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

_DAMAGED = "a file of it is damaged; delete its folder in the cache (see 'hf cache ls') and try again."
_OFFLINE = "it is not in the cache, and HF_HUB_OFFLINE=1 forbids to fetch it; load it once with a network."
# Of what the libraries raise, on the way down to the cause: a word of its type or text, and what to do. The first that
# is found counts.
_REASONS = (
    ("RevisionNotFoundError", "the hub knows no such revision of it; see the list of branches on its page."),
    ("DatasetNotFoundError Revision", "the hub knows no such revision of it; see the list of branches on its page."),
    ("GatedRepoError", "it is gated: accept its terms on its page, then log in with 'hf auth login'."),
    ("is a gated dataset", "it is gated: accept its terms on its page, then log in with 'hf auth login'."),
    ("Invalid credentials", "the hub refuses your token: log in again with 'hf auth login', or unset HF_TOKEN."),
    ("401 Unauthorized", "the hub refuses your token: log in again with 'hf auth login', or unset HF_TOKEN."),
    ("RepositoryNotFoundError", "the hub knows nothing of that name; it is spelt organisation/name."),
    ("contains custom code", "it needs code of its own, and this book runs none from the hub; choose another model."),
    (
        "does not recognize this architecture",
        "transformers does not know its architecture; install a newer one, or choose another model.",
    ),
    ("another SHA-256", _DAMAGED),
    ("SafetensorError", _DAMAGED),
    ("DatasetGenerationError", _DAMAGED),
    ("Parquet magic", _DAMAGED),
    ("Consistency check", "a file of it came with another size than the hub tells; try again."),
    ("No space left", "the disk is full; free some space and try again."),
    ("Too Many Requests", "the hub asks to wait (too many requests); try again in a few minutes."),
    ("Internal Server Error", "the hub has trouble of its own; try again later."),
    ("Service Unavailable", "the hub has trouble of its own; try again later."),
    ("Bad Gateway", "the hub has trouble of its own; try again later."),
    ("RemoteProtocolError", "the connection broke off; try again, whole files that are there are not fetched twice."),
    ("Timeout", "the hub does not answer; try again later."),
    ("OfflineModeIsEnabled", _OFFLINE),
    ("Connect", "the hub cannot be reached; try again with a network, or choose a micro model."),
    ("LocalEntryNotFound", "it is not in the cache, and the hub cannot be reached; load it once with a network."),
    ("DatasetNotFoundError", "the hub knows nothing of that name; it is spelt organisation/name."),
    (
        "have a file named model.safetensors",
        "it has no weights in the format safetensors; choose a model or a revision that has.",
    ),
)
_LIBRARIES = ("datasets", "httpx", "httpx2", "huggingface_hub", "safetensors")  # whose errors are the hub's or a file's


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what the libraries raise in this block into a ValueError of one sentence: what was in the way, and the mend.

    A model, a tokenizer or a data set is fetched in it. No bar is shown, and nothing but what is asked for is fetched:
    transformers would have weights in other formats converted by a service of the hub's.

    Args:
        what: could not be loaded, as the sentence begins.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "true"
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError | ValueError) and not _of_a_library(error):
            raise
        raise ValueError(f"{what} could not be loaded: {_why(error)}") from error
    finally:
        logging.enable_progress_bar()


def _of_a_library(error: Exception) -> bool:
    """Whether the error is a library's own, or came up inside the hub's client, as those of its downloader do."""
    places = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    names = [type(error).__module__, *(place for place in places if place.startswith("huggingface_hub"))]
    return any(name.split(".")[0] in _LIBRARIES for name in names)


def _why(error: BaseException) -> str:
    """What was in the way, and the mend, in one sentence."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    causes, cause = [], error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    said = " ".join(f"{type(cause).__name__} {cause}" for cause in causes)
    if HF_HUB_OFFLINE and "LocalEntryNotFound" in said:
        return _OFFLINE
    return next((reason for word, reason in _REASONS if word in said), (str(error) or repr(error)).splitlines()[0])


def check_hashes(folder: str | Path) -> None:
    """Compare the files of a repository in the cache with what the hub said of them.

    The cache names large files by the SHA-256 that the hub tells; the clients do not check it.

    Raises:
        OSError: a file is another than its name says.
    """
    for file in (link.resolve() for link in Path(folder).rglob("*") if link.is_file()):
        if len(file.name) == 64 and sha256(file) != file.name:
            raise OSError(f"{file} has another SHA-256 than its name says")


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
