"""Figures: what is drawn, what a screen reader is told, what a page weighs."""

import re

import nbclient
import nbformat
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from helpers import figures
from helpers.token_tree import TokenTree

TABLE = pd.DataFrame(
    {
        "examples": [1, 2, 4] * 2,
        "score": [0.9, 0.5, 0.123456789, 0.8, 0.7, 0.6],
        "low": [0.8, 0.4, 0.1, 0.7, 0.6, 0.5],
        "high": [1.0, 0.6, 0.2, 0.9, 0.8, 0.7],
        "log_odds": [2.2, 0.0, -2.0, 1.4, 0.8, 0.4],
        "run": ["a"] * 3 + ["b"] * 3,
    }
)
BAND = {"low": "low", "high": "high"}


def lines(figure):
    return [trace for trace in figure.data if trace.fill is None]


# present


def test_present_gives_lab_and_page_the_same_figure():
    figure = figures.curves(TABLE, "examples", "score", "run")
    bundle = figures.present(figure, alt='It "falls" < 1.', caption="A & B")._repr_mimebundle_()
    assert bundle["text/plain"] == 'It "falls" < 1.'
    assert [trace["name"] for trace in bundle["application/vnd.plotly.v1+json"]["data"]] == ["a", "b"]
    page = bundle["text/html"]
    assert page.startswith('<figure class="springback" aria-label="It &quot;falls&quot; &lt; 1."')
    name = re.search('div id="(figure-[0-9a-f]{12})"', page)[1]
    assert f'aria-describedby="{name}-caption"' in page
    assert f'<figcaption id="{name}-caption">A &amp; B</figcaption></figure>' in page
    assert "<script src" not in page and "https://" not in page


def test_present_is_the_same_in_every_run_and_differs_with_the_content():
    def page(alt, y):
        return figures.present(go.Figure(go.Scatter(y=y)), alt=alt)._repr_mimebundle_()["text/html"]

    assert page("one", [1, 2]) == page("one", [1, 2])
    names = {re.search('id="([^"]+)"', page(*what))[1] for what in [("one", [1, 2]), ("two", [1, 2]), ("one", [1, 3])]}
    assert len(names) == 3


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_present_refuses_an_empty_alt_text(alt):
    with pytest.raises(ValueError, match="alt is empty"):
        figures.present(go.Figure(), alt=alt)


def test_present_rounds_and_unpacks_arrays():
    heat = go.Heatmap(z=np.array([[1 / 3, 2e-9], [np.nan, 123456.7]]), x=np.arange(2, dtype=np.int16))
    data = figures.present(go.Figure(heat), alt="x").figure["data"][0]
    assert data["z"] == [[0.33333, 2e-9], [None, 123460.0]]
    assert data["x"] == [0, 1]


def test_present_on_colab_brings_plotly_along(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "google.colab", object())
    bundle = figures.present(go.Figure(go.Scatter(y=[1])), alt="x")._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert re.search(r'<script [^>]*src="https://', bundle["text/html"])


# Live


class Display:
    """Stands in for IPython's display and its handle."""

    def __init__(self):
        self.shown = []

    def __call__(self, presented, display_id):
        assert display_id is True
        self.shown.append(presented)
        return self

    def update(self, presented, raw=False):
        if not raw:  # what makes JupyterLab draw again is not a figure
            self.shown.append(presented)


@pytest.fixture
def screen(monkeypatch):
    screen = Display()
    monkeypatch.setattr(figures, "display", screen)
    return screen


def points(presented):
    return len(presented.figure["data"][0]["y"])


def draw(n):
    return go.Figure(go.Scatter(y=list(range(n))))


def test_live_shows_every_update_in_one_place(screen, monkeypatch):
    monkeypatch.delenv("SPRINGBACK_PROGRESS")
    live = figures.Live(draw, alt="It grows.", every=0)
    for n in (1, 2, 3):
        live.update(n)
    live.close()
    assert [points(one) for one in screen.shown] == [1, 2, 3]


