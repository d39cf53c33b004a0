"""Answers to the exercises, a module a notebook: right ones, and wrong ones with what the explanation must speak of.

The right answers are the solutions that the notebooks hold. What a solution takes from a run of its notebook is given
to it, or is left to the test that runs the notebook (nbval compares what its checks say).
"""

import ast
import re

import edition
import sources

CHECK = re.compile(r'exercises\.check\("\w+\.(\w+)", (\w+)\)')
CELLS = {path.stem: sources.read(path).cells for path in sources.notebooks()}


def right(notebook, live=(), **given):
    """The right answers of a notebook, by exercise.

    Args:
        live: exercises whose solutions need a run.
        given: names of the notebook's that its solutions use.
    """
    return _answers(notebook, str, live, given)


def stubs(notebook):
    """The answers of a notebook as a student finds them, by exercise."""
    return _answers(notebook, edition.stub)


def _answers(notebook, of_cell, live=(), given=()):
    names, answers = dict(given), {}
    code = [cell.source for cell in CELLS[notebook] if cell.cell_type == "code"]
    for before, source in zip(["", *code], code, strict=False):
        if edition.is_check(source):
            exercise, answer = CHECK.search(source).groups()
            if exercise not in live:
                exec(of_cell(before), names)
                answers[exercise] = names[answer]
        elif edition.MARKER not in source and "google.colab" not in source:
            exec(_imports(source), names)
    return answers


def _imports(source):
    lines = [ast.unparse(node) for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(lines)
