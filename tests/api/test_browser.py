"""A web page on another port calls the API: what `make run ORIGIN=` is for, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from local_engine.testing import serve
from tests.support.programs import prepare_engine

pytestmark = pytest.mark.slow

# The page of a front-end developer: creates a resource with a token and reads a header that is exposed to it.
PAGE = """<!doctype html><title>A page</title><output></output><script>
async function call() {
  const [api, token] = decodeURIComponent(location.hash.slice(1)).split(" ");
  const answer = await fetch(`${api}/api/v1/resources`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": "one" },
    body: JSON.stringify({ name: "made by a page", type: "A" }),
  });
  return `${answer.status} ${answer.headers.get("Location")}`;
}
call().catch(String).then((text) => { document.querySelector("output").textContent = text; });
</script>"""


async def show_page(_: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with serve(lambda _: Starlette(routes=[Route("/", show_page)])) as url:
        # The template takes http for this name alone.
        yield url.replace("127.0.0.1", "localhost")


def open_page(browser: Browser, origin: str, allowed: str) -> tuple[str, str]:
    """Return what the page shows and what the engine says of the origin that it allows."""
    with prepare_engine(AllowedOrigin=allowed) as engine:
        page = browser.new_page()
        page.goto(f"{origin}/#{engine.url} {engine.mint_token('write:resources')}")
        output = page.locator("output")
        expect(output).not_to_be_empty()
        text = output.inner_text()
        page.close()
        return text, engine.wait_for_line("^Allowed origin")


def test_a_page_of_the_allowed_origin_calls_the_api(browser: Browser, origin: str) -> None:
    text, said = open_page(browser, origin, origin)
    assert text.startswith("201 /api/v1/resources/")
    assert origin in said


def test_a_page_of_another_origin_does_not(browser: Browser, origin: str) -> None:
    text, said = open_page(browser, origin, "https://app.example.com")
    assert text == "TypeError: Failed to fetch"
    assert "https://app.example.com" in said
