"""Grade a folder of submissions into a table: `make grade SUBMISSIONS=folder TO=grades.csv`.

A submission is a chapter's notebook that a student has filled in. Its cells run in a sandbox of its own (sandbox.py),
from first to last or, with `--quick`, only those that the exercises need; where one calls `exercises.check`, the check
runs here, out of the submission's reach. So a student sees at home what the table will say, and no submission can give
itself a point. Of several answers to an exercise the last one counts.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import stat
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pandas as pd
from needed_cells import CHECKED, needed
from sandbox import CALL_SECONDS, GRACE, Sandbox, Stopped, keep_unseen, try_out

from helpers.exercises import CHECKS, NOT_YET, RIGHT, UNANSWERED, Result, check

FILE_BYTES = 20 * 2**20
SECONDS = 600  # for all cells of a submission; half of it for one
NOTES = 5  # a row's notes, at most


class Unfit(Exception):
    """Why a file cannot be graded."""


@dataclass
class Grade:
    """What one submission earned: the result of each exercise of its chapter, and what happened on the way."""

    file: str
    results: dict[str, Result] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(result.verdict == RIGHT for result in self.results.values())

    def note(self, text: str) -> None:
        if len(self.notes) < NOTES:
            self.notes.append(text)


def read(path: Path, chapter: str = "") -> tuple[list[str], list[tuple[int, str]]]:
    """A submission's exercises, as its chapter has them, and its code cells with their numbers among all cells.

    Args:
        chapter: which it must be; otherwise, if it lies in a folder with a chapter's name, that one.

    Raises:
        Unfit: it is not the notebook of a chapter, or of another one.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise Unfit("no file of its own (a link, or the like)")
    if path.suffix != ".ipynb":
        raise Unfit("no notebook (its name does not end in .ipynb)")
    if status.st_size > FILE_BYTES:
        raise Unfit(f"larger than {FILE_BYTES // 2**20} MB; clear its outputs")
    try:
        notebook = nbformat.reads(path.read_text("utf-8"), as_version=4)
        cells = [(n, str(cell.source)) for n, cell in enumerate(notebook.cells, 1) if cell.cell_type == "code"]
    except Exception as error:  # whatever a file may hold
        raise Unfit(f"no readable notebook ({type(error).__name__})") from None
    found = Counter(book for _, source in cells for book, name in CHECKED.findall(source) if f"{book}.{name}" in CHECKS)
    if not found:
        raise Unfit("no chapter's notebook: no cell of it calls exercises.check")
    is_one, should_be = found.most_common(1)[0][0], chapter or path.parent.name
    if is_one != should_be and exercises_of(should_be):
        raise Unfit(f"the wrong chapter: it holds the exercises of {is_one}, not of {should_be}")
    return exercises_of(is_one), cells


def exercises_of(chapter: str) -> list[str]:
    return [name for name in CHECKS if name.startswith(f"{chapter}.")]


def grade(
    path: Path, file: str, chapter: str = "", seconds: float = SECONDS, quick: bool = False, thrown_away: bool = False
) -> Grade:
    """Run one submission in a sandbox and check its answers. A bad submission raises nothing: the notes tell.

    Args:
        file: its name in the table.
        chapter: see `read`.
        seconds: for all cells together; one may take half of it.
        quick: whether to run only what the exercises need.
        thrown_away: see `Sandbox`.
    """
    graded = Grade(file)
    try:
        names, cells = read(path, chapter)
    except Unfit as reason:
        graded.note(f"Not graded: {reason}.")
        return graded
    graded.results = dict.fromkeys(names, Result(UNANSWERED, "No cell with its check was run."))
    at, checking = "before its first cell", None
    run = needed(cells) if quick else cells
    with Sandbox(thrown_away, seconds) as sandbox:
        try:
            sandbox.send({"cells": run, "cell_seconds": seconds / 2, "call_seconds": CALL_SECONDS})
            while True:
                match sandbox.receive(seconds / 2 + GRACE):
                    case {"done": _}:
                        break
                    case {"cell": int(number)}:
                        at = f"cell {number}"
                    case {"stopped": {"error": str(kind), "message": str(message)}}:
                        graded.note(f"{at} stopped with {kind}: {message[:200]}.")
                    case {"check": str(name), "answer": answer}:
                        if name in names:
                            checking = name
                            graded.results[name] = result = judged(name, sandbox.answer(answer))
                        else:
                            result = Result(UNANSWERED, f"{name[:40]} is no exercise of this chapter.")
                        checking = None
                        sandbox.send({"verdict": result.verdict, "message": result.message})
                    case _:
                        raise Stopped("sent the grader what is no message")
        except Stopped as reason:
            graded.note(f"{at} {reason}; what came after it was not run.")
            if checking:
                graded.results[checking] = Result(NOT_YET, f"While it was checked, the submission {reason}.")
    for name in names:
        if not any(name.split(".") == list(found) for _, source in cells for found in CHECKED.findall(source)):
            graded.note(f"It has no check of {name}.")
    return graded


