"""What slides are filled with: pieces of text, tables and figures, each large enough and with its room."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import dataclass
from typing import Any

import build
import nbformat
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOM, WIDTH = 15, 76  # lines below a slide's title and characters in a line, at 28 pixels
TABLE_LINES, TABLE_WIDTH = 13, 72
FIGURE_LINES, LEAD = 9, 200  # lines that a figure takes at least, characters above it at most
FIGURE_FONT, INK = 22, "#1b1f24"
PROSE = re.compile(r"[A-Z\d`(\"]|\$[^$]|\*[*\w]")  # how a paragraph begins that is no list, table, directive or HTML


@dataclass(frozen=True)
class Block:
    """A piece of a slide, and how many lines it takes."""

    html: str
    lines: float
    width: int = 0  # of a table, in characters
    alt: str = ""  # of a figure


def _parser() -> MarkdownIt:
    """Markdown as in the chapters, without links to other pages: on a slide they lead nowhere."""
    markdown = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)
    away = []

    def link_open(self, tokens, i, options, env):
        away.append(tokens[i].attrs["href"].startswith("http"))
        return self.renderToken(tokens, i, options, env) if away[-1] else ""

    def math(left, right):
        return lambda self, tokens, i, options, env: f"{left}{html.escape(tokens[i].content)}{right}"

    markdown.add_render_rule("link_open", link_open)
    markdown.add_render_rule("link_close", lambda *_: "</a>" if away.pop() else "")
    markdown.add_render_rule("math_inline", math(r"\(", r"\)"))
    for name in ("math_inline_double", "math_block", "math_block_label"):
        markdown.add_render_rule(name, math(r"<div>\[", r"\]</div>"))
    return markdown


MARKDOWN = _parser()


def blocks(text: str) -> list[Block]:
    """Markdown as blocks: its paragraphs, formulas, tables and the single points of its lists; no raw HTML."""
    found = []
    for node in SyntaxTreeNode(MARKDOWN.parse(text)).children:
        if node.type.endswith("_list"):
            for number, item in enumerate(node.children, node.attrs.get("start", 1)):
                start, end = (f'<ol start="{number}">', "</ol>") if node.type[0] == "o" else ("<ul>", "</ul>")
                found.append(block(start + _render(item) + end))
        elif node.type not in ("html_block", "heading", "hr", "fence"):
            found.append(block(_render(node)))
    return found


def _render(node: SyntaxTreeNode) -> str:
    return MARKDOWN.renderer.render(node.to_tokens(), MARKDOWN.options, {})


def block(content: str) -> Block:
    """HTML with an estimate of the lines that it takes."""
    text = re.sub(r"<[^>]+>|\\[a-z]+|[{}^_]", "", html.unescape(content))  # of TeX, about what is seen
    formulas = 2.5 * content.count(r"\[") + content.count(r"\\")
    return Block(content, 1.15 * content.count("<tr") or math.ceil(len(text) / WIDTH) + 0.5 + formulas)


def prose(text: str) -> list[str]:
    """The paragraphs of some Markdown, each in one line."""
    return [" ".join(each.split()) for each in text.split("\n\n") if PROSE.match(each.strip())]


def filled(title: str, content: list[Block], most: int = 99) -> list[str]:
    """As many slides as the blocks need, with at most so many blocks on one."""
    slides, room = [[]], ROOM - 1.3 * (len(title) > 52)  # a title in two lines
    for piece in content:
        taken = sum(each.lines for each in slides[-1])
        if slides[-1] and (taken + piece.lines > room or len(slides[-1]) == most):
            slides.append([])
        slides[-1].append(piece)
    return [f"<h2>{MARKDOWN.renderInline(title)}</h2>{_together(each)}" for each in slides if each]


def _together(content: list[Block]) -> str:
    """The inside of a slide; few short lines are larger, by 1.29 in height and, as they break, in number."""
    inside = "".join(each.html for each in content)
    few = sum(each.lines for each in content) < ROOM / 1.65 and all(each.width <= WIDTH / 2 for each in content)
    return f'<div class="few">{inside}</div>' if few else inside


def sentences(paragraph: str, before: bool = False) -> str:
    """As many sentences of a paragraph as fit above a figure, and at least one: its first.

    Args:
        before: the paragraph leads to the figure: the one that begins "The figure" and the next, or else its last.
    """
    numbered = re.sub(r"(\d\.) (?=\w)", "\\1\xa0", paragraph)
    each = re.sub(r"([a-z)$`*\d][.?!][)*\"]*) +(?=[^a-z])", r"\1\n", numbered).split("\n")
    each = [sentence for sentence in each if sentence[-1:] in set(".?!:)*")] or each  # a formula ends the others
    named = next((i for i, sentence in enumerate(each) if re.match("The (figure|table|curve|line)", sentence)), None)
    if before and named is None:
        each = each[::-1]
    chosen = each[named or 0 :][:1]
    for sentence in each[(named or 0) + 1 :]:
        if sum(map(len, chosen)) + len(sentence) > LEAD:
            break
        chosen.append(sentence)
    return " ".join(chosen[::-1] if before and named is None else chosen)


def outputs(cell: nbformat.NotebookNode, tables: bool) -> list[Block]:
    """What a cell shows that can be read from afar: its figures and, if asked for, its tables."""
    figures, small = [], []
    for output in cell.outputs:
        data = output.get("data", {})
        page, plain = data.get("text/html", ""), data.get("text/plain", "")
        if build.PLOTLY_MIME in data:
            figures.append(Block(_plot(data[build.PLOTLY_MIME], plain), FIGURE_LINES, alt=plain))
        elif '<figure class="springback' in page:
            figures.append(Block(page, FIGURE_LINES, alt=plain))
        elif "<table" in page:
            table = page[page.index("<table") : page.index("</table>")] + "</table>"
            width = max(len(row) + 99 * row.endswith("\\") for row in plain.split("\n"))  # pandas broke a wide table
            small.append(Block(table, 1.15 * table.count("<tr"), width))
        elif output.output_type == "stream":
            # Several tables printed one below the other may stand on several slides: each begins with a plain line.
            for part in re.split(r"\n(?=\S+(?: \S+)*\n.*  )", output.text.rstrip()):
                rows = part.split("\n")
                small.append(Block(f"<pre>{html.escape(part)}</pre>", len(rows) + 0.5, max(map(len, rows))))
    fit = all(each.lines <= TABLE_LINES and each.width <= TABLE_WIDTH for each in small)
    if not tables or not fit or sum(each.lines for each in small) < 3:  # one or two lines are no table
        small = []
    return figures + small


def _plot(stored: dict, alt: str) -> str:
    layout = _enlarged({**stored["layout"], "height": None, "autosize": True})
    for slider in layout.get("sliders", []):
        slider |= {"x": 0.03, "len": 0.92}  # large labels need room at both ends
    traces = [_enlarged(trace) for trace in stored["data"]]
    data = json.dumps({"data": traces, "layout": layout}, ensure_ascii=False).replace("<", "\\u003c")
    return (
        f'<figure class="plot" role="img" aria-label="{html.escape(alt)}"><div></div>'
        f'<script type="application/json">{data}</script></figure>'
    )


def _enlarged(part: Any, name: str = "") -> Any:
    """A piece of a Plotly figure with large dark text, thicker lines and titles in two lines beside a low y axis."""
    if isinstance(part, list):
        return [_enlarged(each) for each in part]
    if isinstance(part, dict):
        inside = {key: key if key not in ("title", "text") else f"{name} {key}" for key in part}
        new = {key: _enlarged(value, inside[key]) for key, value in part.items()}
        if name.endswith("font"):
            new |= {"size": FIGURE_FONT, "color": INK}
        if name == "line" and "width" in part:
            new["width"] = 1.6 * part["width"]
        return new
    if isinstance(part, str) and name in ("yaxis title text", "yaxis.title.text") and len(part) > 20:
        middle = min((abs(i - len(part) / 2), i) for i, letter in enumerate(part) if letter == " ")[1]
        return f"{part[:middle]}<br>{part[middle + 1 :]}"
    return part
