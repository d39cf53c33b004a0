"""Figures: Plotly, with alt text, that stay alive in a page without a kernel.

``curves``, ``slider_curves`` and ``bars`` draw tidy tables, ``tree`` token trees; ``present`` shows any Plotly figure
with its alt text; ``Live`` redraws one while a run goes on. Colours are Okabe and Ito's, readable by colour-blind eyes,
and every line also has its own dash and marker, every bar its own pattern.
"""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
from IPython.display import display

if TYPE_CHECKING:
    from helpers.token_tree import TokenTree

# Okabe-Ito without its yellow and black, which vanish on a white and on a dark page, and with its orange and sky blue
# darker: each stands out 3:1 from both (WCAG 2, 1.4.11).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C28500", "#3C9AD0")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
PATTERNS = ("", "/", "x", "-", "\\", ".")

CONFIG = {
    "responsive": True,
    "displaylogo": False,
    # Two that do nothing here, and one that sends the figure to another server.
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "sendChartToCloud"],
}
DIGITS = 5  # significant digits kept in a page: more than a screen shows, half the weight

_PLOTLY_MIME = "application/vnd.plotly.v1+json"
_INK = "#767676"  # at least 4:1 on white and on dark; the book's style sheet sharpens it for each theme
_FAINT = "rgba(128,128,128,0.25)"
_CONTROL = {"bgcolor": "rgba(128,128,128,0.12)", "bordercolor": _INK, "font": {"color": _INK}}
_AXIS = {
    "automargin": True,
    "gridcolor": _FAINT,
    "linecolor": _INK,
    "showline": True,
    "tickcolor": _INK,
    "ticks": "outside",
    "title": {"standoff": 10},
    "zeroline": False,
}

