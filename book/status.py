"""What was run, when, and how it is tested: the directive `{status}`, a table, and a line below each chapter's head.

All of it comes from the notebooks as they are staged: from what they stored when they were run.
"""

from __future__ import annotations

import re

import edition
import nbformat
import sources
from course_map import Chapter, OfChapters, chapters
from docutils import nodes
from sphinx import addnodes

from helpers import exercises

PAGE = "chapters/back/status"
COLUMNS = (
    "chapter",
    "executed",
    "seconds",
    "with",
    "outputs compared",
    "exercises",
    "quiz questions",
    "on real models",
)


def row(chapter: Chapter, notebook: nbformat.NotebookNode) -> list[str]:
    """A chapter's row of the table; a dash where the notebook holds nothing."""
    run = notebook.metadata.get("springback", {})
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    versions = re.search(r"^springback .*$", printed, re.MULTILINE)
    quiz = exercises.read_quizzes(exercises.QUIZZES).get(chapter.page.rpartition("/")[2].removesuffix(".ipynb"))
    return [
        f"[{chapter.name}](/{chapter.page})",
        run.get("executed", "–"),
        str(run.get("seconds", "–")),
        versions[0] if versions else "–",
        str(sum("nbval-check-output" in cell.metadata.get("tags", []) for cell in code)),
        str(sum(edition.is_check(cell.source) for cell in code)),
        str(len(quiz.questions) if quiz else 0),
        "not run yet",
    ]


class Status(OfChapters):
    def show(self, found: dict[str, Chapter]) -> list[nodes.Node]:
        rows = [row(chapter, sources.read(sources.ROOT / chapter.page)) for chapter in found.values()]
        lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
        return self.parse_text_to_nodes("\n".join(f"| {' | '.join(cells)} |" for cells in lines))


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
