"""The two servers, started as the reader starts them: where they listen, and whom they answer."""

import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import build
import psutil
import pytest
import serve
import sources

# What a reader may have in ~/.jupyter, for a server of theirs that the world may use.
OPEN_TO_ALL = """
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.token = ""
c.ServerApp.password = ""
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True
c.IdentityProvider.token = ""
c.PasswordIdentityProvider.token = ""
c.LegacyIdentityProvider.token = ""
"""


@contextmanager
def started(what, said, **environment):
    """A server that runs: its process, and what the pattern `said` found in its output. It must end quietly."""
    command = [sys.executable, serve.__file__, what]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment
    )
    lines, deadline = [], time.monotonic() + 60
    try:
        while not (found := re.search(said, "".join(lines))):
            assert time.monotonic() < deadline and process.poll() is None, "".join(lines)
            if select.select([process.stdout], [], [], 1)[0]:
                lines.append(process.stdout.readline())
        yield process, found
        # Jupyter minds Ctrl-C in a terminal only, and asks there if it is meant; at the other signal it ends.
        process.send_signal(signal.SIGTERM if what == "lab" else signal.SIGINT)
        rest = process.communicate(timeout=30)[0]
        assert "Traceback" not in rest
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def addresses(process):
    """Where a process and its children listen for connections."""
    time.sleep(0.5)  # the system's list may lag behind
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    found = [connection for one in family for connection in one.net_connections("inet")]
    return {connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN}


def status(url):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class TestLab:
    def test_it_listens_here_alone_and_wants_its_token_whatever_the_settings_say(self, tmp_path):
        (tmp_path / "jupyter_server_config.py").write_text(OPEN_TO_ALL)
        settings = {"JUPYTER_CONFIG_DIR": str(tmp_path), "JUPYTER_TOKEN": "", "JUPYTER_RUNTIME_DIR": str(tmp_path)}
        with started("lab", r"http://127\.0\.0\.1:(\d+)/lab\?token=(\w{48})\b", **settings) as (process, found):
            api = f"http://127.0.0.1:{found[1]}/api/contents"
            assert addresses(process) == {"127.0.0.1"}
            assert [status(url)[0] for url in (api, f"{api}?token=", f"{api}?token={'0' * 48}")] == [403] * 3
            code, body = status(f"{api}?token={found[2]}")
            assert code == 200
            assert '"welcome.ipynb"' in body
            assert found[2] not in " ".join(psutil.Process(process.pid).cmdline())

    def test_a_log_in_without_a_token_is_refused(self, tmp_path):
        own = "class Open(IdentityProvider):\n    token = ''\n    auth_enabled = False\n\n"
        (tmp_path / "jupyter_server_config.py").write_text(
            f"from jupyter_server.auth.identity import IdentityProvider\n\n\n{own}"
            "c.ServerApp.identity_provider_class = Open\n"
            "c.ServerApp.open_browser = False\nc.ServerApp.allow_root = True\n"
        )
        done = subprocess.run(
            [sys.executable, serve.__file__, "lab"],
            env=os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "'make lab' needs one that listens on 127.0.0.1 and asks for a token" in done.stderr
        assert "Traceback" not in done.stderr


class TestSite:
    SAID = r"The book is at (http://127\.0\.0\.1:(\d+)/)\. Ctrl-C ends it\."

    @pytest.fixture(autouse=True)
    def built(self):
        if not (build.BUILD / "html/index.html").exists():  # the tests of the site come after these
            (build.BUILD / "html").mkdir(parents=True, exist_ok=True)
            (build.BUILD / "html/index.html").write_text("a page")
            yield
            (build.BUILD / "html/index.html").unlink()
        else:
            yield

    def test_it_listens_here_alone_and_serves_the_book(self):
        with started("site", self.SAID) as (process, found):
            assert addresses(process) == {"127.0.0.1"}
            assert status(found[1]) == (200, (build.BUILD / "html/index.html").read_text("utf-8"))
            assert status(f"{found[1]}../source/_config.yml")[0] == 404

    def test_it_takes_another_port_if_its_own_is_taken(self):
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the test before has just left it
            try:
                taken.bind(("127.0.0.1", serve.PORT))
                taken.listen()
            except OSError:
                pass  # somebody else has it: as good
            with started("site", self.SAID) as (_, found):
                assert int(found[2]) != serve.PORT
                assert status(found[1])[0] == 200

    def test_without_a_built_book_it_says_what_to_do(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(sources, "ROOT", tmp_path)
        monkeypatch.setattr(build, "BUILD", tmp_path / "_build")
        assert serve.main(["site"]) == 1
        assert capsys.readouterr().err == "There is no built book in _build/html: run 'make book' first.\n"
