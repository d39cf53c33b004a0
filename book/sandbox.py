"""A sandbox for one submission, and the line to it. See run_submission.py for what runs inside.

Bubblewrap gives the process a file system of its own: Python, the helpers and the data, all read-only, and an empty
folder of limited size to work in. The chapters, the tests and other submissions are not there, nor is a network or any
process from outside. On a machine that serves this one submission and is thrown away afterwards (Gradescope's), the
loss of root's rights and the limits are enough.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from run_submission import MESSAGE_BYTES

import helpers
from helpers.models import data_root

MEMORY = 4 * 2**30  # bytes, for all of a submission's processes together
DISK = 2**28  # bytes, in each of the two places to which it may write
PROCESSES = 64
CALL_SECONDS = 10  # of one call of a reader's function; our own take less than one for a whole check
GRACE = 5  # seconds: what has not stopped by itself by then is stopped from outside
INSIDE = Path(__file__).resolve().with_name("run_submission.py")
HELPERS = Path(helpers.__file__).parent
NO_SANDBOX = (
    "Grading runs other people's code, and for that it needs bubblewrap, which was not found: install it "
    "('apt-get install bubblewrap', 'dnf install bubblewrap'); on macOS or Windows, grade inside a Linux machine."
)


class Stopped(BaseException):
    """A submission is over before its end, and why. No Exception: a check must not take it for the reader's error."""


class Sandbox:
    """A submission's process, confined, as a context manager.

    Args:
        thrown_away: whether this machine is thrown away afterwards, so that bubblewrap is not needed. Only for root.
        seconds: after so many it is over.

    Raises:
        RuntimeError: no sandbox can be made here; the message says what to do.
    """

    def __init__(self, thrown_away: bool = False, seconds: float = 60):
        if thrown_away and os.geteuid() != 0:
            raise RuntimeError("Without bubblewrap only root can confine a submission: run this as root.")
        account = 2**30 + os.getpid()  # nobody's, so that no other program's processes are counted with these
        command = [] if thrown_away else bubblewrap()
        self.end = time.monotonic() + seconds
        self.line, theirs = socket.socketpair()
        self.received = b""
        self.shared = psutil.virtual_memory().shared
        self.folder = tempfile.mkdtemp() if thrown_away else "/tmp"
        if thrown_away:
            os.chmod(self.folder, 0o1777)
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed at the end)
        with theirs:
            self.process = subprocess.Popen(
                [*command, sys.executable, "-sP", INSIDE, *map(str, (MEMORY, PROCESSES, DISK, account))],
                stdin=theirs,
                stdout=theirs,
                stderr=self.errors,
                cwd=self.folder if thrown_away else "/",
                start_new_session=True,
                env={
                    "PATH": "/usr/local/bin:/usr/bin:/bin",
                    "HOME": self.folder,
                    "USER": "student",
                    "LANG": "C.UTF-8",
                    "HF_HUB_OFFLINE": "1",
                    "OMP_NUM_THREADS": "1",
                    "SPRINGBACK_PROGRESS": "off",
                    "SPRINGBACK_DATA": str(data_root()),
                    "PYTHONPATH": str(HELPERS.parent),
                },
            )

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()  # and with it, by the kernel, all that it started
        self.process.wait()
        self.line.close()
        self.errors.close()
        if self.folder != "/tmp":
            shutil.rmtree(self.folder, ignore_errors=True)

    def send(self, message: dict) -> None:
        """Raises Stopped."""
        self.line.settimeout(GRACE)
        try:
            self.line.sendall(json.dumps(message).encode() + b"\n")
        except TimeoutError:
            raise Stopped("did not listen to the grader any more") from None
        except OSError:
            raise Stopped(self._death()) from None

    def receive(self, seconds: float) -> dict:
        """The next message. Raises Stopped if there is none within so many seconds, or it is none."""
        until = min(time.monotonic() + seconds, self.end)
        self.line.settimeout(0.2)
        while b"\n" not in self.received:
            if time.monotonic() > until:
                raise Stopped("did not finish in time")
            if self._memory() > MEMORY:
                raise Stopped(f"took more than {MEMORY / 2**30:g} GB of memory")
            if len(self.received) > MESSAGE_BYTES:
                raise Stopped("sent the grader more than an answer can hold")
            try:
                more = self.line.recv(2**16)
            except TimeoutError:
                continue
            except OSError:
                more = b""
            if not more:
                raise Stopped(self._death())
            self.received += more
        if time.monotonic() > self.end:
            raise Stopped("did not finish in time")
        line, _, self.received = self.received.partition(b"\n")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise Stopped("sent the grader what is no message")
        return message

    def answer(self, value: Any) -> Any:
        """What `run_submission.encode` made of an answer. Its functions are called inside. Raises Stopped."""
        try:
            return decode(value, self._function)
        except Exception:  # whatever may be wrong with it
            raise Stopped("sent the grader what is no answer") from None

    def _function(self, number: int, name: str) -> Callable:
        def function(*arguments: Any) -> Any:
            self.send({"call": number, "arguments": base64.b64encode(pickle.dumps(arguments)).decode()})
            match self.receive(CALL_SECONDS + GRACE):
                case {"value": value}:
                    return self.answer(value)
                case {"error": str(kind), "message": str(message), "line": int() | None as line}:
                    error = type(kind.replace("\0", "")[:40], (Exception,), {"__module__": "builtins"})(message)
                    error.line_of_cell = line
                    raise error
            raise Stopped("did not answer a call")

        function.__name__ = name
        return function

    def _memory(self) -> int:
        """What its processes hold, and what they have put into files and segments that only memory holds."""
        total = psutil.virtual_memory().shared - self.shared
        first = psutil.Process(self.process.pid)
        for process in [first, *first.children(recursive=True)]:
            with suppress(psutil.Error):  # it ended meanwhile
                total += process.memory_info().rss
        return total

    def _death(self) -> str:
        try:
            code = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return "cut the line to the grader"
        if -code in iter(signal.Signals) or code - 128 in iter(signal.Signals):  # of its own, or bubblewrap tells it
            return f"ended its own process ({signal.Signals(-code if code < 0 else code - 128).name})"
        return f"ended its own process (exit {code})"

    def complaint(self) -> str:
        """The last line on standard error: what bubblewrap or Python's start complained of."""
        self.errors.seek(0)
        return (self.errors.read().decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]


