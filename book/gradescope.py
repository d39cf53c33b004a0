"""The archive with which Gradescope grades a chapter: `make autograder NAME=rebound`.

It holds the grader, the helpers with their data, and two scripts that Gradescope calls: setup.sh once, run_autograder
for each submission, in a machine of its own that is thrown away. So there it needs no bubblewrap; that a submission
cannot reach the verdicts is what it is elsewhere: see grade.py. No solution is in the archive.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from grade import Grade, exercises_of, grade
from sandbox import try_out

from helpers.exercises import RIGHT

ROOT = Path(__file__).resolve().parents[1]
HELD = ("src", "data", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "LICENSE-TEXT", "book/wheel.py")
GRADER = ("grade", "sandbox", "run_submission", "needed_cells", "gradescope")
SETUP = """\
#!/usr/bin/env bash
# Once, when the archive is uploaded: a Python that the book can use, and what the helpers need.
set -euo pipefail
cd /autograder/source
apt-get update
apt-get install -y python3-venv || true
good() { "$1" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
if ! good python3; then apt-get install -y python3.12-venv || apt-get install -y python3.11-venv; fi
for python in python3 python3.12 python3.11; do if good $python; then break; fi; done
$python -m venv .venv
.venv/bin/pip install -e . nbformat -c constraints.txt
"""
RUN = """\
#!/usr/bin/env bash
# For each submission.
exec /autograder/source/.venv/bin/python /autograder/source/book/gradescope.py --grade {chapter}
"""


def pack(chapter: str, folder: Path = ROOT / "_build/autograder") -> Path:
    """Write the archive of a chapter; give its path. Files that git does not know are left out.

    Raises:
        ValueError: the chapter has no exercises.
    """
    if not exercises_of(chapter):
        raise ValueError(f"There is no chapter {chapter!r} with exercises: make autograder NAME=rebound, for example.")
    grader = [f"book/{name}.py" for name in GRADER]
    command = ["git", "ls-files", "-z", *HELD, *grader]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{chapter}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in filter(None, names.split("\0")):
            archive.write(ROOT / name, name)
        for name, text in (("setup.sh", SETUP), ("run_autograder", RUN.format(chapter=chapter))):
            script = zipfile.ZipInfo(name)
            script.external_attr = 0o755 << 16
            archive.writestr(script, text)
    return path


def results(graded: Grade) -> dict:
    """A grade as Gradescope reads it."""
    tests = [
        {
            "name": name,
            "score": int(result.verdict == RIGHT),
            "max_score": 1,
            "status": "passed" if result.verdict == RIGHT else "failed",
            "output": repr(result),
        }
        for name, result in graded.results.items()
    ]
    return {"score": graded.points, "output": "\n".join(graded.notes), "output_format": "text", "tests": tests}


def run(chapter: str, place: Path = Path("/autograder")) -> None:
    """Grade the one notebook that was handed in, and write results.json.

    Raises:
        RuntimeError: the machine is not as it should be, which must not look like a student's mistake.
    """
    try_out(thrown_away=True)
    found = sorted((place / "submission").rglob("*.ipynb"))
    if len(found) == 1:
        graded = grade(found[0], found[0].name, chapter, thrown_away=True)
    else:
        graded = Grade("", notes=[f"Not graded: hand in one notebook (.ipynb), not {len(found)}."])
    (place / "results").mkdir(exist_ok=True)
    os.chmod(place / "results", 0o700)
    (place / "results/results.json").write_text(json.dumps(results(graded)))


if __name__ == "__main__":
    if sys.argv[1] == "--grade":
        run(sys.argv[2])
    else:
        try:
            print(f"Upload {os.path.relpath(pack(sys.argv[1]))} to Gradescope as the autograder.")
        except ValueError as problem:
            sys.exit(str(problem))
