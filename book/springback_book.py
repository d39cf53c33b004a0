"""Sphinx extension: plotly.js on the pages that have a figure, and only there; and the book's other extensions."""

# Figures' inline scripts run while the page loads, plotly.js (4.8 MB) after it: until then their calls wait here.
WAIT_FOR_PLOTLY = (
    "window.waitingFigures = [];"
    "window.Plotly = {newPlot: (...call) => new Promise(drawn => waitingFigures.push([call, drawn]))};"
)


def load_plotly(app, pagename, templatename, context, doctree):
    if "plotly-graph-div" in (context.get("body") or ""):
        app.add_js_file(None, body=WAIT_FOR_PLOTLY, priority=400)
        app.add_js_file("plotly.min.js", loading_method="defer", priority=500)
        app.add_js_file("figures.js", loading_method="defer", priority=600)


def setup(app):
    app.setup_extension("course_map")
    app.setup_extension("glossary")
    app.connect("html-page-context", load_plotly, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
