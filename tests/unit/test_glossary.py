"""The glossary's file, and the links that the build makes to it, on a small book of one notebook."""

import io
import re

import glossary
import nbformat
import pytest
from bs4 import BeautifulSoup
from docutils.nodes import make_id
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

GLOSSARY = """# Glossary

## Terms

:::{glossary}
code length
  Bits of a text.

entropy
  The mean of $-\\log_2 p$.

entropy rate
  The same for each letter.

KL divergence
Kullback-Leibler divergence
  Bits too many.

Kraft's inequality
  There is only so much room.

normalised code length
  Less a constant.
:::

## Everyday words

:::{glossary}
share
  Good over all.
:::
"""
TOC = "# Book\n\n```{toctree}\n:glob:\nchapters/**\n```\n"
ENTRIES = glossary.entries(GLOSSARY)


@pytest.fixture
def built(tmp_path):
    """Builds a page of the given Markdown cells and gives its HTML and the build's warnings."""

    def built(*cells):
        pages = {"chapters/back/glossary.md": GLOSSARY, "index.md": TOC}
        markdown = [nbformat.v4.new_markdown_cell(cell) for cell in ("# The entropy of a page", *cells)]
        output = nbformat.v4.new_output("display_data", data={"text/markdown": "the entropy of an output"})
        code = nbformat.v4.new_code_cell("entropy = 1", outputs=[output])
        metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
        notebook = nbformat.v4.new_notebook(cells=[*markdown[:1], code, *markdown[1:]], metadata=metadata)
        pages["chapters/start/page.ipynb"] = nbformat.writes(notebook)
        for name, text in pages.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        settings = {
            "extensions": ["myst_nb", "glossary"],
            "myst_enable_extensions": ["colon_fence", "dollarmath", "smartquotes"],
            "mathjax_path": "formulas.js",
            "nb_execution_mode": "off",
        }
        out, warnings = tmp_path / "out", io.StringIO()
        with patch_docutils(), docutils_namespace():
            Sphinx(tmp_path, None, out, out / "doctrees", "html", settings, status=None, warning=warnings).build()
        return (out / "chapters/start/page.html").read_text("utf-8"), warnings.getvalue()

    return built


def links(html):
    """The (text, anchor) of each link to the glossary."""
    found = BeautifulSoup(html, "html.parser").select("a.glossary-term")
    assert all(link["href"].startswith("../back/glossary.html#") for link in found)
    return [(link.get_text(), link["href"].partition("#")[2]) for link in found]


def found(text, before=""):
    return [(match[0], entry.names[0]) for match, entry in glossary.Finder(ENTRIES)(text, before)]


def test_entries_have_all_their_names_and_know_whether_they_are_everyday_words():
    assert [entry.names[0] for entry in ENTRIES if entry.everywhere] == [
        "code length",
        "entropy",
        "entropy rate",
        "KL divergence",
        "Kraft's inequality",
        "normalised code length",
    ]
    assert ENTRIES[3].names == ["KL divergence", "Kullback-Leibler divergence"]
    assert ENTRIES[3].definition == "Bits too many."
    assert [entry.names for entry in ENTRIES if not entry.everywhere] == [["share"]]


def test_whole_words_are_found_one_or_many_and_across_a_line_break():
    assert found("entropies, an entropy; code\nlengths") == [
        ("entropies", "entropy"),
        ("entropy", "entropy"),
        ("code\nlengths", "code length"),
    ]
    assert found("cross-entropy, entropyx, decode length") == []
    assert found("Kraft’s inequality") == [("Kraft’s inequality", "Kraft's inequality")]


def test_the_longest_name_wins_and_a_second_name_is_the_same_entry():
    assert found("the normalised code length") == [("normalised code length", "normalised code length")]
    assert found("the entropy rate") == [("entropy rate", "entropy rate")]
    assert found("the Kullback-Leibler divergence") == [("Kullback-Leibler divergence", "KL divergence")]


def test_a_capital_counts_where_a_sentence_begins_and_nowhere_else():
    assert found("Entropy. Code length: Entropy! “Entropy") == [
        ("Entropy", "entropy"),
        ("Code length", "code length"),
        ("Entropy", "entropy"),
        ("Entropy", "entropy"),
    ]
    assert found("On Entropy and Code length") == []
    assert found("Entropy", before="On ") == []
    assert found("kl divergence, KL DIVERGENCE") == []


def test_only_the_first_occurrence_in_running_text_is_linked(built):
    html, warnings = built(
        "## Entropy\n\n**Entropy** and `entropy` and [entropy](https://example.org) and $entropy$.",
        "| entropy |\n| --- |\n| a share of entropy |\n\nMore entropy. The *KL divergence* of it, a KL divergence.",
        "- The Kullback-Leibler divergence.\n- Its code length.",
    )
    assert links(html) == [
        ("entropy", "term-entropy"),
        ("KL divergence", "term-KL-divergence"),
        ("code length", "term-code-length"),
    ]
    first = BeautifulSoup(html, "html.parser").select_one("a.glossary-term")
    assert first.find_parent("td").get_text() == "a share of entropy"
    assert warnings == ""


def test_a_link_of_the_author_is_marked_and_counts_as_the_first(built):
    html, warnings = built(
        "A [certain share](../back/glossary.md#term-share), [H](../back/glossary.md#term-entropy): entropy."
    )
    assert links(html) == [("certain share", "term-share"), ("H", "term-entropy")]
    assert warnings == ""


def test_anchors_are_those_that_sphinx_makes(built, tmp_path):
    built("Nothing.")
    made = re.findall(r'<dt id="([^"]+)"', (tmp_path / "out/chapters/back/glossary.html").read_text("utf-8"))
    assert made == [glossary.anchor(name) for entry in ENTRIES for name in entry.names]


def test_a_link_to_no_entry_is_a_warning_that_names_page_and_term(built):
    _, warnings = built("A [share](../back/glossary.md#term-chair).")
    assert re.search(r"chapters.start.page\.ipynb:\d+: WARNING: .*term-chair", warnings)


def test_formulas_are_drawn_where_a_linked_definition_has_one(built):
    assert "formulas.js" in built("An entropy.")[0]
    assert "formulas.js" not in built("A code length.")[0]


def test_the_script_is_loaded_where_there_is_a_term(built):
    assert "glossary.js" in built("An entropy.")[0]
    assert "glossary.js" not in built("Nothing.")[0]


def test_the_book_s_own_entries_are_in_order_and_no_name_stands_twice():
    known = glossary.entries(glossary.SOURCE.read_text("utf-8"))
    assert len(known) > 100
    for everywhere in (True, False):
        heads = [entry.names[0] for entry in known if entry.everywhere is everywhere]
        assert heads == sorted(heads, key=lambda name: name.casefold().replace("-", " "))
    names = [name for entry in known for name in entry.names]
    assert len({make_id(name) for name in names}) == len(names) == len(glossary.terms())
    for entry in known:
        assert re.search(r"→ \[[^]]+\]\(\.\./[\w/]+\.(ipynb|md)\)$", entry.definition), entry.names


def test_links_are_read_from_markdown():
    text = "[a](../back/glossary.md#term-share), [b](glossary.md#term-b) and [c](../back/guide.md#term-c)"
    assert glossary.LINK.findall(text) == ["term-share", "term-b"]
