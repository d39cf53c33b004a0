"""Links to other servers: a dead one is named with its page, and no network is one sentence."""

import http.server
import threading

import links
import pytest
from sources import BookError


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/good" else 404)
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


def test_a_dead_link_is_named_with_its_page(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "_config.yml").write_text("title: Small\nonly_build_toc_files: true\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: one\n")
    (tmp_path / "one.md").write_text(f"# One\n\n[Good]({address}/good)\n")
    assert links.judge(links.ask(tmp_path)) == "All 1 links lead somewhere."
    (tmp_path / "one.md").write_text(f"# One\n\n[Good]({address}/good) and [bad]({address}/bad)\n")
    with pytest.raises(BookError, match=r"^one\.md: http://127\.0\.0\.1:\d+/bad is dead: 404") as told:
        links.judge(links.ask(tmp_path))
    assert "/good" not in str(told.value)
    server.shutdown()
    server.server_close()


def test_without_a_network_it_says_so_once():
    lost = {"filename": "a.md", "uri": "https://example.org", "status": "broken", "info": "Failed to resolve"}
    with pytest.raises(BookError, match="^No server could be reached for any of 2 links: is there a network[?]$"):
        links.judge([lost, lost])
    found = {**lost, "status": "working", "info": ""}
    with pytest.raises(BookError, match="a.md: https://example.org is dead: Failed to resolve"):
        links.judge([lost, found])


def test_a_book_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(BookError, match="The links could not be checked"):
        links.ask(tmp_path)