pio.templates["springback"] = go.layout.Template(
    layout={
        "colorway": PALETTE,
        "font": {"color": _INK, "family": "system-ui, sans-serif", "size": 14},
        "height": 420,
        "hoverlabel": {"bgcolor": "#202833", "font": {"color": "#ffffff"}, "align": "left"},
        "legend": {
            "orientation": "h",
            "tracegroupgap": 0,
            "x": 0,
            "xref": "container",
            "y": 0,
            "yanchor": "bottom",
            "yref": "container",  # below everything, also where the page is narrow
        },
        "margin": {"l": 48, "r": 12, "t": 24, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "sliderdefaults": {**_CONTROL, "activebgcolor": PALETTE[0], "tickcolor": _INK},
        "updatemenudefaults": {**_CONTROL, "font": {"color": _INK, "size": 13}},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    }
)
pio.templates.default = "springback"


class Presented:
    """A figure with its alt text; what ``present`` returns and a notebook displays."""

    def __init__(self, figure: go.Figure, alt: str, caption: str = "") -> None:
        if not alt.strip():
            raise ValueError("alt is empty: say in a sentence or two what the figure shows.")
        self.figure = {key: _plain(value) for key, value in figure.to_plotly_json().items()}
        self.alt = alt.strip()
        self.caption = caption.strip()

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        bundle = {"text/plain": self.alt, "text/html": self.html(connected="google.colab" in sys.modules)}
        if "google.colab" not in sys.modules:
            bundle[_PLOTLY_MIME] = {**self.figure, "config": CONFIG}  # JupyterLab and VS Code draw this
        return bundle

    def html(self, connected: bool = False) -> str:
        """The figure as an HTML fragment.

        Args:
            connected: fetch plotly.js from its public address, for a place that has none (Colab). The book
                brings its own.
        """
        content = repr((self.figure, self.alt, self.caption)).encode()
        name = "figure-" + hashlib.sha256(content).hexdigest()[:12]  # the same figure has the same id in every run
        plot = pio.to_html(
            self.figure,
            config=CONFIG,
            include_plotlyjs="cdn" if connected else False,
            include_mathjax=False,
            full_html=False,
            default_height=f"{self.figure['layout'].get('height', 420)}px",
            div_id=name,
            validate=False,
        )
        described, caption = _caption(name, self.caption)
        return f'<figure class="springback" aria-label="{html.escape(self.alt)}"{described}>{plot}{caption}</figure>'


def _caption(name: str, caption: str) -> tuple[str, str]:
    """What ties a figure to the line below it, and that line."""
    if not caption:
        return "", ""
    return f' aria-describedby="{name}-caption"', f'<figcaption id="{name}-caption">{html.escape(caption)}</figcaption>'


def present(figure: go.Figure, *, alt: str, caption: str = "") -> Presented:
    """Show a Plotly figure: alive in JupyterLab, Colab and the static book, with alt text.

    Args:
        figure: any Plotly figure. Its numbers are rounded to five significant digits.
        alt: what the figure shows, for those who cannot see it: what is drawn and what it says.
        caption: a line below the figure, on the book's pages and on Colab. JupyterLab does not show it.

    Returns:
        What a notebook displays when it ends a cell or is passed to ``display``.

    Raises:
        ValueError: if ``alt`` is empty.
    """
    return Presented(figure, alt, caption)


class Live:
    """A figure redrawn in place while a run goes on.

    With the environment variable ``SPRINGBACK_PROGRESS=off`` (tests, the book's build) it is shown only once, when
    it is closed. Either way one output is left, with the last state.

    Example:
        >>> with Live(draw, alt="The score falls.") as live:  # doctest: +SKIP
        ...     finetune(..., on_measure=live.update)

    Args:
        draw: makes a Plotly figure from what ``update`` is given.
        alt: the finished figure's alt text.
        caption: as in ``present``.
        every: at least so many seconds between two drawings.
    """

    def __init__(self, draw: Callable[..., go.Figure], *, alt: str, caption: str = "", every: float = 1.0) -> None:
        present(go.Figure(), alt=alt)  # an empty alt text is refused before the run, not after it
        self._draw, self._alt, self._caption, self._every = draw, alt, caption, every
        self._quiet = os.environ.get("SPRINGBACK_PROGRESS") == "off"
        self._handle = None
        self._waiting: tuple | None = None
        self._drawn_at = -math.inf

    def update(self, *args: Any) -> None:
        """Redraw with ``draw(*args)``, now or, if the last drawing is too fresh, at the next call or at the end."""
        self._waiting = args
        if not self._quiet and time.monotonic() - self._drawn_at >= self._every:
            self._show()

    def close(self) -> None:
        """Draw what still waits. Further calls do nothing."""
        if self._waiting is not None:
            self._show()

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _show(self) -> None:
        presented = present(self._draw(*self._waiting), alt=self._alt, caption=self._caption)
        self._waiting = None
        if self._handle is None:
            self._handle = display(presented, display_id=True)
        else:
            # JupyterLab's Plotly renderer keeps its first figure; another kind of output in between, as high as
            # the figure is there, makes it new.
            self._handle.update({"text/html": '<div style="height: 360px"></div>'}, raw=True)
            self._handle.update(presented)
        self._drawn_at = time.monotonic()


def curves(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    *,
    low: str | None = None,
    high: str | None = None,
    log_x: bool = False,
    x_title: str | None = None,
    y_title: str | None = None,
    buttons: Mapping[str, Mapping[str, str]] | None = None,
) -> go.Figure:
    """One line for each value of a column, with an interval around it if there is one.

    Args:
        table: tidy, one row a point, in the order in which the points are joined.
        x: column of the horizontal axis.
        y: column of the vertical axis.
        by: column whose values make the lines, in the order in which they appear.
        low: column of the interval's lower end.
        high: column of its upper end.
        log_x: horizontal axis on a logarithmic scale.
        x_title: title of the horizontal axis, with its unit; by default the column's name.
        y_title: title of the vertical axis, likewise.
        buttons: other views of the same table: for each button's label, the arguments that it changes (``x``, ``y``,
            ``low``, ``high``, ``x_title``, ``y_title``). The first one is what stands there at first.

    Raises:
        ValueError: if the table is empty, a column is missing, only one end of the interval is given, or a
            logarithmic axis meets a value that is not positive.
    """
    first = {"x": x, "y": y, "low": low, "high": high, "x_title": x_title, "y_title": y_title}
    views = [{**first, **changes} for changes in (buttons or {"": {}}).values()]
    drawn = [_lines(table, by=by, log_x=log_x, names=_names(table, by), **view) for view in views]
    if len({len(traces) for traces, _ in drawn}) > 1:
        raise ValueError("buttons: give low and high for every button or for none.")
    figure = go.Figure(*drawn[0])
    if buttons:
        steps = [_step(label, *view) for label, view in zip(buttons, drawn, strict=True)]
        figure.update_layout(updatemenus=[_buttons(steps)])
    return figure


def slider_curves(
    tables: Mapping[Any, pd.DataFrame],
    x: str,
    y: str,
    by: str,
    *,
    slider_title: str,
    start: Any = None,
    low: str | None = None,
    high: str | None = None,
    log_x: bool = False,
    x_title: str | None = None,
    y_title: str | None = None,
) -> go.Figure:
    """``curves`` of several tables, one at a time, chosen by a slider that needs no kernel.

    The axes are the same for all tables, so that what moves is the data.

    Args:
        tables: the slider's labels and their tables, in order.
        slider_title: what the labels are, shown with the current one.
        start: the label whose table is shown at first; by default the first.

    The other arguments and errors are those of ``curves``; an empty ``tables`` or an unknown ``start`` is a ValueError
    too.
    """
    active = _active(tables, start, "table")
    everything = pd.concat(tables.values())
    names = _names(everything, by)
    view = {"x": x, "y": y, "low": low, "high": high, "x_title": x_title, "y_title": y_title, "by": by}
    drawn = [_lines(table, log_x=log_x, names=names, **view) for table in tables.values()]
    figure = go.Figure(*drawn[active])
    steps = [_step(label, traces, {}) for label, (traces, _) in zip(tables, drawn, strict=True)]
    figure.update_layout(
        xaxis_range=_range(everything[[x]], log_x),
        yaxis_range=_range(everything[[column for column in (y, low, high) if column]]),
        sliders=[_slider(steps, slider_title, active)],
    )
    return figure


def tree(trees: Mapping[Any, TokenTree], *, slider_title: str, start: Any = None) -> go.Figure:
    """Token trees, the root on the left, one at a time, chosen by a slider that needs no kernel.

    A node's area grows with its weight; its token stands above it, and a leaf's weight below. What only another of
    the trees has is drawn faintly: of a tree and its prunings, what was cut off.

    Args:
        trees: the slider's labels and their trees, in order.
        slider_title: what the labels are, shown with the current one.
        start: the label whose tree is shown at first; by default the first.

    Raises:
        ValueError: no trees, or a ``start`` that is none of the labels.
    """
    active = _active(trees, start, "tree")
    weights = [one.nodes() for one in trees.values()]
    spots = _spots({path: None for nodes in weights for path in nodes})
    layers, rows = (max(spot[i] for spot in spots.values()) for i in (0, 1))
    largest = max(8, min(20, 200 // (layers + 1)))  # pixels: nodes of neighbouring layers must not touch
    views = [_nodes(nodes, one.leaves, spots, largest) for nodes, one in zip(weights, trees.values(), strict=True)]
    whole = {"type": "scatter", "mode": "lines", **_edges(spots, spots), "line": {"color": _FAINT, "width": 2}}
    figure = go.Figure([{**whole, "hoverinfo": "skip", "showlegend": False}, *views[active]])
    keys = ("x", "y", "text", "hovertext", "marker")
    steps = [
        {
            "label": str(label),
            "method": "restyle",
            "args": [{key: [trace.get(key) for trace in view] for key in keys}, [1, 2, 3, 4]],
        }
        for label, view in zip(trees, views, strict=True)
    ]
    return figure.update_layout(
        sliders=[_slider(steps, slider_title, active)],
        xaxis={"title": {"text": "layer"}, "range": [-0.5, 1.05 * layers + 0.4], "showgrid": False, "tick0": 0},
        yaxis={"visible": False, "range": [rows + 0.7, -0.7]},
        legend={"itemsizing": "constant"},
        margin={"l": 4, "r": 4},
        height=max(320, 180 + 45 * (rows + 1)),
    )


def bars(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    *,
    low: str | None = None,
    high: str | None = None,
    x_title: str | None = None,
    y_title: str | None = None,
) -> go.Figure:
    """Bars in groups: one group for each value of ``x``, one bar in it for each value of ``by``.

    Arguments and errors are those of ``curves``; the interval is drawn as an error bar.
    """
    _check(table, x, y, by, low, high)
    figure = go.Figure()
    for i, (name, rows) in enumerate((name, table[table[by] == name]) for name in _names(table, by)):
        shape, whiskers = _pick(PATTERNS, i, shift=True), None
        if low:
            up, down = rows[high] - rows[y], rows[y] - rows[low]
            whiskers = {"array": up, "arrayminus": down, "symmetric": False, "color": _INK}
        figure.add_bar(
            x=rows[x].astype(str),
            y=rows[y],
            name=str(name),
            error_y=whiskers,
            marker={
                "color": _pick(PALETTE, i),
                "pattern": {"shape": shape, "fillmode": "overlay"},
            },
            **_hover(rows, name, x_title or x, y_title or y, low, high),
        )
    return figure.update_layout(xaxis_title=x_title or x, yaxis_title=y_title or y, showlegend=True)


def dumbbells(
    views: Mapping[str, pd.DataFrame],
    label: str,
    ends: tuple[str, str],
    *,
    x_titles: Mapping[str, str] | None = None,
    over: Mapping[str, pd.DataFrame] | None = None,
    over_name: str = "yours",
) -> go.Figure:
    """Two marks a row, joined by a line: which of two values is the larger, row by row.

    Args:
        views: tables with the same rows, by the label of the button that shows them. The first one is there at first.
        label: column that names the rows.
        ends: the two columns whose values are compared.
        x_titles: title of the horizontal axis for each view, with its unit; by default the view's label.
        over: tables of the same views, whose values are drawn over the others as small open marks.
        over_name: what the legend calls these.

    Raises:
        ValueError: no view, an empty table, a missing column, or views with other rows.
    """
    if not views:
        raise ValueError("views is empty: there is nothing to draw.")
    rows = list(next(iter(views.values())).get(label, []))
    drawn = []
    for name, table in views.items():
        for end in ends:
            _check(table, label, end, label, None, None)
        if list(table[label]) != rows:
            raise ValueError(f"views: {name!r} has other rows than the first one.")
        traces = [
            {
                "type": "scatter",
                "mode": "lines",
                "x": [value for pair in zip(*(table[end] for end in ends), strict=True) for value in (*pair, None)],
                "y": [row for row in rows for _ in range(3)],
                "line": {"color": _INK, "width": 1.5},
                "hoverinfo": "skip",
                "showlegend": False,
            }
        ]
        traces += [_marks(table, label, end, i) for i, end in enumerate(ends)]
        if over:
            traces += [_marks(over[name], label, end, i, over_name) for i, end in enumerate(ends)]
        drawn.append((traces, {"xaxis": {"title": {"text": (x_titles or {}).get(name, name)}}}))
    figure = go.Figure(*drawn[0])
    figure.update_layout(
        height=max(340, 160 + 22 * len(rows)),
        yaxis={"type": "category", "autorange": "reversed", "tickfont": {"size": 11}},
    )
    if len(views) > 1:
        steps = [_step(name, *view) for name, view in zip(views, drawn, strict=True)]
        figure.update_layout(updatemenus=[_buttons(steps)])
    return figure


def _marks(table: pd.DataFrame, label: str, end: str, i: int, over_name: str = "") -> dict:
    name = f"{end}, {over_name}" if over_name else end
    symbol = _pick(SYMBOLS, i) + ("-open" if over_name else "")
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(table[end]),
        "y": list(table[label]),
        "name": name,
        "marker": {"color": _pick(PALETTE, i), "symbol": symbol, "size": 7 if over_name else 10},
        "hovertemplate": f"<b>%{{y}}</b><br>{html.escape(name)}: %{{x:.4g}}<extra></extra>",
    }


def _lines(table, *, x, y, by, low, high, x_title, y_title, log_x, names) -> tuple[list[dict], dict]:
    """Traces (bands first, so that no band covers a line) and layout of one view."""
    _check(table, x, y, by, low, high)
    if log_x and not (table[x] > 0).all():
        raise ValueError(f"log_x: column {x!r} has values that are not positive; drop these rows or use log_x=False.")
    x_title, y_title = x_title or x, y_title or y
    lines, bands = [], []
    for i, name in enumerate(names):
        rows = table[table[by] == name]
        color = _pick(PALETTE, i)
        lines.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": list(rows[x]),
                "y": list(rows[y]),
                "name": str(name),
                "legendgroup": str(name),
                "line": {"color": color, "dash": _pick(DASHES, i, shift=True), "width": 2.5},
                "marker": {"color": color, "symbol": _symbol(i), "size": 8},
                **_hover(rows, name, x_title, y_title, low, high),
            }
        )
        if low:
            bands.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [*rows[x], *rows[x][::-1]],
                    "y": [*rows[high], *rows[low][::-1]],
                    "fill": "toself",
                    "fillcolor": color,
                    "opacity": 0.2,
                    "line": {"width": 0},
                    "legendgroup": str(name),
                    "showlegend": False,
                    "hoverinfo": "skip",
                }
            )
    layout = {
        "xaxis": {"title": {"text": x_title}, **({"type": "log", "dtick": 1} if log_x else {})},
        "yaxis": {"title": {"text": y_title}},
        "showlegend": True,
    }
    return bands + lines, layout


