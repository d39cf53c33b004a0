"""What a reader's browser has to do: pages' weight, first text with a slow processor, and how much moves meanwhile.

It measures the built site over the loopback, in the Chromium that the tests use.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))

import browser  # noqa: E402

SLOWER = 4  # times
AIMS = {"kB": 400, "first paint, s": 1.0, "first text, s": 1.0, "shift": 0.1}

# Notes what happens while a page loads: its first paint with content, the first frame with a word of the article, and
# how far what was there is pushed away.
WATCH = """
  window.shift = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => (shift += entry.value)))
    .observe({type: "layout-shift", buffered: true});
  const look = () => requestAnimationFrame(() => {
    const word = document.querySelector(".bd-article :is(h1, p)");
    if (word?.getBoundingClientRect().height) setTimeout(() => (window.text = performance.now()));
    else look();
  });
  look();
"""
PAINTED = "() => window.text && performance.getEntriesByName('first-contentful-paint').length"
MEASURED = """() => [performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000, text / 1000]"""


def measure(chromium, address: str) -> dict[str, float]:
    """Open a page with a slow processor until it shows text, let the rest come at full speed, and note what it cost."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(WATCH)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.goto(address, wait_until="commit")
    page.wait_for_function(PAINTED)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    page.wait_for_function(browser.READY)
    page.wait_for_load_state("networkidle")
    found = [page.evaluate(browser.OWN_BYTES) / 1000, *page.evaluate(MEASURED), page.evaluate("shift")]
    page.close()
    return dict(zip(AIMS, found, strict=True))


def main() -> None:
    """Measure each page and print a table, and for each measure the worst page."""
    site = ROOT / "_build/html"
    pages = sorted(path.relative_to(site).as_posix() for path in site.glob("chapters/**/*.html"))
    if not pages:
        sys.exit("_build/html has no site: 'make book' builds it.")
    with browser.served(site) as address, browser.started() as chromium:
        measure(chromium, f"{address}/{pages[0]}")  # the browser's own start
        table = {name: measure(chromium, f"{address}/{name}") for name in pages}
    width = max(map(len, table))
    print(f"{'page':{width}}", *(f"{measure:>14}" for measure in AIMS))
    for name, row in table.items():
        print(f"{name:{width}}", *(f"{value:14.{0 if measure == 'kB' else 2}f}" for measure, value in row.items()))
    for measured, aim in AIMS.items():
        worst = max(table, key=lambda name: table[name][measured])
        print(f"worst {measured}: {table[worst][measured]:.3g}, {worst} (aim: {aim:g})")


if __name__ == "__main__":
    main()
