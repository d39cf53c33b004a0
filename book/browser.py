"""Find a Chrome or Chromium and start it without a network, or install one: `python book/browser.py`."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
NONE = (
    "The book's PDFs and its tests need a Chrome or Chromium, and none was found or could be installed: "
    "install one, or set CHROME to its path."
)
FLAGS = (  # nothing but the loopback can be reached
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
# Figures and formulas of a page are drawn.
READY = """() => [...document.querySelectorAll(".plotly-graph-div")].every((d) => d.querySelector(".main-svg"))
  && (!window.MathJax?.startup || MathJax.startup.promise.then(() => true))"""

# The bytes of a page and of what only it loads.
OWN_BYTES = """() => performance.getEntries().filter((entry) => !entry.name.includes("/_static/"))
  .reduce((sum, entry) => sum + (entry.decodedBodySize ?? 0), 0)"""


class NoBrowser(Exception):
    """There is no browser to start; the message says what to do."""


def find() -> str | None:
    """Path of a browser that starts: $CHROME, one on the PATH, or Playwright's own; None if there is none."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    candidates = [os.environ["CHROME"]] if os.environ.get("CHROME") else [*NAMES, own]
    return next((path for path in map(shutil.which, candidates) if path and _starts(path)), None)


def install() -> None:
    """Install one: the system's package when root on Debian, else Playwright's."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root and Path("/etc/debian_version").exists():
        _run(sys.executable, str(Path(__file__).with_name("apt.py")), "chromium")
    if not find():
        _run(sys.executable, "-m", "playwright", "install", *(["--with-deps"] if root else []), "chromium")


@contextlib.contextmanager
def started() -> Iterator[Browser]:
    """A browser that reaches nothing but this machine.

    Raises:
        NoBrowser: if none is found.
    """
    path = find()
    if path is None:
        raise NoBrowser(NONE)
    sandbox = [] if hasattr(os, "geteuid") and os.geteuid() else ["--no-sandbox"]  # root has none
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *sandbox])
        yield browser
        browser.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, served over the loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _starts(path: str) -> bool:
    """Some systems have a stub that only names another package."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(*command: str) -> None:
    print(*command, flush=True)
    subprocess.run(command)


if __name__ == "__main__":
    if not find() and not os.environ.get("CHROME"):
        install()
    sys.exit(None if find() else NONE)