def _step(label: Any, traces: list[dict], layout: dict) -> dict:
    """A slider's step or a button: puts another view's data into the same traces."""
    data = {key: [trace.get(key) for trace in traces] for key in ("x", "y", "customdata", "hovertemplate")}
    titles = {f"{axis}.title.text": values["title"]["text"] for axis, values in layout.items() if "axis" in axis}
    free = {f"{axis}.autorange": True for axis in layout if "axis" in axis}
    return {"label": str(label), "method": "update", "args": [data, {**titles, **free}]}


def _buttons(steps: list[dict]) -> dict:
    """A row of buttons above the figure."""
    place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": 12}}
    if len(steps) > 3:  # a telephone has room for the row, if it begins at the figure's edge and is small
        place |= {"x": -0.18, "font": {"size": 9}}
    return {"type": "buttons", "direction": "right", "buttons": steps, "showactive": True, **place}


def _active(labelled: Mapping, start: Any, what: str) -> int:
    """Where a slider begins."""
    labels = list(labelled)
    if not labels:
        raise ValueError(f"{what}s is empty: the slider needs at least one labelled {what}.")
    if start is not None and start not in labels:
        raise ValueError(f"start: no {what} is labelled {start!r}; there are {', '.join(map(str, labels))}.")
    return labels.index(start) if start is not None else 0


