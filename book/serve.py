"""The book's two servers, for this machine alone: `make site` shows the built book, `make lab` opens the notebooks.

Both listen on the loopback address only. JupyterLab runs whatever it is sent, so it asks for a token as well, even
where the reader's own Jupyter settings say otherwise.
"""

from __future__ import annotations

import argparse
import errno
import functools
import http.server
import secrets
import sys

import build
import sources

LOOPBACK = "127.0.0.1"
PORT = 8000  # of the site, if it is free


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def site() -> None:
    """Serve _build/html until Ctrl-C.

    Raises:
        BookError: if the site has not been built.
    """
    folder = build.BUILD / "html"
    if not (folder / "index.html").is_file():
        raise sources.BookError(f"There is no built book in {sources.name(folder)}: run 'make book' first.")
    handler = functools.partial(Handler, directory=folder)
    try:
        server = http.server.ThreadingHTTPServer((LOOPBACK, PORT), handler)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        server = http.server.ThreadingHTTPServer((LOOPBACK, 0), handler)  # any that is free
    with server:
        print(f"The book is at http://{LOOPBACK}:{server.server_port}/. Ctrl-C ends it.", flush=True)
        server.serve_forever()


def lab() -> None:
    """Open JupyterLab in chapters/, with a new token that no other program is shown.

    Raises:
        BookError: if the reader's settings make Jupyter listen elsewhere, or to those without the token.
    """
    from jupyterlab.labapp import LabApp
    from traitlets.config import Config

    token = secrets.token_hex(24)
    # As if from the command line, which goes before all files of settings; the list of processes does not show it.
    ours = Config()
    ours.ServerApp.ip = LOOPBACK
    ours.ServerApp.root_dir = str(sources.ROOT / "chapters")
    for provider in ("IdentityProvider", "PasswordIdentityProvider", "LegacyIdentityProvider"):
        ours[provider].token = token
    server = LabApp.initialize_server(argv=[], config=ours)
    if server.ip != LOOPBACK or server.identity_provider.token != token:
        server.http_server.stop()
        raise sources.BookError(
            "Your Jupyter settings put another server or log-in in place of the usual one ('jupyter --paths' says "
            "where they are): 'make lab' needs one that listens on 127.0.0.1 and asks for a token."
        )
    server.identity_provider.token_generated = True  # so that it prints its whole address
    server.start()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["site", "lab"])
    try:
        {"site": site, "lab": lab}[parser.parse_args(arguments).what]()
    except sources.BookError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
