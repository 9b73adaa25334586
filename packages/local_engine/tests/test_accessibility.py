"""The local pages under axe-core, in their states, sizes and colour schemes."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import STACKS
from playwright.sync_api import Browser, Page, expect

from local_engine.testing import EngineProcess

PHONE = {"width": 375, "height": 740}
LOOKS = [
    pytest.param({"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"}, id="light"),
    pytest.param({"viewport": PHONE, "color_scheme": "dark"}, id="dark, narrow"),
]
SETTLED = """() => Promise.allSettled(
    document.getAnimations()
        .filter((animation) => animation.effect.getComputedTiming().endTime !== Infinity)
        .map((animation) => animation.finished)
)"""


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with EngineProcess(STACKS / "guarded" / "template.yaml", parameters={"Issuer": "{issuer}"}) as engine:
        yield engine.url


@pytest.fixture(scope="module")
def monitored() -> Iterator[str]:
    with EngineProcess(STACKS / "monitored" / "template.yaml", "--minute", "2") as engine:
        yield engine.url


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    """A stack without authorizers, alarms and dashboard."""
    with EngineProcess(STACKS / "echo" / "template.yaml") as engine:
        yield engine.url


@pytest.fixture(params=LOOKS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    page = browser.new_page(**request.param)
    yield page
    page.close()


def check(page: Page) -> None:
    """Axe finds nothing, and the page is no wider than the window."""
    # Halfway through a transition, colours are neither the old nor the new ones.
    page.evaluate(SETTLED)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]


def test_start_page(guarded: str, page: Page) -> None:
    page.goto(f"{guarded}/_local/")
    expect(page.locator("#token")).to_contain_text("ey")
    check(page)
    for summary in page.locator("summary").all():
        summary.click()
    check(page)


def test_a_path_has_the_width_of_a_phone(browser: Browser) -> None:
    with EngineProcess(STACKS / "shop" / "template.yaml") as engine:
        page = browser.new_page(viewport=PHONE)
        page.goto(f"{engine.url}/_local/")
        path = page.locator("#routes a").get_by_text("/items/{id}", exact=True).first
        expect(path).to_be_visible()
        lines = path.evaluate("path => new Set([...path.getClientRects()].map((line) => line.y)).size")
        page.close()
    assert lines == 1


def test_api_page(guarded: str, page: Page) -> None:
    page.goto(f"{guarded}/_local/docs")
    expect(page.locator("#user")).to_contain_text("You are demo")
    expect(page.locator(".opblock").first).to_be_visible()
    check(page)
    page.get_by_text("Be another user").click()
    for operation in page.locator(".opblock-summary-control").all():
        operation.click()
    page.get_by_role("button", name="Execute").first.click()
    page.locator(".live-responses-table tbody").first.wait_for()
    check(page)


def test_dashboard(monitored: str, page: Page) -> None:
    page.goto(f"{monitored}/_local/dashboard")
    expect(page.locator(".empty").first).to_be_attached()
    check(page)
    httpx.get(f"{monitored}/orders/1", params={"deed": "raise"}, trust_env=False)
    expect(page.locator(".alarms.on > li").first).to_be_visible()
    check(page)
    page.get_by_role("button", name="Pause").click()
    page.evaluate("document.querySelectorAll('details').forEach((more) => { more.open = true; })")
    check(page)


@pytest.mark.parametrize("path", ["", "docs", "dashboard"])
def test_pages_of_a_bare_stack(bare: str, page: Page, path: str) -> None:
    shown: dict[str, Callable[[], Any]] = {
        "": lambda: expect(page.locator("#user")).to_contain_text("needs no token"),
        "docs": lambda: expect(page.get_by_role("heading", name="Requests")).to_be_visible(),
        "dashboard": lambda: expect(page.locator("#empty")).to_be_visible(),
    }
    page.goto(f"{bare}/_local/{path}")
    shown[path]()
    check(page)


def test_pages_of_an_api_with_another_issuer(browser: Browser) -> None:
    with EngineProcess(
        STACKS / "guarded" / "template.yaml", "--parameters", "Issuer=https://issuer.example.com/"
    ) as engine:
        page = browser.new_page(viewport=PHONE)
        for path in ("", "docs"):
            page.goto(f"{engine.url}/_local/{path}")
            expect(page.locator("#user")).to_contain_text("accepts the tokens of another issuer")
            check(page)
        page.close()


def test_every_page_is_reached_and_used_with_the_keyboard(guarded: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{guarded}/_local/")
    expect(page.locator("#token")).to_contain_text("ey")
    press_until(page, "summary")
    page.keyboard.press("Enter")
    press_until(page, "input[name=sub]")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("ann")
    page.keyboard.press("Enter")
    expect(page.locator("#user")).to_contain_text("You are ann")
    page.goto(f"{guarded}/_local/docs")
    expect(page.locator("#user")).to_contain_text("You are ann")
    expect(page.locator(".opblock").first).to_be_visible()
    press_until(page, ".opblock-summary-control")
    page.keyboard.press("Enter")
    expect(page.locator(".opblock.is-open")).to_have_count(1)
    press_until(page, "button.execute")
    page.keyboard.press("Enter")
    expect(page.locator(".live-responses-table tbody").first).to_contain_text("200")
    page.close()


def press_until(page: Page, selector: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is out of the keyboard's reach")
