"""Run the notebooks that changed and build the book: `make book`.

A notebook stores its outputs, and with them a digest of what they depend on: its cells, the helpers, the data, the
pins. Where that no longer holds, the notebook is run. The executed copies lie in _build/executed, each written at once
when its run has succeeded, so a build can be interrupted and goes on where it was. The student edition of the book,
outputs included, is then staged in _build/source, and jupyter-book builds _build/html from there, warnings as errors.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from importlib.resources import files
from pathlib import Path

import edition
import lint
import metadata
import nbformat
import sources
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sources import BookError, name, notebooks, pages, read, write

BUILD = sources.ROOT / "_build"
EXECUTED = BUILD / "executed"
SOURCE = BUILD / "source"
CHECKS, QUIZZES = "src/helpers/exercises/checks", "src/helpers/exercises/quizzes.toml"
CELL_TIMEOUT = 300  # seconds, as in the tests

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
PLOTLY_MIME = "application/vnd.plotly.v1+json"

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # the same numbers everywhere
    "SPRINGBACK_PROGRESS": "off",  # no bars and half-drawn curves in a page
    "TOKENIZERS_PARALLELISM": "false",
}


def setup_cell() -> str:
    """The set-up cell that every notebook begins with, from the public address in _config.yml."""
    address = yaml.safe_load((sources.ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    return (
        'if "google.colab" in str(get_ipython()):\n'
        f"    %pip install -q git+{address}@{edition.BRANCH}\n"
        "import helpers; helpers.setup()"
    )


def first_code_cell(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    return next((cell for cell in notebook.cells if cell.cell_type == "code"), None)


def check_setup_cells() -> None:
    """Raise BookError unless every notebook's first code cell is the set-up cell."""
    for path in notebooks():
        cell = first_code_cell(read(path))
        if cell is None or cell.source != setup_cell():
            raise BookError(
                f"{name(path)}: the first code cell is not the set-up cell; 'make setup-cell' puts the right one there."
            )


def write_setup_cells() -> None:
    """Put the set-up cell first in every notebook: over an older one, or before the first code cell."""
    for path in notebooks():
        notebook = read(path)
        cell = first_code_cell(notebook)
        if cell is None or "google.colab" not in cell.source:
            place = notebook.cells.index(cell) if cell else len(notebook.cells)
            cell = nbformat.v4.new_code_cell()
            notebook.cells.insert(place, cell)
        if cell.source != setup_cell():
            cell.source = setup_cell()
            write(path, notebook)
            print(f"{name(path)}: set-up cell written")


def execute(path: Path, environment: dict[str, str] | None = None) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom in a fresh kernel, in its own folder.

    Args:
        environment: more variables of the kernel's, or other values of those that the book is built with.

    Raises:
        BookError: if a cell fails, takes too long or kills its kernel.
    """
    notebook = read(path)
    place = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources=place,
    )
    client.extra_arguments = ["--log-level=CRITICAL"]  # else it warns that it talks over the loopback
    client.reset_execution_trackers()
    with client.setup_kernel(env=os.environ | ENVIRONMENT | (environment or {})):
        for number, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, number)
            except CellTimeoutError:
                raise BookError(f"{name(path)}, cell {number + 1}: not done after {CELL_TIMEOUT} s.") from None
            except CellExecutionError as error:
                raise BookError(f"{name(path)}, cell {number + 1}: {error.ename}: {error.evalue}") from None
            except DeadKernelError:
                raise BookError(f"{name(path)}, cell {number + 1}: the kernel died (out of memory?).") from None
    return notebook


def state_of_helpers() -> bytes:
    """A digest of all that every notebook depends on: helpers, data and pins."""
    digest = hashlib.sha256()
    depends = [
        path
        for path in (sources.ROOT / "src/helpers").rglob("*")
        if path.suffix in {".py", ".toml", ".html"}
        and path.parent != sources.ROOT / CHECKS  # these two are of single notebooks
        and path != sources.ROOT / QUIZZES
    ]
    for path in [*sorted(depends), sources.ROOT / "data/MANIFEST.json", sources.ROOT / "constraints.txt"]:
        text = re.sub(rb"^__version__ = .*$", b"", path.read_bytes(), flags=re.MULTILINE)  # a release changes no output
        digest.update(f"{name(path)}\0".encode() + text)
    return digest.digest()


def state_of(path: Path, helpers: bytes) -> str:
    """A digest of a notebook's cells and of what they depend on."""
    cells = [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in read(path).cells]
    checks, quizzes = sources.ROOT / CHECKS / f"{path.stem}.py", sources.ROOT / QUIZZES
    own = (
        checks.read_bytes() if checks.exists() else None,
        tomllib.loads(quizzes.read_text("utf-8")).get(path.stem) if quizzes.exists() else None,
    )
    return hashlib.sha256(repr((cells, own)).encode() + helpers).hexdigest()


def up_to_date(path: Path, helpers: bytes) -> nbformat.NotebookNode | None:
    """The notebook with outputs that hold for its present state: as it is stored or as it was run last; else None."""
    state = state_of(path, helpers)
    for candidate in (path, EXECUTED / path.relative_to(sources.ROOT)):
        if candidate.exists():
            notebook = read(candidate)
            if notebook.metadata.get("springback", {}).get("state") == state:
                return notebook
    return None