def test_live_skips_updates_that_come_too_soon_but_never_the_last(screen, monkeypatch):
    monkeypatch.delenv("SPRINGBACK_PROGRESS")
    live = figures.Live(draw, alt="It grows.", every=3600)
    for n in (1, 2, 3):
        live.update(n)
    live.close()
    live.close()
    assert [points(one) for one in screen.shown] == [1, 3]


def test_live_is_drawn_once_when_progress_is_off_also_after_an_error(screen, monkeypatch):
    monkeypatch.setenv("SPRINGBACK_PROGRESS", "off")
    with pytest.raises(KeyboardInterrupt), figures.Live(draw, alt="It grows.") as live:
        live.update(1)
        live.update(2)
        assert screen.shown == []
        raise KeyboardInterrupt
    assert [points(one) for one in screen.shown] == [2]


def test_live_refuses_an_empty_alt_text_before_the_run():
    with pytest.raises(ValueError, match="alt is empty"):
        figures.Live(draw, alt="")


@pytest.mark.parametrize("progress", ["off", "on"])
def test_live_leaves_one_output_in_a_notebook(progress):
    code = (
        f"import os; os.environ['SPRINGBACK_PROGRESS'] = '{progress}'\n"
        "from helpers import figures\nimport plotly.graph_objects as go\n"
        "with figures.Live(lambda n: go.Figure(go.Scatter(y=[n] * n)), alt='It grows.', every=0) as live:\n"
        "    for n in (1, 2, 3):\n        live.update(n)\n"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert output.data["application/vnd.plotly.v1+json"]["data"][0]["y"] == [3, 3, 3]
    assert output.data["text/html"] == figures.present(go.Figure(go.Scatter(y=[3] * 3)), alt="It grows.").html()


# curves, slider_curves, bars


def test_curves_draws_a_line_and_a_band_for_each_value():
    figure = figures.curves(TABLE, "examples", "score", "run", **BAND, log_x=True, x_title="negative examples")
    assert [trace.name for trace in lines(figure)] == ["a", "b"]
    assert len(figure.data) == 4
    assert list(figure.data[0].y) == [1.0, 0.6, 0.2, 0.1, 0.4, 0.8]  # up along high, back along low
    assert figure.layout.xaxis.type == "log"
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("negative examples", "score")


def test_no_two_lines_differ_by_colour_alone():
    many = pd.concat([TABLE[TABLE["run"] == "a"].assign(run=name) for name in "abcdefghijkl"])
    drawn = lines(figures.curves(many, "examples", "score", "run"))
    assert len({(trace.line.dash, trace.marker.symbol) for trace in drawn}) == 12
    for look in (lambda t: t.line.color, lambda t: t.line.dash, lambda t: t.marker.symbol):
        assert len({look(trace) for trace in drawn[:6]}) == 6
    bars = [trace.marker for trace in figures.bars(many, "examples", "score", "run").data]
    assert len({bar.pattern.shape for bar in bars[:6]}) == 6
    assert len({(bar.color, bar.pattern.shape) for bar in bars}) == 12


def test_colours_stand_out_from_a_white_and_a_dark_page():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return np.dot([0.2126, 0.7152, 0.0722], parts)

    for page in ("#ffffff", "#14181e"):
        for colour in figures.PALETTE:
            dark, light = sorted([luminance(colour), luminance(page)])
            assert (light + 0.05) / (dark + 0.05) >= 3, (colour, page)


def test_buttons_change_data_and_titles():
    figure = figures.curves(
        TABLE, "examples", "score", "run", buttons={"Share": {}, "Log-odds": {"y": "log_odds", "y_title": "log-odds"}}
    )
    share, log_odds = figure.layout.updatemenus[0].buttons
    assert (share.label, log_odds.label) == ("Share", "Log-odds")
    assert log_odds.args[0]["y"] == [[2.2, 0.0, -2.0], [1.4, 0.8, 0.4]]
    assert log_odds.args[1]["yaxis.title.text"] == "log-odds"
    assert list(lines(figure)[0].y) == share.args[0]["y"][0] == [0.9, 0.5, 0.123456789]


def test_slider_keeps_axes_and_lines_and_moves_the_data():
    halved = TABLE.assign(score=TABLE["score"] / 2)
    figure = figures.slider_curves(
        {"whole": TABLE, "half, a only": halved[halved["run"] == "a"]}, "examples", "score", "run", slider_title="Size"
    )
    whole, half = figure.layout.sliders[0].steps
    assert half.args[0]["y"] == [[0.45, 0.25, 0.123456789 / 2], []]
    assert whole.args[0]["y"][1] == [0.8, 0.7, 0.6]
    assert not [key for step in (whole, half) for key in step.args[1] if "range" in key]
    low, high = figure.layout.yaxis.range
    assert low < 0.123456789 / 2 and high > 0.9
    assert figure.layout.sliders[0].transition.duration == 0


def test_slider_starts_where_it_is_told():
    tables = {32: TABLE, 64: TABLE.assign(score=0.25)}
    figure = figures.slider_curves(tables, "examples", "score", "run", slider_title="Size", start=64)
    assert figure.layout.sliders[0].active == 1
    assert list(figure.data[0].y) == [0.25, 0.25, 0.25]
    with pytest.raises(ValueError, match="start: no table is labelled 65; there are 32, 64"):
        figures.slider_curves(tables, "examples", "score", "run", slider_title="Size", start=65)


def test_bars_have_their_interval():
    figure = figures.bars(TABLE, "examples", "score", "run", **BAND)
    assert [trace.name for trace in figure.data] == ["a", "b"]
    assert list(figure.data[0].x) == ["1", "2", "4"]
    assert figure.data[0].error_y.array == pytest.approx([0.1, 0.1, 0.2 - 0.123456789])
    assert figure.data[0].error_y.arrayminus == pytest.approx([0.1, 0.1, 0.023456789])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": "loss"}, "no column 'loss'; it has examples, score"),
        ({"by": "seed"}, "no column 'seed'"),
        ({"low": "low"}, "both ends of the interval"),
        ({"table": TABLE[:0]}, "table is empty"),
    ],
)
@pytest.mark.parametrize("draw", [figures.curves, figures.bars])
def test_bad_tables_are_refused(draw, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw(**{"table": TABLE, "x": "examples", "y": "score", "by": "run", **arguments})


def test_bad_views_are_refused():
    with pytest.raises(ValueError, match="log_x: column 'log_odds'"):
        figures.curves(TABLE, "log_odds", "score", "run", log_x=True)
    with pytest.raises(ValueError, match="every button or for none"):
        figures.curves(TABLE, "examples", "score", "run", buttons={"x": {}, "y": BAND})
    with pytest.raises(ValueError, match="tables is empty"):
        figures.slider_curves({}, "examples", "score", "run", slider_title="Size")
    with pytest.raises(ValueError, match="no column 'loss'"):
        figures.slider_curves({"a": TABLE}, "examples", "loss", "run", slider_title="Size")


# tree

TREE = TokenTree.of({("go", "home"): 0.5, ("go", "on"): 0.25, ("stay",): 0.25})


def test_tree_draws_nodes_by_weight_and_leaves_with_theirs():
    figure = figures.tree({"all": TREE}, slider_title="Depth")
    _, edges, inner, leaves, weights = figure.data
    nodes = {
        text: (x, y, size) for x, y, text, size in zip(inner.x, inner.y, inner.text, inner.marker.size, strict=True)
    }
    assert {text: spot[:2] for text, spot in nodes.items()} == {
        "": (0, 1.25),
        "go": (1, 0.5),
        "stay": (1, 2),
        "home": (2, 0),
        "on": (2, 1),
    }
    assert (nodes["go"][2] / nodes[""][2]) ** 2 == pytest.approx(0.75)
    assert list(zip(leaves.x, leaves.y, leaves.text, strict=True)) == [(3, 0, "END"), (3, 1, "END"), (2, 2, "END")]
    assert list(weights.text) == ["0.5", "0.25", "0.25"]
    assert inner.marker.symbol != leaves.marker.symbol and inner.marker.color != leaves.marker.color
    assert list(zip(edges.x, edges.y, strict=True))[:5] == [(0, 1.25), (0.4, 1.25), (0.4, 0.5), (1, 0.5), (None, None)]
    assert edges.x.count(None) == len(TREE.nodes()) - 1


def test_the_trees_slider_prunes_and_leaves_the_rest_faint():
    figure = figures.tree({1: TREE.prune(1), "all": TREE}, slider_title="Depth", start="all")
    pruned, whole = figure.layout.sliders[0].steps
    assert figure.layout.sliders[0].active == 1
    assert (pruned.label, whole.label) == ("1", "all")
    assert list(pruned.args[1]) == [1, 2, 3, 4]  # the faint whole stays
    _, inner, leaves, weights = pruned.args[0]["text"]
    assert [list(texts) for texts in (inner, leaves, weights)] == [[""], ["go", "stay"], ["0.75", "0.25"]]
    assert list(pruned.args[0]["y"][2]) == [0.5, 2]  # nodes keep their places
    assert list(figure.data[1].x) == list(whole.args[0]["x"][0])
    assert len(figure.data[1].x) == len(figure.data[0].x)


def test_trees_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="trees is empty"):
        figures.tree({}, slider_title="Depth")
    with pytest.raises(ValueError, match="start: no tree is labelled 3; there are 1, all"):
        figures.tree({1: TREE.prune(1), "all": TREE}, slider_title="Depth", start=3)


