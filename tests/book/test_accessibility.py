"""Every page by axe-core's rules for WCAG 2.2 AA; every control of a figure by keyboard; nothing moves by itself."""

from importlib.resources import files

import pytest
from playwright.sync_api import expect
from test_site import FIGURES, GUIDE, PAGES, SPRINGS

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
DRAWN = ".plotly-graph-div :is(.slider-group, .updatemenu-button, .legend .traces)"  # Plotly's, for the mouse
CONTROLS = ".plotly-graph-div :is([role=slider], [role=button], [role=checkbox])"

# The contrast of each text of the figures (WCAG 2) against the first opaque background behind it: axe-core leaves out
# what lies over a drawing.
CONTRAST = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = parse(color).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const opaque = (color) => color.startsWith("rgb(") || (parse(color)[3] ?? 1) > 0.99;
  const background = (element) => {
    while (element && !opaque(getComputedStyle(element).backgroundColor)) element = element.parentElement;
    return element ? getComputedStyle(element).backgroundColor : "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("figure.springback")].flatMap((figure) => {
    const behind = luminance(background(figure));
    const texts = [...figure.querySelectorAll("svg text, .board :is(label, dt, dd), figcaption")];
    return texts.filter((text) => text.textContent.trim()).map((text) => {
      const ink = luminance(getComputedStyle(text)[text.localName == "text" ? "fill" : "color"]);
      return [text.textContent, (Math.max(ink, behind) + 0.05) / (Math.min(ink, behind) + 0.05)];
    });
  });
}"""

# What a figure holds and what it has drawn.
STATE = """(d) => [
  JSON.stringify(d.data.map((trace) => trace.visible === false || [trace.x, trace.y])),
  [...d.querySelectorAll(".trace path")].map((path) => path.getAttribute("d")).join(),
]"""

# The control of a figure that has the focus now for the first time; null once the Tab key is through with the page.
FOCUSED = """(controls) => {
  const element = document.activeElement;
  window.visited ??= new Set();
  if (element === document.body || visited.has(element)) return null;
  visited.add(element);
  return {control: element.matches(controls), role: element.getAttribute("role")};
}"""

MOVING = """() => [...document.querySelectorAll("*")].filter((element) => {
  const style = getComputedStyle(element);
  const lasts = (times) => times.split(",").some((time) => parseFloat(time) > 0);
  return lasts(style.transitionDuration) || style.animationName !== "none" || style.scrollBehavior === "smooth";
}).length"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page_keeps_the_rules(visit, name, scheme):
    page = visit(name, scheme=scheme, reduced_motion="reduce").page
    assert page.locator("html").get_attribute("data-theme") == scheme or name == "index.html"
    page.evaluate("document.querySelectorAll('details').forEach((folded) => (folded.open = true))")
    page.evaluate(AXE)
    report = page.evaluate("(rules) => axe.run({runOnly: rules, resultTypes: ['violations']})", RULES)
    broken = [
        f"{rule['id']}: {node['target']}: {node['failureSummary']}"
        for rule in report["violations"]
        for node in rule["nodes"]
    ]
    assert not broken, "\n".join(broken)
    contrasts = page.evaluate(CONTRAST)
    assert contrasts or name not in (*FIGURES, GUIDE)
    assert [(text, ratio) for text, ratio in contrasts if ratio < 4.5] == []


@pytest.mark.parametrize("name", FIGURES)
def test_keyboard_reaches_and_uses_every_control_of_a_figure(visit, name):
    opened = visit(name)
    page = opened.page
    expected, reached, legend_tried = page.locator(DRAWN).count(), 0, False
    while page.keyboard.press("Tab") or (found := page.evaluate(FOCUSED, CONTROLS)):
        if not found["control"]:
            continue
        reached += 1
        element = page.evaluate_handle("document.activeElement").as_element()
        figure = element.evaluate_handle("(element) => element.closest('.plotly-graph-div')").as_element()
        before = figure.evaluate(STATE)

        def becomes(attribute, old, element=element):
            page.wait_for_function("([e, name, old]) => e.getAttribute(name) !== old", arg=[element, attribute, old])

        if found["role"] == "slider":
            said, at_end = element.get_attribute("aria-valuetext"), "(e) => e.ariaValueNow === e.ariaValueMax"
            page.keyboard.press("ArrowLeft" if element.evaluate(at_end) else "ArrowRight")
            becomes("aria-valuetext", said)
        elif found["role"] == "button" and element.get_attribute("aria-pressed") == "false":
            page.keyboard.press("Enter")
            becomes("aria-pressed", "false")
        elif found["role"] == "checkbox" and not legend_tried:
            legend_tried = True  # Plotly takes its time over each: one a page
            page.keyboard.press("Space")
            becomes("aria-checked", "true")
        else:
            continue
        assert element.evaluate("(e) => e === document.activeElement"), "the focus was lost"
        changed = "now[1] !== before[1]"
        if found["role"] != "checkbox":  # a legend leaves the data alone
            changed += " && now[0] !== before[0]"
        page.wait_for_function(
            f"([d, before]) => {{ const now = ({STATE})(d); return {changed}; }}", arg=[figure, before]
        )
    assert reached == expected
    opened.no_trouble()


def test_a_slider_knows_the_keys_of_sliders(visit):
    page = visit(next(name for name in FIGURES if "token_trees" in name)).page
    slider = page.locator(".plotly-graph-div [role=slider]").first
    last = int(slider.get_attribute("aria-valuemax"))
    assert slider.get_attribute("aria-label") == "depth"
    for key, value in (("Home", 1), ("PageUp", 6), ("ArrowUp", 7), ("PageDown", 2), ("ArrowDown", 1), ("End", last)):
        slider.press(key)
        expect(slider).to_have_attribute("aria-valuenow", str(value))
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuenow", str(last))


@pytest.mark.parametrize("name", [FIGURES[0], SPRINGS[0]])
def test_nothing_moves_where_motion_is_reduced(visit, name):
    assert visit(name).page.evaluate(MOVING)  # the test looks at something
    page = visit(name, reduced_motion="reduce").page
    assert page.evaluate(MOVING) == 0
    plots = page.eval_on_selector_all(
        ".plotly-graph-div", "all => all.flatMap((d) => (d.layout.sliders ?? []).map((s) => s.transition.duration))"
    )
    assert not any(plots)
