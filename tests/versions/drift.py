"""Do our calls fit the oldest and the newest versions that pyproject.toml admits? `make drift`.

For each a new environment is made by uv, and tests run in it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Our calls one by one, and what stands on most of them.
TESTS = ["tests/versions", *(f"tests/model/test_{name}.py" for name in ("models", "methods", "finetune_memory"))]
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", default=TESTS)
    parser.add_argument("--only", choices=RESOLUTIONS, help="one end of the ranges")
    parser.add_argument("--python", default=sys.executable, help="for the environments")
    parser.add_argument("--torch", help="version to have, where an end of our range is too large to fetch")
    options = parser.parse_args()
    failed = []
    for end in [options.only] if options.only else RESOLUTIONS:
        with tempfile.TemporaryDirectory(prefix="springback-") as folder:
            python = environment(Path(folder), end, options.python, options.torch)
            print(f"\n{end} versions:", flush=True)
            if subprocess.run([python, "-m", "pytest", "-q", *options.tests], cwd=ROOT).returncode:
                failed.append(end)
    sys.exit(f"failed with the {' and the '.join(failed)} versions" if failed else 0)


def environment(folder: Path, end: str, python: str, torch: str | None) -> Path:
    """A new environment with this project and one end of its ranges; its Python."""
    tools, env = folder / "tools", folder / "env"
    subprocess.run([python, "-m", "venv", tools], check=True)
    subprocess.run([tools / "bin/python", "-m", "pip", "install", "-q", "uv"], check=True)
    constraints = folder / "constraints.txt"
    constraints.write_text(f"torch=={torch}\n" if torch else "")
    uv = tools / "bin/uv"
    subprocess.run([uv, "venv", "-q", "--seed", "--python", python, env], check=True)  # with setuptools, as pip's own
    how = ["--resolution", RESOLUTIONS[end], "--constraint", constraints, "--python", env / "bin/python"]
    subprocess.run([uv, "pip", "install", "-q", *how, f"{ROOT}[test]"], check=True)
    subprocess.run([uv, "pip", "check", "--python", env / "bin/python"], check=True)
    return env / "bin/python"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
