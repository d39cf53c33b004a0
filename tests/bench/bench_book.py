"""What a new reader waits for and downloads: `make book` in a fresh clone, notebooks' seconds, pages' sizes.

The seconds are those that the notebooks store with their outputs: from the machine that ran `make outputs` last.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Clone the last commit into a temporary folder, build the book there, and print times and sizes."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
        start = time.perf_counter()
        subprocess.run(["make", "book"], cwd=clone, check=True, capture_output=True)
        minutes = (time.perf_counter() - start) / 60
        notebooks = {
            path.name: json.loads(path.read_text())["metadata"]["springback"]["seconds"]
            for path in clone.glob("chapters/**/[!.]*.ipynb")
        }
        pages = {page: page.stat().st_size for page in (clone / "_build/html/chapters").rglob("*.html")}
    slowest = max(notebooks, key=notebooks.get)
    heaviest = max(pages, key=pages.get)
    print(f"fresh clone to built book, install included: {minutes:.1f} min (aim: 20)")
    print(f"slowest of {len(notebooks)} notebooks: {slowest}, {notebooks[slowest]} s (aim: 120)")
    print(f"heaviest page beyond shared files: {heaviest.name}, {pages[heaviest] / 1000:.0f} kB (aim: 400)")


if __name__ == "__main__":
    main()
