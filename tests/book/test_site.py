"""Every page of the built book, in a browser with the network cut."""

import re

import build
import glossary
import pytest

SITE = build.BUILD / "html"
LIMIT = 400_000  # bytes of a page beyond what all pages share
NARROW = 380  # CSS pixels
ZOOMED = 640  # what is left of 1280 at 200 %

PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "_static" not in path.parts)
if not PAGES:
    pytest.fail("_build/html has no site: 'make book' builds it, or 'python book/build.py --stored'.", pytrace=False)
FIGURES = [name for name in PAGES if "plotly-graph-div" in (SITE / name).read_text("utf-8")]
SLIDERS = [name for name in FIGURES if '"sliders":[' in (SITE / name).read_text("utf-8")]
GUIDE = "chapters/back/guide.html"  # has the graph of the chapters
SPRINGS = [name for name in PAGES if '<figure class="springback springs"' in (SITE / name).read_text("utf-8")]

# What a figure holds and what it has drawn.
STATE = """(d) => [
  JSON.stringify(d.data.map((trace) => trace.visible === false || trace.y)),
  [...d.querySelectorAll(".trace path")].map((path) => path.getAttribute("d")).join(),
]"""

# How long each spring is drawn, in pixels, from the wall on.
LENGTHS = '(figure) => [...figure.querySelectorAll(".spring")].map((spring) => spring.getBoundingClientRect().width)'

# Text in a figure that leaves its drawing.
CUT = """(d) => {
  const {left, right} = d.getBoundingClientRect();
  const outside = ({left: from, right: to}) => from < left - 1 || to > right + 1;
  return [...d.querySelectorAll("text")].filter((e) => outside(e.getBoundingClientRect())).map((e) => e.textContent);
}"""

# Printed tables in which a line is broken.
BROKEN = """() => [...document.querySelectorAll(".cell_output .aligned pre")].filter((table) => {
  const range = document.createRange();
  range.selectNodeContents(table);
  const tops = new Set([...range.getClientRects()].map((line) => Math.round(line.top)));
  return tops.size > table.textContent.trimEnd().split("\\n").length;
}).map((table) => table.textContent)"""


@pytest.mark.parametrize("name", PAGES)
def test_page(visit, name):
    opened = visit(name)
    opened.no_trouble()
    page = opened.page
    assert opened.own_bytes <= LIMIT
    assert page.title()
    ids = page.eval_on_selector_all("figure [id^=figure-]", "all => all.map((e) => e.id)")
    assert len(ids) == len(set(ids)), "the same figure stands twice on the page"
    assert page.eval_on_selector_all("img:not([alt])", "all => all.map((e) => e.src)") == []
    assert page.eval_on_selector_all(".bd-article img[alt='']", "all => all.map((e) => e.src)") == []
    named = "all => all.filter((e) => !(e.ariaLabel ?? e.querySelector('[role=img]')?.ariaLabel)?.trim()).length"
    assert page.eval_on_selector_all("figure.springback", named) == 0
    assert page.locator(".widget-subarea, .jupyter-widgets").count() == 0
    assert page.locator("mjx-merror").count() == 0


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn(visit, name):
    page = visit(name).page
    for figure in page.locator(".plotly-graph-div").all():
        assert figure.locator(".main-svg[role=img]").get_attribute("aria-label").strip(), "a drawing without alt text"
        drawn = figure.evaluate(
            "(d) => ({traces: d.data.filter((trace) => trace.visible !== false).length,"
            " marks: d.querySelectorAll('.trace :is(path, text, image)').length})"
        )
        assert drawn["traces"] > 0
        assert drawn["marks"] >= drawn["traces"]


@pytest.mark.parametrize("name", PAGES)
def test_narrow_page_does_not_scroll_sideways(visit, name):
    opened = visit(name, width=NARROW)
    opened.no_trouble()
    for width in (NARROW, ZOOMED):
        opened.page.set_viewport_size({"width": width, "height": 900})
        opened.page.wait_for_timeout(200)  # figures follow
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.page.evaluate(BROKEN) == []
        for figure in opened.page.locator(".plotly-graph-div").all():
            box = figure.locator(".main-svg").first.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert figure.evaluate(CUT) == []


def test_there_is_a_slider():
    assert SLIDERS