def run_changed(paths: list[Path]) -> None:
    """Execute those notebooks whose outputs no longer hold, with a line for each."""
    helpers = state_of_helpers()
    width = max(len(name(path)) for path in paths)
    for number, path in enumerate(paths, 1):
        print(f"[{number}/{len(paths)}] {name(path):{width}}  ", end="", flush=True)
        if up_to_date(path, helpers):
            print("unchanged")
        else:
            start = time.monotonic()
            notebook = without_widgets(execute(path))
            seconds = round(time.monotonic() - start)
            notebook.metadata.springback = {
                **metadata.metadata_of(path),
                "executed": datetime.date.today().isoformat(),
                "seconds": seconds,
                "state": state_of(path, helpers),
            }
            write(EXECUTED / path.relative_to(sources.ROOT), notebook)
            print(f"{seconds} s")


def write_outputs(paths: list[Path]) -> None:
    """Store in the notebooks what `run_changed` has found."""
    helpers = state_of_helpers()
    for path in paths:
        notebook = up_to_date(path, helpers)
        if notebook != read(path):
            write(path, notebook)


def stale(paths: list[Path]) -> list[str]:
    """The notebooks whose stored outputs no longer hold."""
    helpers = state_of_helpers()
    return [
        name(path)
        for path in paths
        if read(path).metadata.get("springback", {}).get("state") != state_of(path, helpers)
    ]


def without_widgets(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave out what is dead without the kernel that made it."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET_MIME not in output.get("data", {})]
    return notebook


def for_the_page(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave out what a page without a kernel cannot show: widgets, and JSON where there is HTML."""
    for cell in without_widgets(notebook).cells:
        if cell.cell_type == "code":
            for output in cell.outputs:
                if "text/html" in output.get("data", {}):
                    output.data.pop(PLOTLY_MIME, None)
    return notebook


def stage(paths: list[Path], stored: bool) -> None:
    """Bring _build/source up to date; what did not change keeps its date, so that only changed pages are built.

    Args:
        paths: the pages.
        stored: take the outputs as they are stored, whether they hold or not.
    """
    helpers = state_of_helpers()
    wanted = {sources.ROOT / "_config.yml", sources.ROOT / "_toc.yml", *sources.ROOT.glob("book/*.py"), *paths}
    for folder in ("chapters", "book/static", "book/vendor/mathjax"):
        others = (sources.ROOT / folder).rglob("*")
        wanted.update(path for path in others if path.is_file() and path.suffix != ".ipynb")
    texts = {}
    for path in wanted:
        if path.suffix == ".ipynb":
            notebook = for_the_page(edition.student(read(path) if stored else up_to_date(path, helpers)))
            texts[SOURCE / path.relative_to(sources.ROOT)] = nbformat.writes(notebook).encode()
        else:
            texts[SOURCE / path.relative_to(sources.ROOT)] = path.read_bytes()
    texts[SOURCE / "book/plotly/plotly.min.js"] = files("plotly").joinpath("package_data/plotly.min.js").read_bytes()
    for path in SOURCE.rglob("*"):
        if path.is_file() and path not in texts:
            path.unlink()
    changed = {path for path, text in texts.items() if not path.exists() or path.read_bytes() != text}
    if changed - {SOURCE / path.relative_to(sources.ROOT) for path in paths}:
        forget_pages()  # Sphinx would not notice a changed style sheet
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(texts[path])


def build_site(paths: list[Path], stored: bool) -> None:
    """Stage and run jupyter-book, warnings as errors.

    Raises:
        BookError: if Sphinx finds an error or has a warning.
    """
    stage(paths, stored)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", SOURCE, "--path-output", sources.ROOT, "-W", "--keep-going", "-n", "-q"]
    try:
        done = subprocess.run(command, cwd=sources.ROOT, stdout=subprocess.PIPE, text=True)
    except KeyboardInterrupt:
        shutil.rmtree(
            BUILD / ".doctrees", ignore_errors=True
        )  # a page may be half-written: build all of them next time
        raise
    if done.returncode:
        print(done.stdout)
        raise BookError("jupyter-book found what is named above; each warning is an error here.")
    site = os.path.relpath(BUILD / "html")
    print(f"The book is in {site}. To read it: make site")


def forget_pages() -> None:
    """Let the next build make every page again."""
    shutil.rmtree(BUILD / ".doctrees", ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--stored", action="store_true", help="run nothing: use the outputs stored in the notebooks")
    how.add_argument("--write-outputs", action="store_true", help="store the outputs in the notebooks, build nothing")
    how.add_argument("--write-setup-cell", action="store_true", help="put the set-up cell into every notebook")
    parser.add_argument("--clean", action="store_true", help="build every page again")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.write_setup_cell:
            write_setup_cells()
            return 0
        check_setup_cells()
        paths = pages()
        lint.check_all(paths)
        chapters = [path for path in paths if path.suffix == ".ipynb"]
        if not chosen.stored:
            run_changed(chapters)
        if chosen.write_outputs:
            write_outputs(chapters)
            return 0
        if chosen.clean:
            forget_pages()
            shutil.rmtree(BUILD / "html", ignore_errors=True)
        build_site(paths, chosen.stored)
    except BookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: what was finished is kept, and the same command goes on from there.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
