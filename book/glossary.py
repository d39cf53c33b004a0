"""The glossary on every page. A Sphinx extension, and what else needs to know the terms.

`chapters/back/glossary.md` is the one place of the terms and their definitions. On every other page the first
occurrence of a term in running text becomes a link to its entry; a link that an author wrote, `[text](../back/
glossary.md#term-log-odds)`, counts as an occurrence and looks the same. `static/glossary.js` shows the definition under
the pointer and under the keyboard's focus. The terms below the heading "Everyday words" are linked only where an
author does it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from docutils import nodes

PAGE = "chapters/back/glossary"  # from the book's root, without its suffix
SOURCE = Path(__file__).resolve().parent.parent / f"{PAGE}.md"
EVERYDAY = "## Everyday words"
LINK = re.compile(r"\]\([^)\s]*glossary\.md#([^)\s]+)\)")  # in Markdown; group 1 is the anchor

# Text that is no running text, or a link already. Bold words are run-in titles, or terms just being introduced.
NOT_IN = (nodes.reference, nodes.literal, nodes.math, nodes.raw, nodes.strong, nodes.image)
NOT_BELOW = (nodes.citation, nodes.figure, nodes.thead)


class Entry(NamedTuple):
    """One entry of the glossary: its names (the first is the headword), its definition in Markdown, and whether it is
    linked wherever it occurs or only where an author does it."""

    names: list[str]
    definition: str
    everywhere: bool

    @property
    def anchor(self) -> str:
        return anchor(self.names[0])


def anchor(name: str) -> str:
    """The id that Sphinx gives to a term: "term-" and the name, case kept, without apostrophes (they are typographic by
    then, and not ASCII) and with a hyphen for all else but letters, digits, points and underscores."""
    return "term-" + re.sub(r"[^\w.]+", "-", name.replace("'", ""), flags=re.ASCII).strip("-")


def entries(markdown: str) -> list[Entry]:
    """The entries of a glossary, in order: names on lines of their own, then the definition, indented."""
    found = []
    for section in re.split(r"^(?=## )", markdown, flags=re.M):
        for block in re.findall(r"^:::\{glossary\}\n(.*?)^:::$", section, flags=re.M | re.S):
            for names, definition in re.findall(r"((?:^\S.*\n)+)((?:^ +\S.*\n)+)", block, flags=re.M):
                found.append(Entry(names.splitlines(), " ".join(definition.split()), not section.startswith(EVERYDAY)))
    return found


def terms(source: Path = SOURCE) -> set[str]:
    """Every anchor of the glossary, those of second names included: what a link to it may name."""
    return {anchor(name) for entry in entries(source.read_text("utf-8")) for name in entry.names}


def pattern(name: str) -> str:
    """A regular expression for a name, singular or plural, also across a line break and with a capital letter."""
    words = r"\s+".join(map(re.escape, name.split())).replace("'", "['’]")
    words = f"[{name[0]}{name[0].upper()}]{words.removeprefix(re.escape(name[0]))}"
    if re.search("[^aeiou]y$", name):
        return f"{words[:-1]}(?:y|ies)"
    return words + ("(?:es)?" if re.search("(s|x|ch)$", name) else "s?")


class Finder:
    """Finds the terms that are linked wherever they occur: whole words, the longest first."""

    def __init__(self, known: list[Entry]):
        named = [(name, entry) for entry in known if entry.everywhere for name in entry.names]
        self.named = sorted(named, key=lambda pair: len(pair[0]), reverse=True)
        either = "|".join(f"({pattern(name)})" for name, _ in self.named)
        self.expression = re.compile(rf"(?<![\w-])(?:{either})(?![\w-])")

    def __call__(self, text: str, before: str = ""):
        """Yield (match, entry) for each occurrence in a text. A capital letter counts only where a sentence begins.

        Args:
            before: what stands before the text in its paragraph.
        """
        for match in self.expression.finditer(text):
            name, entry = self.named[match.lastindex - 1]
            capital = match[0][0] != name[0]
            if not capital or re.search(r"(^|[.!?:]\W*\s)\W*$", before + text[: match.start()]):
                yield match, entry


def link_terms(app, doctree, docname):
    """Link each term where it first occurs on a page, and mark the links to the glossary that are there already."""
    if app.builder.name != "html" or docname == PAGE or PAGE not in app.env.all_docs:
        return  # on paper nothing hovers
    known = entries((Path(app.srcdir) / f"{PAGE}.md").read_text("utf-8"))
    by_anchor = {anchor(name): entry for entry in known for name in entry.names}
    find = Finder(known)
    page = app.builder.get_relative_uri(docname, PAGE)
    seen = []

    def link(match, entry):
        seen.append(entry)
        return nodes.reference("", match[0], refuri=f"{page}#{entry.anchor}", internal=True, classes=["glossary-term"])

    for paragraph in list(doctree.findall(nodes.paragraph)):
        if any(isinstance(above, NOT_BELOW) or above.get("nb_element") == "cell_code" for above in _above(paragraph)):
            continue
        before = ""
        for node in list(paragraph.findall()):
            if isinstance(node, nodes.reference):
                target, _, name = node.get("refuri", "").partition("#")
                if target == page and name in by_anchor:
                    node["classes"].append("glossary-term")
                    seen.append(by_anchor[name])
            elif isinstance(node, nodes.Text):
                text, done, pieces = node.astext(), 0, []
                if not any(isinstance(above, NOT_IN) for above in _above(node, paragraph)):
                    for match, entry in find(text, before):
                        if entry not in seen:
                            pieces += [nodes.Text(text[done : match.start()]), link(match, entry)]
                            done = match.end()
                if pieces:
                    node.parent.replace(node, [*pieces, nodes.Text(text[done:])])
                before += text
    if any("$" in entry.definition for entry in seen):
        app.env.get_domain("math").data["has_equations"][docname] = True  # so that a definition's formulas are drawn


def _above(node, top=None):
    while (node := node.parent) is not None and node is not top:
        yield node


def register_anchors(app, doctree):
    """Tell MyST the glossary's anchors: it knows only those of headings, and warns of a link to any other."""
    if app.env.docname == PAGE:
        slugs = app.env.metadata[PAGE].setdefault("myst_slugs", {})
        for term in doctree.findall(nodes.term):
            slugs.update({name: (term.line, name, term.astext()) for name in term["ids"]})


def always_outdated(app, env, added, changed, removed):
    """Build the glossary each time: the search forgets the index entries of a page that is not built."""
    return [PAGE] if PAGE in env.found_docs else []


def load_script(app, pagename, templatename, context, doctree):
    if "glossary-term" in (context.get("body") or ""):
        app.add_js_file("glossary.js", loading_method="defer")


def setup(app):
    source = Path(app.srcdir) / f"{PAGE}.md"
    # Sphinx writes every page again when this value has changed.
    app.add_config_value("glossary_source", source.read_text("utf-8") if source.exists() else "", "html")
    app.connect("env-get-outdated", always_outdated)
    app.connect("doctree-read", register_anchors)
    app.connect("doctree-resolved", link_terms)
    app.connect("html-page-context", load_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
