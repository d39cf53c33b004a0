"""The built book, served over the loopback to a browser that can reach nothing else."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import browser
import build
import pytest
from playwright.sync_api import Page, TimeoutError


@dataclass
class Opened:
    """A page in the browser, and what went wrong in it."""

    page: Page
    errors: list[str] = field(default_factory=list)  # in the console, or thrown
    failed: list[str] = field(default_factory=list)  # requests without an answer, or with one from 400 up
    outside: list[str] = field(default_factory=list)  # requests for another server, all refused
    own_bytes: int = 0  # of the page and what only it loads

    def no_trouble(self):
        assert (self.errors, self.failed, self.outside) == ([], [], [])


@pytest.fixture(scope="session")
def address():
    with browser.served(build.BUILD / "html") as served:
        yield served


@pytest.fixture(scope="session")
def chromium():
    try:
        with browser.started() as started:
            yield started
    except browser.NoBrowser as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def visit(chromium, address):
    """Opens a page of the site and waits until its figures and formulas are drawn."""
    contexts = []

    def visit(name: str, width: int = 1280, scheme: str = "light", **options) -> Opened:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        opened = Opened(context.new_page())

        def gate(route):
            if urlsplit(route.request.url).netloc == urlsplit(address).netloc:
                route.continue_()
            else:
                opened.outside.append(route.request.url)
                route.abort()

        def answered(response):
            if response.status >= 400:
                opened.failed.append(f"{response.status} {response.url}")

        context.route("**/*", gate)
        opened.page.on("console", lambda message: message.type == "error" and opened.errors.append(message.text))
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on("requestfailed", lambda request: opened.failed.append(request.url))
        opened.page.on("response", answered)
        opened.page.goto(f"{address}/{name}")
        try:
            opened.page.wait_for_function(browser.READY)
        except TimeoutError:
            opened.no_trouble()  # the reason, if it is one that we look for
            raise
        opened.page.wait_for_load_state("networkidle")
        opened.own_bytes = opened.page.evaluate(browser.OWN_BYTES)
        return opened

    yield visit
    for context in contexts:
        context.close()