def _slider(steps: list[dict], title: str, active: int) -> dict:
    first, last = (4 * len(steps[i]["label"]) for i in (0, -1))  # half a label, in pixels: it must not be cut off
    return {
        "active": active,
        "steps": steps,
        "currentvalue": {"prefix": f"{title}: ", "xanchor": "left"},
        "x": 0,
        "len": 1,
        "y": 1,
        "yanchor": "bottom",
        "pad": {"b": 8, "t": 0, "l": max(0, first - 44), "r": max(20, last)},
        "transition": {"duration": 0},  # nothing moves by itself
    }


def _spots(paths: Iterable[tuple]) -> dict[tuple, tuple[int, float]]:
    """Layer and row of every node: a leaf has a row of its own, a parent stands in the middle of its children."""
    children: dict[tuple, list[tuple]] = {}
    for path in paths:
        children.setdefault(path, [])
        if path:
            children.setdefault(path[:-1], []).append(path)
    spots, free = {}, itertools.count()

    def place(path: tuple) -> float:
        rows = [place(child) for child in children[path]] or [next(free)]
        spots[path] = len(path), (rows[0] + rows[-1]) / 2
        return spots[path][1]

    place(())
    return spots


def _edges(paths: Iterable[tuple], spots: Mapping) -> dict[str, list]:
    """Lines that turn a corner behind the parent, so that they run below a child's token and not through it."""
    x, y = [], []
    for path in filter(None, paths):
        (layer, row), (_, below) = spots[path[:-1]], spots[path]
        corner = row != below
        x += [layer, *[layer + 0.4] * 2 * corner, layer + 1, None]
        y += [row, *[row, below] * corner, below, None]
    return {"x": x, "y": y}


