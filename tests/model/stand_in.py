"""A stand-in for the Hugging Face Hub on loopback: its HTTP interface, as far as downloads need it, and its faults.

It serves folders as repositories with revisions to the unmodified clients (huggingface_hub, transformers, datasets),
which find it by the environment variable HF_ENDPOINT. `Hub.fault` makes it misbehave.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

REPOSITORY = r"(?P<repo>[^/]+/[^/]+)"
API = re.compile(rf"/api/(?P<kind>models|datasets)/{REPOSITORY}(?:/(?P<what>revision|tree)/(?P<rest>.+))?")
FILE = re.compile(rf"/(?:(?P<kind>datasets)/)?{REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")

# The hub keeps such files apart from Git, and knows them by their SHA-256.
LARGE = (".safetensors", ".bin", ".parquet")


def client_environment(address: str, home: Path, offline: bool = False) -> dict[str, str]:
    """Environment variables for a process whose clients shall find the hub at an address, with a cache of their own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return kept | {
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": str(int(offline)),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "1",
        "HF_HUB_ETAG_TIMEOUT": "1",
    }


@dataclass
class Fault:
    """What goes wrong with the requests that match, as "GET model.safetensors" does, and how often (None: always)."""

    kind: str
    name: str = ""
    times: int | None = None
    seen: int = 0

    def strikes(self, request: str) -> bool:
        if not re.search(self.name, request) or (self.times is not None and self.seen >= self.times):
            return False
        self.seen += 1
        return True


@dataclass
class Hub:
    """Repositories by kind and name, each a folder for each revision."""

    repositories: dict[tuple[str, str], dict[str, Path]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def add(self, repository: str, folder: Path, revision: str = "main", kind: str = "models") -> str:
        """Serve a folder as a revision of a repository of models or datasets; gives the commit it names."""
        self.repositories.setdefault((kind, repository), {})[revision] = folder
        return self.commit(repository, revision)

    @staticmethod
    def commit(repository: str, revision: str) -> str:
        """What a revision names; a commit names itself."""
        if re.fullmatch("[0-9a-f]{40}", revision):
            return revision
        return hashlib.sha1(f"{repository}@{revision}".encode()).hexdigest()

    def find(self, kind: str, repository: str, revision: str) -> tuple[Path, str] | None:
        """The folder and the commit of a revision, which is given by its name or by its commit."""
        for name, folder in self.repositories.get((kind, repository), {}).items():
            commit = self.commit(repository, name)
            if unquote(revision) in (name, commit):
                return folder, commit
        return None

    @contextmanager
    def fault(self, kind: str, name: str = "", times: int | None = None):
        """While it lasts, requests that match `name` go wrong in one of the ways of `_Handler`."""
        fault = Fault(kind, name, times)
        self.faults.append(fault)
        try:
            yield fault
        finally:
            self.faults.remove(fault)

    @contextmanager
    def running(self):
        """Serve on a free port of loopback; gives the endpoint's address."""
        handler = type("Handler", (_Handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._serve(body=False)

    def do_GET(self):
        self._serve(body=True)

    def _serve(self, body: bool) -> None:
        address = urlsplit(self.path)
        part = self.headers.get("Range")
        self.hub.requests.append(f"{self.command} {address.path}" + (f" {part}" if part else ""))
        if match := API.fullmatch(address.path):
            self._api("recursive=true" in address.query.lower(), **match.groupdict())
        elif match := FILE.fullmatch(address.path):
            self._file(body=body, **match.groupdict())
        else:
            self._error(404, "EntryNotFound")

    def _revision(self, kind: str, repo: str, revision: str) -> tuple[Path, str] | None:
        """The folder and the commit of a revision, or an answer that there is none."""
        found = self.hub.find(kind, repo, revision)
        if found is None:
            self._error(404, "RevisionNotFound" if (kind, repo) in self.hub.repositories else "RepoNotFound")
        return found

    def _api(self, recursive: bool, kind: str, repo: str, what: str | None, rest: str | None) -> None:
        revision, _, inside = (rest or "main").partition("/")
        if self._goes_wrong(f"api/{repo}") or not (found := self._revision(kind, repo, revision)):
            return
        folder, commit = found
        if what == "tree":
            listed = folder / unquote(inside)
            if not listed.is_dir():
                return self._error(404, "EntryNotFound", commit)
            entries = sorted(listed.rglob("*") if recursive else listed.iterdir())
            self._json([_entry(path, folder) for path in entries])
        else:
            names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
            self._json({"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in names]})

    def _file(self, kind: str | None, repo: str, revision: str, path: str, body: bool) -> None:
        path = unquote(path)
        if self._goes_wrong(path) or not (found := self._revision(kind or "models", repo, revision)):
            return
        folder, commit = found
        file = folder / path
        if not file.is_file():
            return self._error(404, "EntryNotFound", commit)
        content, cut = file.read_bytes(), None
        if body:
            content, cut = self._spoilt(content, path)
        first, last = self._part(len(content))
        whole = "Range" not in self.headers
        self.send_response(200 if whole else 206)
        if not whole:
            self.send_header("Content-Range", f"bytes {first}-{last - 1}/{len(content)}")
        self.send_header("Content-Length", str(last - first))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{_oid(file)}"')
        if _is_large(file):
            self.send_header("X-Linked-Size", str(file.stat().st_size))
            self.send_header("X-Linked-Etag", f'"{_sha256(file)}"')
        self.end_headers()
        if body:
            self.wfile.write(content[first : last if cut is None else max(first, cut)])
            self.close_connection = cut is not None

    def _part(self, size: int) -> tuple[int, int]:
        """Where the part of a file that a request asks for begins and ends."""
        match = RANGE.fullmatch(self.headers.get("Range", ""))
        return (int(match["first"]), min(int(match["last"] or size) + 1, size)) if match else (0, size)

    def _spoilt(self, content: bytes, path: str) -> tuple[bytes, int | None]:
        """The content as a fault makes it, and where the connection breaks off."""
        if self._struck("wrong content", path):
            content = bytes(len(content))
        if self._struck("wrong bit", path):
            content = content[:-1] + bytes([content[-1] ^ 1])
        if self._struck("wrong size", path):
            content = content[:-1]
        return content, len(content) // 2 if self._struck("cut", path) else None

    def _struck(self, kind: str, path: str) -> bool:
        return any(fault.kind == kind and fault.strikes(f"{self.command} {path}") for fault in self.hub.faults)

    def _goes_wrong(self, path: str) -> bool:
        """Answer a request wrongly, if a fault says so."""
        if self._struck("gated", path):
            self._error(401, "GatedRepo")
        elif self._struck("refused", path):
            self._error(401, "")
        elif self._struck("out of service", path):
            self._error(503, "")
        elif self._struck("busy", path):
            self._error(429, "", retry_after=1)
        elif self._struck("broken", path):
            self._error(500, "")
        elif self._struck("stall", path):
            threading.Event().wait(4)  # longer than the clients wait
            self.close_connection = True
        else:
            return False
        return True

    def _error(self, status: int, code: str, commit: str | None = None, retry_after: int | None = None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, value) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _entry(path: Path, folder: Path) -> dict:
    """What the hub's lists say of a file or a folder."""
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest()}
    size = path.stat().st_size
    large = {"lfs": {"oid": _sha256(path), "size": size, "pointerSize": 134}} if _is_large(path) else {}
    return {"type": "file", "path": name, "size": size, "oid": _oid(path), **large}


def _is_large(file: Path) -> bool:
    return file.suffix in LARGE


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
