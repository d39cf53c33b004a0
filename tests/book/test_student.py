"""The site shows the student edition: nothing of a solution is in its pages, their sources or the search."""

import functools
import html
import re

import build
import pytest
import sources
from solutions import CHAPTERS, secrets

SITE = build.BUILD / "html"


@functools.cache
def plain(path):
    """The text of a file of the site, code without its colours."""
    text = path.read_text("utf-8")
    if path.suffix == ".html":
        text = html.unescape(re.sub(r"<[^>]+>", "", text))
    return text.replace('\\"', '"').replace("\\\\", "\\")  # as a notebook's file writes them


@pytest.mark.parametrize("path", CHAPTERS, ids=sources.name)
def test_no_solution_is_on_the_site(path):
    hidden = secrets(path)
    assert hidden
    looked_at = [SITE / "searchindex.js"]
    for kind in ("*.html", "*.ipynb", "*.md"):
        looked_at += SITE.rglob(kind)
    assert any(page.suffix == ".ipynb" and page.stem == path.stem for page in looked_at), "its source is not there"
    leaks = [(place.name, line) for place in looked_at for line in hidden if line in plain(place)]
    assert leaks == []
