"""Sphinx extension: plotly.js where a page has a figure, the theme's icons only once, the book's other extensions."""

import re
from pathlib import Path

from docutils import nodes
from edition import BRANCH

# Figures' inline scripts run while the page loads, plotly.js (4.8 MB) after it: until then their calls wait here.
WAIT_FOR_PLOTLY = (
    "window.waitingFigures = [];"
    "window.Plotly = {newPlot: (...call) => new Promise(drawn => waitingFigures.push([call, drawn]))};"
)

# The theme brings its icons as a font and again as a script of 1.5 MB, which stands before a page's first word; and it
# fetches a font in advance that no page uses.
TWICE = re.compile(
    r'<script src="[^"]*/fontawesome/[^"]*\.js[^"]*"></script>|<link rel="preload" [^>]*/fa-regular-[^>]*>'
)
MENDS = (
    (TWICE, ""),
    (
        re.compile(r'<i class="(?=fa)'),
        '<i aria-hidden="true" class="',
    ),  # its letter says nothing; a label stands beside
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),  # a role that ARIA has given up
)

# Columns are held apart by blanks; text with two such lines is a printed table.
COLUMNS = re.compile(r"^.*\S {2,}\S", re.MULTILINE)


def keep_columns(app, doctree):
    """Printed text wraps on a narrow page: in a printed table, numbers would leave their columns."""
    for text in doctree.findall(nodes.literal_block):
        if "output" in text["classes"] and len(COLUMNS.findall(text.astext())) > 1:
            text["classes"].append("aligned")


def load_plotly(app, pagename, templatename, context, doctree):
    if "plotly-graph-div" in (context.get("body") or ""):
        app.add_js_file(None, body=WAIT_FOR_PLOTLY, priority=400)
        app.add_js_file("plotly.min.js", loading_method="defer", priority=500)
        app.add_js_file("figures.js", loading_method="defer", priority=600)


def colab_opens_the_student_edition(app, pagename, templatename, context, doctree):
    """The theme leads all its buttons to one branch: the edit button's is right."""
    for button in context.get("header_buttons", []):
        for entry in button.get("buttons", []):
            if "colab" in str(entry.get("url")):
                entry["url"] = entry["url"].replace(f"/blob/{context['github_version']}/", f"/blob/{BRANCH}/")


def mend_pages(app, error):
    """Mend what theme and docutils write and no setting changes; a page that is mended already stays as it is."""
    for page in Path(app.outdir).rglob("*.html"):
        text = mended = page.read_text("utf-8")
        for pattern, replacement in MENDS:
            mended = pattern.sub(replacement, mended)
        if mended != text:
            page.write_text(mended, "utf-8")


def setup(app):
    app.setup_extension("course_map")
    app.setup_extension("glossary")
    app.setup_extension("status")
    app.connect("doctree-read", keep_columns)
    app.connect("html-page-context", load_plotly, priority=400)
    app.connect("html-page-context", colab_opens_the_student_edition, priority=502)  # after the theme's 501
    app.connect("build-finished", mend_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
