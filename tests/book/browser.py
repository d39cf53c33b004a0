"""Find a Chrome or Chromium, or install one: `python tests/book/browser.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
NONE = (
    "The book's tests need a Chrome or Chromium, and none was found or could be installed: "
    "install one, or set CHROME to its path."
)


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
        _run(sys.executable, str(Path(__file__).parents[1] / "apt.py"), "chromium")
    if not find():
        _run(sys.executable, "-m", "playwright", "install", *(["--with-deps"] if root else []), "chromium")


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
