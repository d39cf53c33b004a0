"""What was run, when, and how it is tested: the directive `{status}`, a table, and a line below each chapter's head.

All of it comes from the notebooks as they are staged: from what they stored when they were run.
"""

from __future__ import annotations

import re
from collections import Counter

import edition
import nbformat
import sources
from course_map import Chapter, OfChapters, chapters
from docutils import nodes
from sphinx import addnodes

from helpers import exercises

PAGE = "chapters/back/status"


def row(chapter: Chapter, notebook: nbformat.NotebookNode) -> dict[str, str]:
    """A chapter's row of the table, by column; a dash where the notebook holds nothing."""
    run = notebook.metadata.get("springback", {})
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    quiz = exercises.read_quizzes(exercises.QUIZZES).get(chapter.page.rpartition("/")[2].removesuffix(".ipynb"))
    return {
        "chapter": f"[{chapter.name}](/{chapter.page})",
        "executed": run.get("executed", "–"),
        "seconds": str(run.get("seconds", "–")),
        "outputs compared": str(sum("nbval-check-output" in cell.metadata.get("tags", []) for cell in code)),
        "exercises": str(sum(edition.is_check(cell.source) for cell in code)),
        "quiz questions": str(len(quiz.questions) if quiz else 0),
        "on real models": "not run yet",
    }


def versions(notebook: nbformat.NotebookNode) -> str:
    """What a notebook's set-up cell printed of the versions it ran with."""
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    found = re.search(r"^springback .*\n.*", printed, re.MULTILINE)
    return found[0].replace("\n", " · ") if found else "unknown versions"


class Status(OfChapters):
    def show(self, found: dict[str, Chapter]) -> list[nodes.Node]:
        notebooks = {file: sources.read(sources.ROOT / chapter.page) for file, chapter in found.items()}
        rows = [row(found[file], notebook) for file, notebook in notebooks.items()]
        lines = [list(rows[0]), ["---"] * len(rows[0]), *(each.values() for each in rows)]
        used = Counter(map(versions, notebooks.values()))
        made = "; ".join(f"{count} notebooks with {which}" for which, count in used.items())
        text = "\n".join([*(f"| {' | '.join(cells)} |" for cells in lines), "", f"{made}."])
        table, *rest = self.parse_text_to_nodes(text)
        table["classes"].append("compact")
        return [table, *rest]


def add_line(app, doctree):
    """Say below a chapter's head when it was run last."""
    chapter = chapters().get(app.env.docname)
    head = next(iter(doctree.findall(nodes.table)), None)
    if chapter is None or head is None:
        return
    run = sources.read(sources.ROOT / chapter.page).metadata.get("springback", {})
    if "executed" in run:
        link = addnodes.pending_xref(
            "",
            nodes.inline("", "status"),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{PAGE}",
            refdoc=app.env.docname,
            refexplicit=True,
            refwarn=True,
        )
        said = nodes.Text(f"Last executed on {run['executed']}, in {run['seconds']} s · ")
        place = head.parent.index(head)
        head.parent.insert(place + 1, nodes.paragraph("", "", said, link, classes=["executed"]))


def setup(app):
    app.add_directive("status", Status)
    app.connect("doctree-read", add_line)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
