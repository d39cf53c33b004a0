"""What runs inside the sandbox: the cells of one submission, one after the other. See sandbox.py and grade.py.

Here `exercises.check` judges nothing. It hands the answer to the grader outside and waits for its verdict; while it
waits, it calls the reader's functions for the grader. Whatever a submission does to this process, it can only hand over
other answers: the grader takes data, never code, and keeps the verdicts to itself.

A message is a line of JSON. The grader's: {"cells": [[number, source], ...], "cell_seconds", "call_seconds"} at first,
then {"call": function, "arguments": pickled} and {"verdict", "message"}. Ours: {"cell": number} when a cell begins,
{"stopped": what} when it raised, {"check": name, "answer": ...}, {"value": ...} or {"error", "message", "line"} after a
call, and {"done": true} at the end.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

MESSAGE_BYTES = 2**20


def confine(memory: int, processes: int, file_bytes: int, account: int) -> None:
    """Set this process's limits; if it is root's, it changes to an account without rights, for which they hold."""
    import resource  # there is none on Windows

    for what, most in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(account)
        os.setuid(account)


def grader() -> tuple[Any, Any]:
    """Move the line to the grader away from standard input and output, where prints and `input` would meet it."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    redirect(0, 1)
    return requests, replies


def redirect(*streams: int) -> None:
    """Nobody writes to these, and nobody reads them."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in streams:
        os.dup2(nowhere, stream)


@contextmanager
def limit(seconds: float):
    """Raise TimeoutError in what runs longer. (What swallows it is stopped from outside.)"""

    def late(*_):
        raise TimeoutError(f"not done after {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, late)
    left = signal.setitimer(signal.ITIMER_REAL, seconds)[0]
    try:
        yield
    finally:  # a check stops the clock of its cell
        signal.signal(signal.SIGALRM, previous)
        signal.setitimer(signal.ITIMER_REAL, left)


def encode(value: Any, functions: list) -> Any:
    """An answer as JSON; `sandbox.decode` is its counterpart. Functions stay here, and are told by their place."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if value is ...:
        return {"...": True}
    if getattr(value, "shape", None) == ():  # a scalar of NumPy or torch
        return encode(value.item(), functions)
    if isinstance(value, list | tuple):
        items = [encode(item, functions) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    series = hasattr(value, "to_dict") and hasattr(value, "tolist")
    pairs = value.to_dict() if hasattr(value, "to_dict") else value
    if isinstance(pairs, Mapping):
        pairs = [[encode(key, functions), encode(item, functions)] for key, item in pairs.items()]
        return {"series" if series else "dict": pairs}
    if hasattr(value, "tolist"):
        return {"array": encode(value.tolist(), functions)}
    if callable(value):
        functions.append(value)
        return {"function": len(functions) - 1, "name": str(getattr(value, "__name__", "answer"))}
    return {"other": type(value).__name__}


def main() -> None:
    confine(*map(int, sys.argv[1:]))
    requests, replies = grader()

    def send(message: dict) -> None:
        replies.write(json.dumps(message).encode() + b"\n")
        replies.flush()

    def receive() -> dict:
        return json.loads(requests.readline())

    from IPython.core.interactiveshell import InteractiveShell

    from helpers import exercises
    from helpers.exercises.checking import line_of_cell

    redirect(2)  # until here, it told what is wrong with the sandbox
    task = receive()
    functions: list = []

    def described(error: BaseException) -> dict:
        try:
            return {"error": type(error).__name__, "message": str(error)[:1000]}
        except Exception:  # an error that cannot even be told
            return {"error": type(error).__name__, "message": ""}

    def encoded(value: Any) -> Any:
        found = encode(value, functions)
        size = len(json.dumps(found))
        return found if size < MESSAGE_BYTES // 2 else {"other": f"{type(value).__name__} of {size} bytes"}

    def called(message: dict) -> dict:
        function = functions[message["call"]]
        arguments = pickle.loads(base64.b64decode(message["arguments"]))
        try:
            with limit(task["call_seconds"]):
                return {"value": encoded(function(*arguments))}
        except BaseException as error:
            return {**described(error), "line": line_of_cell(function, error)}

    def check(name: str, answer: Any) -> exercises.Result:
        with limit(task["call_seconds"]):
            answer = encoded(answer)
        with limit(0):
            send({"check": str(name), "answer": answer})
            while "call" in (message := receive()):
                send(called(message))
        return exercises.Result(message["verdict"], message["message"])

    exercises.check = exercises.checking.check = check
    shell = InteractiveShell.instance()
    shell.showtraceback = shell.showsyntaxerror = lambda *_, **__: None  # nobody reads it
    for number, source in task["cells"]:
        send({"cell": number})
        try:
            with limit(task["cell_seconds"]):
                result = shell.run_cell(source, silent=True)
            error = result.error_before_exec or result.error_in_exec
        except BaseException as raised:  # the clock, between two steps of IPython's own
            error = raised
        if error:
            send({"stopped": described(error)})
    send({"done": True})


if __name__ == "__main__":
    main()
