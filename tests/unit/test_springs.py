"""The springs: what a page is told without a browser. How they move, tests/book shows."""

import json
import re

import pytest
from IPython.core.formatters import DisplayFormatter

from helpers import figures

SIZES = {"D_p": 10, "D_a": 1}


def bundle(*arguments, **named):
    return DisplayFormatter().format(figures.springs(*arguments, **named))[0]


def test_springs_have_alt_text_and_ask_nobody():
    shown = bundle(SIZES, alt='They "give" < 1.', caption="A & B")
    assert set(shown) == {"text/plain", "text/html"}
    assert shown["text/plain"] == 'They "give" < 1.'
    page = shown["text/html"]
    name = re.search(' id="(figure-[0-9a-f]{12})"', page)[1]
    assert page.startswith('<figure class="springback springs" role="group"')
    assert 'aria-label="They &quot;give&quot; &lt; 1."' in page
    assert f'aria-describedby="{name}-caption"' in page
    assert f'<figcaption id="{name}-caption">A &amp; B</figcaption>' in page
    assert not re.search("src=|href=|import|fetch|https?://(?!www.w3.org/2000/svg)", page)
    assert not re.search(r"\{\{\w+\}\}", page)


def test_springs_are_the_same_in_every_run_and_differ_with_the_content():
    page = bundle(SIZES, alt="one")["text/html"]
    assert page == bundle(SIZES, alt="one")["text/html"]
    others = [(SIZES, "two"), ({**SIZES, "D_a": 2}, "one"), ({"D_p": 10, "D_t": 2, "D_a": 1}, "one")]
    names = [re.search(' id="([^"]+)"', bundle(sizes, alt=alt)["text/html"])[1] for sizes, alt in others]
    assert len({re.search(' id="([^"]+)"', page)[1], *names}) == 4


def test_a_name_ends_no_script():
    page = bundle({"</script>": 2, "{{alt}}": 1}, alt="x")["text/html"]
    assert page.count("</script>") == 2
    data = re.search('<script type="application/json">(.*?)</script>', page)[1]
    assert json.loads(data) == [{"name": "</script>", "size": 2}, {"name": "{{alt}}", "size": 1}]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"D_p": 1}, "two or three numbers above 0"),
        (dict.fromkeys("abcd", 1), "two or three numbers above 0"),
        ({"D_p": 1, "D_a": 0}, "two or three numbers above 0"),
        ({"D_p": 1, "D_a": float("nan")}, "two or three numbers above 0"),
        ({"D_p": 1, "D_a": 2}, "the first must be 1 to 100 times the last, not 0.5 times"),
        ({"D_p": 101, "D_a": 1}, "not 101 times"),
    ],
)
def test_faulty_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        figures.springs(sizes, alt="x")


def test_springs_refuse_an_empty_alt_text():
    with pytest.raises(ValueError, match="alt is empty"):
        figures.springs(SIZES, alt=" ")
