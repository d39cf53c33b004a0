"""A stand-in for the Hugging Face Hub on loopback: its HTTP interface, as far as downloads need it, and its faults.

It serves folders as repositories with revisions to the unmodified clients (huggingface_hub, transformers, datasets),
which find it by the environment variable HF_ENDPOINT. `Hub.fault` makes it misbehave.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

API = re.compile(r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<rest>.+))?")
FILE = re.compile(r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass
class Fault:
    """What goes wrong with the files whose name matches, and how often (None: always)."""

    kind: str
    name: str = ""
    times: int | None = None
    seen: int = 0

    def strikes(self, path: str) -> bool:
        if not re.search(self.name, path) or (self.times is not None and self.seen >= self.times):
            return False
        self.seen += 1
        return True


@dataclass
class Hub:
    """Repositories by name, each a folder for each revision."""

    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def add(self, repository: str, folder: Path, revision: str = "main") -> str:
        """Serve a folder as a revision of a repository; gives the commit that the revision names."""
        self.repositories.setdefault(repository, {})[revision] = folder
        return self.commit(repository, revision)

    @staticmethod
    def commit(repository: str, revision: str) -> str:
        return hashlib.sha1(f"{repository}@{revision}".encode()).hexdigest()

    def find(self, repository: str, revision: str) -> tuple[Path, str] | None:
        """The folder and the commit of a revision, which is given by its name or by its commit."""
        for name, folder in self.repositories.get(repository, {}).items():
            commit = self.commit(repository, name)
            if unquote(revision) in (name, commit):
                return folder, commit
        return None

    @contextmanager
    def fault(self, kind: str, name: str = "", times: int | None = None):
        """While it lasts, requests for files whose path matches `name` go wrong in one of the ways of `_Handler`."""
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
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{self.command} {path}")
        if match := API.fullmatch(path):
            self._api(**match.groupdict())
        elif match := FILE.fullmatch(path):
            self._file(body=body, **match.groupdict())
        else:
            self._error(404, "EntryNotFound")

    def _api(self, kind: str, repo: str, what: str | None, rest: str | None) -> None:
        if self._goes_wrong(f"api/{repo}"):
            return
        revision, _, inside = (rest or "main").partition("/")
        found = self.hub.find(repo, revision)
        if repo not in self.hub.repositories:
            self._error(404, "RepoNotFound")
        elif found is None:
            self._error(404, "RevisionNotFound")
        else:
            folder, commit = found
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            names = [p.relative_to(folder).as_posix() for p in files]
            if what == "tree":
                rows = [
                    {"type": "file", "path": name, "size": file.stat().st_size, "oid": _oid(file)}
                    for name, file in zip(names, files, strict=True)
                    if name.startswith(inside)
                ]
                self._json(rows)
            else:
                self._json({"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in names]})

    def _file(self, kind: str | None, repo: str, revision: str, path: str, body: bool) -> None:
        path = unquote(path)
        if self._goes_wrong(path):
            return
        found = self.hub.find(repo, revision)
        if repo not in self.hub.repositories:
            return self._error(404, "RepoNotFound")
        if found is None:
            return self._error(404, "RevisionNotFound")
        folder, commit = found
        file = folder / path
        if not file.is_file():
            return self._error(404, "EntryNotFound", commit)
        content = file.read_bytes()
        cut = body and self._struck("cut", path)
        wrong = body and self._struck("wrong content", path)
        if wrong:
            content = bytes(len(content))
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{_oid(file)}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.close_connection = True

    def _struck(self, kind: str, path: str) -> bool:
        return any(fault.kind == kind and fault.strikes(path) for fault in self.hub.faults)

    def _goes_wrong(self, path: str) -> bool:
        """Answer a request wrongly, if a fault says so."""
        if self._struck("gated", path):
            self._error(401, "GatedRepo")
        elif self._struck("busy", path):
            self._error(429, "", retry_after=1)
        elif self._struck("broken", path):
            self._error(500, "")
        elif self._struck("stall", path):
            time.sleep(30)
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
        if self.command == "GET":
            self.wfile.write(content)


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()
