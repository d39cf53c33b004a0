"""The bibliography holds what the chapters cite, and the paper's entry is that of CITATION.cff."""

import re

import pytest
import sources
import yaml
from pybtex.database import parse_file

BACK = sources.ROOT / "chapters/back"
PAGE = (BACK / "bibliography.md").read_text("utf-8")
LINK = re.compile(r"arxiv\.org/abs/(\d{4}\.\d{4,5})")
ENTRIES = parse_file(BACK / "references.bib", "bibtex").entries
ARXIV = {entry.fields["eprint"] for entry in ENTRIES.values() if "eprint" in entry.fields}


def text_of(path):
    if path.suffix == ".ipynb":
        return "\n".join(cell.source for cell in sources.read(path).cells if cell.cell_type == "markdown")
    return path.read_text("utf-8")


@pytest.mark.parametrize("path", sources.pages(), ids=sources.name)
def test_what_a_chapter_cites_from_arxiv_has_an_entry(path):
    assert set(LINK.findall(text_of(path))) <= ARXIV


def test_links_are_found():
    cited = {number for path in sources.pages() for number in LINK.findall(text_of(path))}
    assert {"2406.06144", "2305.18290"} <= cited


def test_the_page_shows_every_entry_and_says_of_twenty_how_they_touch_the_book():
    assert re.search(r"^```\{bibliography\}\n:all:\n```$", PAGE, flags=re.M)
    items = re.findall(r"^\d+\. \{cite:t\}`(\w+)`", PAGE, flags=re.M)
    assert len(set(items)) == len(items) == 20
    assert set(items) <= set(ENTRIES)


def test_entries_are_complete_and_none_stands_twice():
    titles = [entry.fields["title"].casefold() for entry in ENTRIES.values()]
    assert len(set(titles)) == len(titles)
    for key, entry in ENTRIES.items():
        assert entry.persons.get("author"), key
        assert "year" in entry.fields or "url" in entry.fields, key
        assert ("eprint" in entry.fields) == (entry.fields.get("archiveprefix") == "arXiv"), key


def test_the_paper_s_entry_is_that_of_the_citation_file():
    cited = yaml.safe_load((sources.ROOT / "CITATION.cff").read_text("utf-8"))["references"][0]
    entry = ENTRIES["ji2025resist"]
    assert entry.fields["title"].strip("{}") == cited["title"]
    names = [(" ".join(p.last_names), " ".join(p.first_names + p.middle_names)) for p in entry.persons["author"]]
    assert names == [(author["family-names"], author["given-names"]) for author in cited["authors"]]
    assert entry.fields["booktitle"] == cited["collection-title"]
    assert int(entry.fields["year"]) == cited["year"]
    assert entry.fields["pages"] == f"{cited['start']}--{cited['end']}"
    assert entry.fields["doi"] == cited["doi"]
    assert [f"arXiv:{entry.fields['eprint']}"] == [identifier["value"] for identifier in cited["identifiers"]]
