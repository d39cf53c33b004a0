"""Ask for every address that the pages link to: `make check-links`. What is left out is said in _config.yml."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import build
import sources
from sources import BookError

UNREACHED = re.compile(r"resol|unreachable|refused|Max retries")  # of a server, not of a page


def ask(book: Path) -> list[dict]:
    """What Sphinx's linkcheck finds in a book's folder: for each link its page, address, status, and why.

    Raises:
        BookError: if the book cannot be read.
    """
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    with tempfile.TemporaryDirectory() as folder:
        command = [jupyter_book, "build", book, "--path-output", folder, "--builder", "linkcheck", "-q"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        found = next(Path(folder).rglob("output.json"), None)
        if found is None:
            raise BookError(f"The links could not be checked: {done.stdout.strip()}")
        return [json.loads(line) for line in found.read_text("utf-8").splitlines()]


def judge(links: list[dict]) -> str:
    """A sentence, if every link leads somewhere.

    Raises:
        BookError: with a line for each dead link; or in one sentence if there is no network.
    """
    asked = [link for link in links if link["status"] in ("working", "redirected", "broken")]
    dead = [link for link in asked if link["status"] == "broken"]
    if dead and dead == asked and all(UNREACHED.search(link["info"]) for link in dead):
        raise BookError(f"No server could be reached for any of {len(asked)} links: is there a network?")
    if dead:
        raise BookError("\n".join(f"{link['filename']}: {link['uri']} is dead: {link['info'][:200]}" for link in dead))
    return f"All {len(asked)} links lead somewhere."


def main() -> int:
    try:
        build.stage(sources.pages(), stored=True)
        print(judge(ask(build.SOURCE)))
    except BookError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