def _nodes(nodes: Mapping, leaves: Mapping, spots: Mapping, largest: float) -> list[dict]:
    """Traces of one tree: edges, inner nodes, leaves, the leaves' weights."""

    def dots(paths: list, **more) -> dict:
        return {
            "type": "scatter",
            "x": [spots[path][0] for path in paths],
            "y": [spots[path][1] for path in paths],
            "hovertext": [f"<b>{html.escape(_reading(path))}</b><br>weight {nodes[path]:.3g}" for path in paths],
            "hoverinfo": "text",
            **more,
        }

    def marked(paths: list, name: str, look: int) -> dict:
        sizes = [max(4, largest * math.sqrt(nodes[path])) for path in paths]
        return dots(
            paths,
            name=name,
            mode="markers+text",
            marker={"size": sizes, "color": PALETTE[look], "symbol": SYMBOLS[look], "opacity": 1},
            text=[html.escape(str(path[-1]).strip()) if path else "" for path in paths],
            textposition="top center",
            textfont={"size": 11},
        )

    inner = [path for path in nodes if path not in leaves]
    edges = {"type": "scatter", "mode": "lines", **_edges(nodes, spots), "line": {"color": _INK, "width": 1.5}}
    weighed = dots(list(leaves), mode="text", text=[f"{leaves[path]:.2g}" for path in leaves], showlegend=False)
    weighed["y"] = [row + 0.36 for row in weighed["y"]]
    return [
        {**edges, "hoverinfo": "skip", "showlegend": False},
        marked(inner, "node", 0),
        marked(list(leaves), "leaf, with its weight", 1),
        {**weighed, "textfont": {"size": 11, "color": PALETTE[1]}},
    ]


