"""Where a page's buttons lead: Colab to the student edition, the edit link to the source, and on through the book."""

import re

import build
import pytest
import sources
import yaml

SITE = build.BUILD / "html"
PAGES = sources.pages()
ADDRESS = yaml.safe_load((sources.ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]


def page_of(path):
    return (SITE / sources.name(path)).with_suffix(".html").read_text("utf-8")


@pytest.mark.parametrize("path", PAGES, ids=sources.name)
def test_buttons(path):
    page, name = page_of(path), sources.name(path)
    colab = re.findall(r'href="(https://colab[^"]+)"', page)
    place = ADDRESS.removeprefix("https://github.com/")
    wanted = f"https://colab.research.google.com/github/{place}/blob/student/{name}"
    assert colab == ([wanted] if path.suffix == ".ipynb" else [])
    assert re.findall(r'href="([^"]+/edit/[^"]+)"', page) == [f"{ADDRESS}/edit/main/{name}"]
    assert f'href="{ADDRESS}/issues/new' in page


@pytest.mark.parametrize("number", range(len(PAGES)))
def test_next_and_previous(number):
    page = page_of(PAGES[number])
    for kind, other in (("left-prev", number - 1), ("right-next", number + 1)):
        link = re.search(rf'<a class="{kind}"\s+href="([^"]+)"', page)
        if 0 <= other < len(PAGES):
            target = ((SITE / sources.name(PAGES[number])).parent / link[1]).resolve()
            assert target == (SITE / sources.name(PAGES[other])).with_suffix(".html")
        else:
            assert link is None


@pytest.mark.parametrize("path", [path for path in PAGES if path.suffix == ".ipynb"], ids=sources.name)
def test_a_chapter_says_when_it_was_run(path):
    run = sources.read(path).metadata["springback"]
    said = f"Last executed on {run['executed']}, in {run['seconds']} s"
    assert said in page_of(path)
    status = (SITE / "chapters/back/status.html").read_text("utf-8")
    row = next(row for row in status.split("<tr")[1:] if f"/{path.stem}.html" in row)
    heads, cells = (
        [re.sub("<[^>]+>", "", cell).strip() for cell in re.findall(rf"<{kind}[ >].*?</{kind}>", part, re.S)]
        for kind, part in (("th", status), ("td", row))
    )
    found = dict(zip(heads, cells, strict=True))
    assert (found["executed"], found["seconds"]) == (run["executed"], str(run["seconds"]))
    for counted, least in (("outputs compared", 1), ("exercises", 3), ("quiz questions", 3)):
        assert int(found[counted]) >= least
    assert found["on real models"] == "not run yet"
    assert re.search(r"\d+ notebooks with springback \d+\.\d+\.\d+ · Python 3\.\d+", status)
