"""Run the notebooks that changed and build the book: `make book`.

Every notebook that _toc.yml names is executed once for each state of what it depends on (its cells, the helpers, the
data, the pins). Executed copies lie in _build/executed, each written at once when its run has succeeded, so a build
can be interrupted and goes on where it was. Book and outputs are then staged in _build/source, and jupyter-book
builds _build/html from there, with warnings as errors.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
EXECUTED = BUILD / "executed"
SOURCE = BUILD / "source"
CELL_TIMEOUT = 300  # seconds, as in the tests

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
PLOTLY_MIME = "application/vnd.plotly.v1+json"

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # the same numbers everywhere
    "SPRINGBACK_PROGRESS": "off",  # no bars and half-drawn curves in a page
    "TOKENIZERS_PARALLELISM": "false",
}


class BookError(Exception):
    """What is wrong and where, in one sentence for the person at the keyboard."""


def setup_cell() -> str:
    """The set-up cell that every notebook begins with, from the public address in _config.yml."""
    address = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    return (
        f'if "google.colab" in str(get_ipython()):\n    %pip install -q git+{address}\nimport helpers; helpers.setup()'
    )


def pages() -> list[Path]:
    """The files that _toc.yml names, in reading order.

    Raises:
        BookError: if one of them does not exist.
    """

    def walk(entry):
        if isinstance(entry, list):
            for item in entry:
                yield from walk(item)
        elif isinstance(entry, dict):
            yield from (entry[key] for key in ("root", "file") if key in entry)
            for key in ("parts", "subtrees", "chapters", "sections", "entries"):
                yield from walk(entry.get(key))

    found = []
    for name in walk(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))):
        path = next((ROOT / f"{name}{end}" for end in (".ipynb", ".md", "") if (ROOT / f"{name}{end}").is_file()), None)
        if path is None:
            raise BookError(f"_toc.yml names {name}, but there is no {name}.ipynb and no {name}.md.")
        found.append(path)
    return found


def notebooks() -> list[Path]:
    """Every notebook that keeps the one shape: the chapters' and the template."""
    return [*sorted(ROOT.glob("chapters/**/[!.]*.ipynb")), ROOT / "book/template.ipynb"]


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
    depends = [path for path in (ROOT / "src/helpers").rglob("*") if path.suffix in {".py", ".toml", ".html"}]
    for path in [*sorted(depends), ROOT / "data/MANIFEST.json", ROOT / "constraints.txt"]:
        digest.update(f"{name(path)}\0".encode() + path.read_bytes())
    return digest.digest()


def state_of(notebook: nbformat.NotebookNode, helpers: bytes) -> str:
    """A digest of a notebook's cells and of what they depend on."""
    cells = [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in notebook.cells]
    return hashlib.sha256(repr(cells).encode() + helpers).hexdigest()


def run_changed(paths: list[Path], write_outputs: bool) -> None:
    """Execute those notebooks whose state changed since their last success, with a line for each."""
    helpers = state_of_helpers()
    width = max(len(name(path)) for path in paths)
    for number, path in enumerate(paths, 1):
        print(f"[{number}/{len(paths)}] {name(path):{width}}  ", end="", flush=True)
        state = state_of(read(path), helpers)
        copy = EXECUTED / path.relative_to(ROOT)
        if copy.exists() and read(copy).metadata.get("springback", {}).get("state") == state:
            print("unchanged")
        else:
            start = time.monotonic()
            notebook = without_widgets(execute(path))
            notebook.metadata.springback = {"state": state}
            write(copy, notebook)
            print(f"{time.monotonic() - start:.0f} s")
        if write_outputs:
            notebook = read(copy)
            del notebook.metadata["springback"]
            write(path, notebook)


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


def stage(paths: list[Path], outputs: Path) -> None:
    """Bring _build/source up to date; what did not change keeps its date, so that only changed pages are built.

    Args:
        paths: the pages.
        outputs: folder of the notebooks with outputs: _build/executed, or the root for the stored ones.
    """
    settings = ("_config.yml", "_toc.yml", "book/springback_book.py", "book/glossary.py")
    wanted = {*(ROOT / path for path in settings), *paths}
    for folder in ("chapters", "book/static", "book/vendor"):
        others = (ROOT / folder).rglob("*")
        wanted.update(path for path in others if path.is_file() and path.suffix != ".ipynb")
    texts = {}
    for path in wanted:
        if path.suffix == ".ipynb":
            notebook = for_the_page(read(outputs / path.relative_to(ROOT)))
            texts[SOURCE / path.relative_to(ROOT)] = nbformat.writes(notebook).encode()
        else:
            texts[SOURCE / path.relative_to(ROOT)] = path.read_bytes()
    texts[SOURCE / "book/plotly/plotly.min.js"] = files("plotly").joinpath("package_data/plotly.min.js").read_bytes()
    for path in SOURCE.rglob("*"):
        if path.is_file() and path not in texts:
            path.unlink()
    changed = {path for path, text in texts.items() if not path.exists() or path.read_bytes() != text}
    if changed - {SOURCE / path.relative_to(ROOT) for path in paths}:
        forget_pages()  # Sphinx would not notice a changed style sheet
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(texts[path])


def build_site(paths: list[Path], outputs: Path) -> None:
    """Stage and run jupyter-book, warnings as errors.

    Raises:
        BookError: if Sphinx finds an error or has a warning.
    """
    stage(paths, outputs)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", SOURCE, "--path-output", ROOT, "-W", "--keep-going", "-n", "-q"]
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    except KeyboardInterrupt:
        shutil.rmtree(
            BUILD / ".doctrees", ignore_errors=True
        )  # a page may be half-written: build all of them next time
        raise
    if done.returncode:
        print(done.stdout)
        raise BookError("jupyter-book found what is named above; each warning is an error here.")
    site = os.path.relpath(BUILD / "html")
    print(f"The book is in {site}. To read it: python3 -m http.server -b 127.0.0.1 -d {site}")


def forget_pages() -> None:
    """Let the next build make every page again."""
    shutil.rmtree(BUILD / ".doctrees", ignore_errors=True)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise BookError(f"{name(path)} is not a readable notebook: {error}") from error


def write(path: Path, notebook: nbformat.NotebookNode) -> None:
    """Write a notebook at once: either the whole new file stands there or the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        nbformat.write(notebook, half)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


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
        if not chosen.stored:
            run_changed([path for path in paths if path.suffix == ".ipynb"], chosen.write_outputs)
        if chosen.clean:
            forget_pages()
            shutil.rmtree(BUILD / "html", ignore_errors=True)
        if not chosen.write_outputs:
            build_site(paths, ROOT if chosen.stored else EXECUTED)
    except BookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: what was finished is kept, and the same command goes on from there.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
