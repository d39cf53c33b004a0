"""Does the set-up cell work where Colab's packages are there already? `make colab`.

For each Python a new environment gets the versions of colab.txt and runs a notebook of the student edition, told that
it is on Colab: its set-up cell installs the branch of that edition, made here, instead of the public one. Then we see
what the install has changed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "book"))
import edition
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NOTEBOOK = Path("chapters/start/springs_back.ipynb")
PYTHONS = ("python3.11", "python3.12", "python3.13")

# Colab's own package asks for exactly these, or has imported them before the set-up cell runs: another version breaks
# what runs the notebook.
COLABS_OWN = ("ipykernel", "ipython", "matplotlib", "numpy", "pandas", "pillow", "requests", "tornado")

# Run by every kernel at its start: what the set-up cell and our figures look for.
AS_ON_COLAB = """
import importlib.util, sys
from importlib.machinery import ModuleSpec
sys.modules.setdefault("google.colab", importlib.util.module_from_spec(ModuleSpec("google.colab", None)))
type(get_ipython()).__repr__ = lambda self: "<google.colab._shell.Shell>"
"""
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
try:
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
finally:
    for output in notebook.cells[int(sys.argv[2])].outputs:
        print(output.get("text", ""), end="")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="*", help="commands; by default those of 3.11, 3.12 and 3.13 that are there")
    parser.add_argument("--here", action="store_true", help="no new environment: this is Colab's image")
    parser.add_argument("--torch", help="version to have instead of Colab's, where that has no wheel")
    options = parser.parse_args()
    faults = []
    with tempfile.TemporaryDirectory(prefix="springback-") as folder:
        if options.here:
            faults += attempt(sys.executable, Path(folder))
        for python in [] if options.here else options.pythons or filter(starts, PYTHONS):
            own = Path(tempfile.mkdtemp(dir=folder))
            faults += attempt(environment(python, own, options.torch), own)
    sys.exit("\n".join(faults) or 0)


def starts(python: str) -> bool:
    try:
        return subprocess.run([python, "-V"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def environment(python: str, folder: Path, torch: str | None) -> str:
    """A new environment with Colab's packages; its Python."""
    wanted = (HERE / "colab.txt").read_text()
    if torch:
        wanted = re.sub("^torch==.*", f"torch=={torch}", wanted, flags=re.MULTILINE)
    (folder / "colab.txt").write_text(wanted)
    subprocess.run([python, "-m", "venv", folder / "env"], check=True)
    python = str(folder / "env/bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", folder / "colab.txt"], check=True)
    return python


def attempt(python: str, folder: Path) -> list[str]:
    """Run the notebook and report; what is wrong."""
    version = subprocess.run([python, "-V"], check=True, capture_output=True, text=True).stdout.strip()
    before, complaints = packages(python), check(python)
    started = time.perf_counter()
    ran = notebook(python, folder)
    print(f"\n{version}: {NOTEBOOK.name} took {time.perf_counter() - started:.0f} s, install included\n")
    after = packages(python)
    faults = [] if ran else [f"{NOTEBOOK.name} failed"]
    faults += compare(before, after)
    faults += [f"pip check: {line}" for line in sorted(check(python) - complaints)]
    if ran and not carries_data(python):
        faults.append("the installed package carries no data/")
    return [f"{version}: {fault}" for fault in faults]


def notebook(python: str, folder: Path) -> bool:
    """Run the notebook; whether it ran to its end."""
    student = folder / "student"
    git = {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig")}
    (folder / "gitconfig").write_text(
        "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = student\n"
        "[user]\n\tname = colab\n\temail = colab@localhost\n"
    )
    os.environ.update(git)  # whoever owns this repository's folder
    edition.write(student)
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "The student edition"]):
        subprocess.run(["git", *command], cwd=student, check=True)
    cells = json.loads((student / NOTEBOOK).read_text())["cells"]
    number, cell = next((i, "".join(c["source"])) for i, c in enumerate(cells) if "git+" in "".join(c["source"]))
    address = re.search(r"git\+(\S+)@student", cell)[1]
    with (folder / "gitconfig").open("a") as config:
        config.write(f'[url "file://{student}"]\n\tinsteadOf = {address}\n')
    startup = folder / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "colab.py").write_text(AS_ON_COLAB)
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SPRINGBACK_DATA")}
    done = subprocess.run(
        [python, "-c", RUN, student / NOTEBOOK, str(number)],
        cwd=folder,  # not the repository, whose files must not stand in for the installed ones
        env=inherited | git | {"IPYTHONDIR": str(folder / "ipython")},
    )
    return done.returncode == 0


def packages(python: str) -> dict[str, str]:
    """Name and version of all that is installed."""
    listed = pip(python, "list", "--format", "json").stdout
    return {canonicalize_name(package["name"]): package["version"] for package in json.loads(listed)}


def check(python: str) -> set[str]:
    """What does not fit together."""
    done = pip(python, "check")
    return set(done.stdout.splitlines()) if done.returncode else set()


def pip(python: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([python, "-m", "pip", *arguments], capture_output=True, text=True)


def carries_data(python: str) -> bool:
    code = "import helpers.models as m; m.load('neox-0.4m'); print(m.data_root().parts[-2:] == ('helpers', '_data'))"
    done = subprocess.run([python, "-c", code], cwd="/", capture_output=True, text=True)
    return done.stdout.strip() == "True"


def compare(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Print what was changed and added; what should have been left alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = {canonicalize_name(r.name): r.specifier for r in map(Requirement, project["dependencies"])}
    faults = []
    print(f"{'package':<22}{'Colab':<18}{'after':<18}our range")
    for name in sorted(before.keys() | ranges.keys()):
        old, new, wanted = before.get(name), after.get(name), ranges.get(name)
        if old == new and wanted is None:
            continue
        print(f"{name:<22}{old or '-':<18}{new if new != old else '':<18}{wanted or ''}")
        if old not in (None, new) and wanted is not None and old in wanted:
            faults.append(f"{name} {old} was replaced by {new}, though our range admits it")
        elif old not in (None, new) and name in COLABS_OWN:
            faults.append(f"{name} {old} was replaced by {new}: Colab itself needs the former")
    print("also new:", ", ".join(sorted(after.keys() - before.keys() - ranges.keys())) or "nothing")
    return faults


if __name__ == "__main__":
    main()