# ---- dumbbells ---------------------------------------------------------------------------------------------------

PAIRS = pd.DataFrame({"pair": ["a", "b"], "forward": [1.0, 2.0], "inverse": [0.5, 3.0]})


def test_dumbbells_join_the_two_values_of_a_row_and_change_with_the_button():
    other = PAIRS.assign(forward=[9.0, 8.0])
    figure = figures.dumbbells(
        {"raw": PAIRS, "excess": other}, "pair", ("forward", "inverse"), x_titles={"raw": "nats"}
    )
    line, forward, inverse = figure.data
    assert list(line.x) == [1.0, 0.5, None, 2.0, 3.0, None]
    assert list(line.y) == ["a", "a", "a", "b", "b", "b"]
    assert list(forward.x) == [1.0, 2.0] and list(inverse.x) == [0.5, 3.0]
    assert forward.marker.symbol != inverse.marker.symbol
    second = figure.layout.updatemenus[0].buttons[1]
    assert second.label == "excess" and second.args[0]["x"][1] == [9.0, 8.0]
    assert figure.layout.xaxis.title.text == "nats" and second.args[1]["xaxis.title.text"] == "excess"


def test_dumbbells_draw_others_over_them():
    views = {"raw": PAIRS, "excess": PAIRS}
    figure = figures.dumbbells(views, "pair", ("forward", "inverse"), over={"raw": PAIRS[:1], "excess": PAIRS[1:]})
    assert figure.data[3].name == "forward, yours" and list(figure.data[3].x) == [1.0]
    assert figure.layout.updatemenus[0].buttons[1].args[0]["x"][4] == [3.0]
    assert figure.layout.yaxis.type == "category"  # "1, 2" is no number


def test_dumbbells_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="views is empty"):
        figures.dumbbells({}, "pair", ("forward", "inverse"))
    with pytest.raises(ValueError, match="has no column 'back'"):
        figures.dumbbells({"raw": PAIRS}, "pair", ("forward", "back"))
    with pytest.raises(ValueError, match="views: 'excess' has other rows"):
        figures.dumbbells({"raw": PAIRS, "excess": PAIRS[::-1]}, "pair", ("forward", "inverse"))