def _reading(path: tuple) -> str:
    return "".join(map(str, path)).strip() or "root"


def _hover(rows, name, x_title, y_title, low, high) -> dict:
    text = f"<b>{html.escape(str(name))}</b><br>{x_title}: %{{x}}<br>{y_title}: %{{y:.3g}}"
    if not low:
        return {"hovertemplate": text + "<extra></extra>"}
    return {
        "customdata": rows[[low, high]].to_numpy().tolist(),
        "hovertemplate": text + "<br>interval: %{customdata[0]:.3g} to %{customdata[1]:.3g}<extra></extra>",
    }


def _check(table, x, y, by, low, high) -> None:
    if table.empty:
        raise ValueError("table is empty: there is nothing to draw.")
    if (low is None) != (high is None):
        raise ValueError("low and high: give both ends of the interval or neither.")
    for column in filter(None, (x, y, by, low, high)):
        if column not in table:
            raise ValueError(f"table has no column {column!r}; it has {', '.join(map(str, table))}.")


def _names(table: pd.DataFrame, by: str) -> list:
    return list(table[by].unique()) if by in table else []  # a missing column is reported by _check


def _pick(cycle: tuple, i: int, shift: bool = False) -> str:
    """Of a cycle the i-th; ``shift`` turns it on by one each time round, so that dashes meet other colours then."""
    return cycle[(i + shift * (i // len(cycle))) % len(cycle)]


def _symbol(i: int) -> str:
    return _pick(SYMBOLS, i) + ("-open" if i // len(SYMBOLS) % 2 else "")


def _range(values: pd.DataFrame, log: bool = False) -> list[float]:
    """An axis range that holds all values, with a little room."""
    values = values.to_numpy(dtype=float)
    if log:
        values = np.log10(values)
    smallest, largest = np.nanmin(values), np.nanmax(values)
    room = 0.05 * (largest - smallest or 1)
    return [float(smallest - room), float(largest + room)]


def _plain(value: Any) -> Any:
    """A figure's content as plain lists and rounded numbers: small, legible, the same on every platform."""
    if isinstance(value, dict):
        if "bdata" in value:  # Plotly's packed arrays
            array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
            shape = str(value.get("shape", len(array))).split(",")
            return _plain(array.reshape([int(n) for n in shape]))
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


# ---- springs: the one figure that is no Plotly -----------------------------------------------------------------


class Springs:
    """Springs in series that a reader pulls; what ``springs`` returns and a notebook displays."""

    def __init__(self, sizes: Mapping[str, float], alt: str, caption: str = "") -> None:
        if not alt.strip():
            raise ValueError("alt is empty: say in a sentence or two what the figure shows.")
        self.sizes, self.alt, self.caption = dict(sizes), alt.strip(), caption.strip()

    def __repr__(self) -> str:
        return self.alt

    def _repr_html_(self) -> str:
        springs = [{"name": name, "size": size} for name, size in self.sizes.items()]
        data = json.dumps(springs).replace("<", "\\u003c")  # whatever a name holds, it ends no script
        name = "figure-" + hashlib.sha256(repr((data, self.alt, self.caption)).encode()).hexdigest()[:12]
        described, caption = _caption(name, self.caption)
        parts = {"name": name, "alt": html.escape(self.alt), "described": described, "caption": caption, "data": data}
        page = Path(__file__).with_name("springs.html").read_text("utf-8")
        return re.sub(r"\{\{(\w+)\}\}", lambda part: parts[part[1]], page)


def springs(sizes: Mapping[str, float], *, alt: str, caption: str = "") -> Springs:
    """Springs in series on a wall, which the reader pulls with mouse, finger or arrow keys; no kernel is needed.

    One force F stretches all of them, each by F / its size. A second control sets the first one's size, as a multiple
    of the last one's, from 1 to 100.

    Args:
        sizes: the stiffness of each spring, from the wall on: two or three. The names may have an index: "D_p".
        alt: as in ``present``.
        caption: as in ``present``.

    Raises:
        ValueError: not two or three sizes, one that is not above 0, a first one that is not 1 to 100 times the last, or
            an empty ``alt``.
    """
    values = list(sizes.values())
    if len(values) not in (2, 3) or not all(0 < size < math.inf for size in values):
        raise ValueError("sizes must be two or three numbers above 0, one a spring.")
    if not 1 <= values[0] / values[-1] <= 100:
        raise ValueError(f"sizes: the first must be 1 to 100 times the last, not {values[0] / values[-1]:.3g} times.")
    return Springs(sizes, alt, caption)
