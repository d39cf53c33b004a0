"""Every slide of every deck, opened from its file: it fits, can be read from the last row and asks for nothing else."""

import pytest
import slides
import sources

CHAPTERS = [path for path in sources.pages() if path.suffix == ".ipynb"]

# Goes through the deck, with all fragments shown, and gives for each slide its texts that are too small and the things
# that leave the frame. MathJax keeps a hidden copy of a formula for screen readers.
SLIDES = """async () => {
  // Of a figure only the text: its lines go on, unseen, where an axis ends.
  const seen = (e) => !e.closest("mjx-assistive-mml, script, style, .notes") && !e.matches("svg :not(text)");
  const small = [], outside = [], empty = [];
  const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const scale = (matrix) => matrix ? Math.hypot(matrix.a, matrix.b) : 1;  // of a drawing; its text may be turned
  await MathJax.startup.promise;
  for (let i = 0; i < Reveal.getTotalSlides(); i++) {
    Reveal.slide(i, 0, 99);
    await painted();
    const slide = Reveal.getCurrentSlide();
    const all = [...slide.querySelectorAll("*")].filter(seen);
    for (const e of all) {
      const box = e.getBoundingClientRect();
      const what = `slide ${i + 1}, ${e.localName}: ${e.textContent.trim().slice(0, 60)}`;
      if (box.width && (box.left < 0 || box.top < 0 || box.right > 1281 || box.bottom > 721)) outside.push(what);
      if (![...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
      if (e.closest("mjx-container, sub, sup, tspan")) continue;
      const size = parseFloat(getComputedStyle(e).fontSize) * scale(e.getScreenCTM?.());
      if (box.width && size < (e.closest("svg") ? 21.9 : 28)) small.push(`${what} (${size})`);
    }
    for (const plot of slide.querySelectorAll("figure.plot")) {
      if (!plot.querySelector(".trace path, .trace text")) empty.push(`slide ${i + 1}`);
      if (plot.clientHeight < 320) outside.push(`slide ${i + 1}: a figure ${plot.clientHeight} pixels high`);
    }
    if (!slide.textContent.trim()) empty.push(`slide ${i + 1}`);
  }
  return {small, outside, empty};
}"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    slides.share(folder)
    return folder


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_slide_can_be_read_and_needs_no_network(chromium, folder, path):
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, color_scheme="dark")
    page, trouble = context.new_page(), []
    page.on("console", lambda message: message.type == "error" and trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or trouble.append(request.url))
    page.on("requestfailed", lambda request: trouble.append(request.url))
    page.goto(slides.write(path, folder).as_uri())
    page.wait_for_function("window.Reveal?.isReady()")
    assert page.evaluate(SLIDES) == {"small": [], "outside": [], "empty": []}
    assert page.locator("mjx-merror").count() == 0
    assert page.locator("figure:not([aria-label])").count() == 0
    assert trouble == []
    context.close()


def test_a_slider_moves_on_a_large_screen_too(chromium, folder):
    page = chromium.new_page(viewport={"width": 1920, "height": 1080})
    page.goto(slides.write(next(path for path in CHAPTERS if path.stem == "rebound"), folder).as_uri())
    page.wait_for_function("window.Reveal?.isReady()")
    page.keyboard.press("ArrowRight")
    label = page.locator("section.present .slider-label").first
    before = label.text_content()
    grip = page.locator("section.present .slider-grip-rect").bounding_box()
    rail = page.locator("section.present .slider-rail-touch-rect").bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(rail["x"] + rail["width"] - 4, rail["y"] + rail["height"] / 2, steps=8)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert label.text_content() != before
    page.close()