@pytest.mark.parametrize("name", SLIDERS)
def test_dragging_a_slider_moves_the_curves(visit, name):
    opened = visit(name)
    for figure in opened.page.locator(".plotly-graph-div:has(.slider-container)").all():
        figure.scroll_into_view_if_needed()
        grip = figure.locator(".slider-grip-rect").bounding_box()
        rail = figure.locator(".slider-rail-touch-rect").bounding_box()
        before = figure.evaluate(STATE)
        mouse = opened.page.mouse
        mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
        mouse.down()
        end = rail["x"] + (2 if grip["x"] > rail["x"] + rail["width"] / 2 else rail["width"] - 2)
        mouse.move(end, rail["y"] + rail["height"] / 2, steps=12)
        mouse.up()
        opened.page.wait_for_timeout(300)
        after = figure.evaluate(STATE)
        assert after[0] != before[0], "the data did not change"
        assert after[1] != before[1], "the drawing did not change"
    opened.no_trouble()


def test_there_are_springs():
    assert SPRINGS


def stretched(figure, k, move):
    """By how many pixels the first and the last spring become longer, by a move that must keep Hooke's law."""
    before = figure.evaluate(LENGTHS)
    move()
    after = figure.evaluate(LENGTHS)
    first, last = after[0] - before[0], after[-1] - before[-1]
    assert last == pytest.approx(k * first, abs=0.5 + 0.02 * abs(last))
    return first, last


@pytest.mark.parametrize("width", [1280, NARROW])
@pytest.mark.parametrize("name", SPRINGS)
def test_pulling_springs_stretches_each_by_its_size(visit, name, width):
    opened = visit(name, width=width)
    page = opened.page
    for figure in page.locator("figure.springs").all():
        figure.scroll_into_view_if_needed()
        handle, choice = figure.locator("svg [role=slider]"), figure.locator("input[type=range]")

        def drag(by, handle=handle):
            grip = handle.bounding_box()
            x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + by, y, steps=8)
            page.mouse.up()

        for value, k in ((0, 1), (1, 10), (2, 100)):
            choice.fill(str(value))
            assert choice.get_attribute("aria-valuetext") == f"k = {k}"
            handle.press("Home")
            first, last = stretched(figure, k, lambda: drag(60))
            assert first + last == pytest.approx(60, abs=1), "the handle does not follow the mouse"
            said = handle.get_attribute("aria-valuetext")
            _, step = stretched(figure, k, lambda handle=handle: handle.press("ArrowRight"))
            assert step > 1
            assert handle.get_attribute("aria-valuetext") != said
            _, back = stretched(figure, k, lambda handle=handle: handle.press("ArrowLeft"))
            assert back == pytest.approx(-step, abs=0.1)
        drawing = figure.locator("svg").bounding_box()
        handle.press("End")
        end = handle.bounding_box()
        assert end["x"] + end["width"] <= min(drawing["x"] + drawing["width"] + 6, width)
    opened.no_trouble()


def test_every_box_of_the_graph_leads_to_a_page(visit):
    boxes = visit(GUIDE).page.locator("svg.prerequisites a").all()
    assert {(SITE / GUIDE).parent.joinpath(box.get_attribute("href")).resolve() for box in boxes} == {
        SITE / name for name in PAGES if name.startswith("chapters/") and "chapters/back/" not in name
    }


@pytest.mark.parametrize("width", [1280, NARROW])
def test_a_box_of_the_graph_opens_its_chapter(visit, width):
    page = visit(GUIDE, width=width).page
    boxes = page.locator("svg.prerequisites a")
    assert boxes.first.locator("text").first.bounding_box()["height"] >= 14, "too small to read"
    for number, key in ((0, None), (8, "Enter"), (boxes.count() - 1, None)):
        box = boxes.nth(number)
        name = box.text_content()
        if key:
            boxes.nth(number - 1).focus()
            page.keyboard.press("Tab")
            assert box.evaluate("(box) => box === document.activeElement"), "the Tab key passes it by"
            page.keyboard.press(key)
        else:
            box.click()
        page.wait_for_url(lambda url: GUIDE not in url)
        title = "Springback" if name == "Welcome" else name
        assert page.locator("h1").first.text_content().replace(" ", "").startswith(title.replace(" ", ""))
        page.go_back()


def test_a_box_shows_the_lines_that_lead_to_it(visit):
    page = visit(GUIDE).page
    group = page.locator("svg.prerequisites .chapter:has(path.needs)").first
    stroke = "(group) => getComputedStyle(group.querySelector('path')).stroke"
    plain = group.evaluate(stroke)
    group.locator("a").focus()
    assert group.evaluate(stroke) != plain
    page.keyboard.press("Tab")
    assert group.evaluate(stroke) == plain
    group.locator("a").hover()
    assert group.evaluate(stroke) != plain