def judged(name: str, answer: object) -> Result:
    """`check`, also for answers that no reader would give."""
    try:
        return check(name, answer)
    except Exception as error:
        return Result(NOT_YET, f"This answer cannot be checked ({type(error).__name__}).")


def plain(text: str) -> str:
    """One line that is safe to open: no control characters, and nothing that a spreadsheet takes for a formula."""
    line = " ".join(re.sub(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\uffff]", " ", text).split())
    return f"'{line}" if line[:1] in set("=+-@") else line


def table(grades: list[Grade]) -> pd.DataFrame:
    """The grades as rows: file, points, of, the verdict of each exercise, notes."""
    names = [name for name in CHECKS if any(name in graded.results for graded in grades)]
    rows = [
        {
            "file": plain(graded.file),
            "points": graded.points,
            "of": len(graded.results),
            **{name: graded.results[name].verdict if name in graded.results else "" for name in names},
            "notes": plain(" ".join(note[:1].upper() + note[1:] for note in graded.notes)),
        }
        for graded in grades
    ]
    return pd.DataFrame(rows)


def feedback(graded: Grade) -> str:
    """For the student, in Markdown: what each check said."""
    lines = [f"# {graded.file}: {graded.points} of {len(graded.results)}", *graded.notes]
    lines += [f"**{name}: {result.verdict}.** {result.message}" for name, result in graded.results.items()]
    return "\n\n".join(html.escape(plain(line), quote=False) for line in lines) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file at once: either the whole new one stands there or the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(text, "utf-8")
    half.replace(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("submissions", help="a folder; folders in it may have chapters' names")
    parser.add_argument("--to", type=Path, default=Path("grades.csv"), help="the table")
    parser.add_argument("--feedback", type=Path, help="a folder for what each check said, a file a submission")
    parser.add_argument("--quick", action="store_true", help="run only the cells that the exercises need")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for a submission; half of it for one cell")
    chosen = parser.parse_args(arguments)
    folder = Path(chosen.submissions)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    outputs = [path for path in (chosen.to, chosen.feedback) if path and folder.resolve() in path.resolve().parents]
    try:
        if not chosen.submissions or not folder.is_dir():
            raise RuntimeError(f"{chosen.submissions!r} is no folder: make grade SUBMISSIONS=folder TO=grades.csv")
        if not paths:
            raise RuntimeError(f"{folder} holds no submission.")
        if outputs:
            raise RuntimeError(f"{outputs[0]} lies among the submissions: name a place outside of {folder}.")
        keep_unseen(folder)
        try_out()
    except RuntimeError as problem:
        print(problem, file=sys.stderr)
        return 1
    grades: list[Grade] = []
    for number, path in enumerate(paths, 1):
        file, start = path.relative_to(folder).as_posix(), time.monotonic()
        print(f"[{number}/{len(paths)}] {plain(file)}  ", end="", flush=True)
        graded = grade(path, file, seconds=chosen.seconds, quick=chosen.quick)
        grades.append(graded)
        write(chosen.to, table(grades).to_csv(index=False))  # what is done is kept if the rest is interrupted
        if chosen.feedback:
            write(chosen.feedback / f"{file}.md", feedback(graded))
        told = f"{graded.points} of {len(graded.results)}, {time.monotonic() - start:.0f} s"
        print("  ".join([told, *(plain(note) for note in graded.notes)]))
    print(f"The table is {chosen.to}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