def decode(value: Any, function: Callable[[int, str], Callable]) -> Any:
    """What `run_submission.encode` was given: plain data; and for functions what `function` makes of number and name.

    Raises:
        Exception: of several kinds, for what `encode` never makes.
    """

    def each(items: list) -> list:
        return [decode(item, function) for item in items]

    match value:
        case None | bool() | int() | float() | str():
            return value
        case list():
            return each(value)
        case {"tuple": list(items)}:
            return tuple(each(items))
        case {"dict": list(pairs)}:
            return dict(map(each, pairs))
        case {"series": list(pairs)}:
            return pd.Series(dict(map(each, pairs)))
        case {"array": list(items)}:
            return np.array(each(items))
        case {"function": int(number), "name": str(name)}:
            return function(number, name[:40])
        case {"other": str(name)}:
            return type(name[:40], (), {})()
        case {"...": _}:
            return ...
    raise ValueError("not made by encode")


def seen() -> list[str]:
    """What a sandbox shows of this machine's files."""
    system = ["/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", sys.base_prefix, sys.prefix]
    return [os.path.abspath(path) for path in (*system, HELPERS, data_root(), INSIDE)]


def keep_unseen(*folders: Path) -> None:
    """Make sure that a sandbox shows neither the solutions nor these folders.

    Raises:
        RuntimeError: it would show one.
    """
    for folder in (INSIDE.parents[1] / "chapters", INSIDE.parents[1] / "tests", *folders):
        around = [path for path in seen() if folder.resolve().is_relative_to(Path(path).resolve())]
        if around:
            raise RuntimeError(f"Submissions see {around[0]}, and {folder} lies in it: move it to another place.")


def bubblewrap() -> list[str]:
    """The command that confines another one.

    Raises:
        RuntimeError: it is not there.
    """
    program = shutil.which("bwrap")
    if not program:
        raise RuntimeError(NO_SANDBOX)
    checks = str(HELPERS / "exercises/checks")
    above = sorted({str(parent) for path in seen() for parent in Path(path).parents} - {"/", "/tmp"})
    namespaces = ["ipc", "net", "pid", "uts"] + (["user"] if os.geteuid() else [])
    return [
        program,
        *(f"--unshare-{name}" for name in namespaces),
        *("--die-with-parent", "--new-session"),
        *(() if os.geteuid() else ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")),
        *("--perms", "1777", "--size", str(DISK), "--tmpfs", "/tmp"),
        *(argument for path in above for argument in ("--perms", "755", "--dir", path)),
        *(argument for path in seen() for argument in ("--ro-bind-try", path, path)),
        *("--tmpfs", checks),  # what a check compares with is its own business
        *("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(DISK), "--tmpfs", "/dev/shm"),
        *("--remount-ro", "/dev", "--remount-ro", checks, "--remount-ro", "/"),
        *("--chdir", "/tmp"),
    ]


def try_out(thrown_away: bool = False) -> None:
    """Start a sandbox that does nothing.

    Raises:
        RuntimeError: that failed; the message says what to do.
    """
    with Sandbox(thrown_away) as sandbox:
        try:
            sandbox.send({"cells": [], "cell_seconds": 1, "call_seconds": 1})
            sandbox.receive(60)
        except Stopped:
            raise RuntimeError(
                f"No sandbox can be made here ({sandbox.complaint()}). Where unprivileged user namespaces are "
                "forbidden, as in many containers and on some systems, run this as root outside of containers."
            ) from None