def shown(page):
    """The definition that is seen, or None."""
    tip = page.locator("#glossary-tip")
    return tip.inner_text() if tip.is_visible() else None


@pytest.fixture
def term(visit):
    """Opens a chapter and gives a term that is linked there, with the tip that shows its definition."""

    def term(width=1280):
        opened = visit("chapters/experiments/rebound.html", width=width)
        link = opened.page.locator('.bd-article a[href$="#term-KL-divergence"]').first
        link.scroll_into_view_if_needed()
        return opened, link, opened.page.locator("#glossary-tip")

    return term


def test_the_glossary_has_the_anchors_that_links_are_checked_against():
    page = (SITE / f"{glossary.PAGE}.html").read_text("utf-8")
    assert set(re.findall(r'<dt id="(term-[^"]+)"', page)) == glossary.terms()


def test_a_definition_appears_under_the_pointer_stays_there_and_goes(term):
    opened, link, tip = term()
    page = opened.page
    assert shown(page) is None
    link.hover()
    tip.wait_for(state="visible")
    assert "not symmetric" in shown(page)
    tip.locator("mjx-container").first.wait_for()  # its formulas are drawn
    tip.hover()  # hoverable: the pointer may go onto it
    page.wait_for_timeout(600)
    assert shown(page), "it went away under the pointer"
    page.mouse.move(5, 5)
    tip.wait_for(state="hidden")
    link.hover()
    tip.wait_for(state="visible")
    page.keyboard.press("Escape")  # dismissible, with the pointer still there
    tip.wait_for(state="hidden")
    page.wait_for_timeout(600)
    assert shown(page) is None, "it came back"
    opened.no_trouble()


def test_a_definition_appears_with_the_keyboard_s_focus_and_goes_on_escape(term):
    opened, link, tip = term()
    page = opened.page
    link.focus()
    page.keyboard.press("Shift+Tab")  # to another link, perhaps a term as well
    page.keyboard.press("Tab")
    tip.filter(has_text="not symmetric").wait_for(state="visible")
    page.wait_for_timeout(600)
    assert shown(page), "it did not stay"
    assert link.get_attribute("aria-describedby") == tip.get_attribute("id")
    page.keyboard.press("Escape")
    tip.wait_for(state="hidden")
    assert link.evaluate("(link) => link === document.activeElement"), "the focus was lost"
    link.blur()
    link.focus()
    tip.wait_for(state="visible")
    link.blur()
    tip.wait_for(state="hidden")
    opened.no_trouble()


def test_a_term_leads_to_its_entry(term):
    opened, link, _ = term()
    link.click()
    opened.page.wait_for_url("**/chapters/back/glossary.html#term-KL-divergence")
    assert opened.page.locator("dt:target").inner_text().startswith("KL divergence")
    assert opened.page.locator(".glossary-term").count() == 0
    assert opened.outside == []  # the first page's own requests may have been cut off


def test_definitions_stay_within_a_narrow_page(term):
    opened, _, tip = term(width=NARROW)
    for link in opened.page.locator("a.glossary-term").all():
        link.scroll_into_view_if_needed()
        link.hover()
        opened.page.wait_for_function(
            "(link) => document.querySelector('#glossary-tip').matches(':popover-open') && link.matches(':hover')",
            arg=link.element_handle(),
        )
        box = tip.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= NARROW
        assert tip.evaluate("(tip) => tip.scrollWidth <= tip.clientWidth")
        opened.page.keyboard.press("Escape")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= NARROW
    opened.no_trouble()


@pytest.mark.parametrize("width", [1280, NARROW])
def test_search_finds_and_opens_a_page(visit, width):
    opened = visit("index.html", width=width)
    page = opened.page
    page.keyboard.press("Control+k")
    field = page.locator("input[type=search]:visible")
    field.fill("elasticity")
    field.press("Enter")
    page.wait_for_url("**/search.html?q=elasticity*")
    results = page.locator("#search-results li a")
    results.first.wait_for()
    page.wait_for_load_state("networkidle")
    assert results.count() > 5
    opened.no_trouble()  # before the next page cuts requests off
    results.filter(has_text="The elasticity theorem").first.click()
    page.wait_for_url("**/chapters/theorem/elasticity_theorem.html*")


def test_search_finds_a_term_s_entry(visit):
    opened = visit("search.html?q=log-odds")
    entry = opened.page.locator('#search-results a[href*="glossary.html#term-log-odds"]')
    entry.wait_for()
    opened.page.wait_for_load_state("networkidle")
    opened.no_trouble()
    entry.click()
    opened.page.wait_for_url("**/chapters/back/glossary.html*#term-log-odds")
