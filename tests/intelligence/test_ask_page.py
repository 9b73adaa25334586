"""The page at /_local/ask in a real browser: results, an answer that grows, and text that stays text."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from local_engine.testing import EngineProcess, poll
from tests.intelligence.conftest import Model, User
from tests.support.programs import prepare_engine
from tests.support.stack import ROOT

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=\"document.title='PWNED'\"><b>boat</b>"


@pytest.fixture(scope="module")
def site() -> Iterator[EngineProcess]:
    with prepare_engine(ROOT / "template.yaml", "--page", f"ask={ROOT}/examples/ask/index.html") as engine:
        yield engine


@pytest.fixture(scope="module")
def model(site: EngineProcess) -> Model:
    return Model(site.services)


@pytest.fixture(scope="module")
def demo(site: EngineProcess) -> User:
    """The user that the page is at first."""
    user = User(site.url, "demo")
    user.write(MARKUP, place="harbour of Kiel, with a very long berth for long boats of all kinds and sizes")
    user.write("Red bicycle", place="cellar")
    poll(lambda: len(user.find("boat", limit=50)) == 2, "both are found", seconds=240)
    return user


@pytest.fixture
def page(site: EngineProcess, demo: User, browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    complaints: list[str] = []
    # The browser itself notes each response that is an error.
    page.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{site.url}/_local/ask")
    expect(page.locator("#user")).to_contain_text("You are demo")
    expect(page.get_by_role("navigation", name="Pages").locator("[aria-current]")).to_have_text("Ask")
    yield page
    assert page.title() == "Ask"
    assert page.locator("main img").count() == 0
    page.close()
    assert complaints == []


def test_an_answer_grows_while_it_is_made(page: Page, model: Model) -> None:
    page.get_by_label("Search words or a question").fill("Where is the boat?")
    # A record of what the answer was, each time it changed.
    page.evaluate(
        "() => { window.sizes = []; new MutationObserver(() => window.sizes.push(document.querySelector('#answer')"
        ".textContent.length)).observe(document.querySelector('#answer'), { childList: true, subtree: true }); }"
    )
    with model.limits(tokensPerSecond=10):
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#answer")).not_to_be_empty()
        assert model.count_open_streams() == 1
        expect(page.locator("#results li")).to_have_count(2)
        model.configure(tokensPerSecond=100)
        expect(page.locator("#state")).to_have_text("Done.")
    sizes = [size for size in page.evaluate("window.sizes") if size]
    assert len(set(sizes)) > 5
    assert sizes == sorted(sizes)
    expect(page.locator("#answer")).to_contain_text("harbour of Kiel")
    expect(page.locator("#usage")).to_contain_text("tokens in")
    assert MARKUP in page.locator("#results li").first.inner_text()


def test_only_search_shows_results(page: Page) -> None:
    page.get_by_label("Search words or a question").fill("bicycle")
    page.get_by_role("button", name="Only search").click()
    expect(page.locator("#state")).to_have_text("Done.")
    assert "Red bicycle" in page.locator("#results li").first.inner_text()
    expect(page.locator("#answer")).to_be_empty()


def test_stop_ends_an_answer(page: Page, model: Model) -> None:
    page.get_by_label("Search words or a question").fill("Where is the boat?")
    with model.limits(tokensPerSecond=2):
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#answer")).not_to_be_empty()
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#state")).to_have_text("Stopped.")
    assert len(page.locator("#answer").inner_text().split()) < 12


def test_an_error_is_shown_with_its_details(page: Page) -> None:
    page.get_by_label("Search words or a question").fill("  ")
    page.get_by_role("button", name="Only search").click()
    expect(page.locator("#state")).to_have_text("The request is not valid: q must be a text of 1 to 1,000 characters")


def test_another_user_sees_nothing_of_the_one_before(page: Page, model: Model) -> None:
    page.get_by_label("Search words or a question").fill("Where is the boat?")
    with model.limits(tokensPerSecond=2):
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#answer")).not_to_be_empty()
        page.get_by_text("Be another user").click()
        page.get_by_role("combobox", name="User").fill(f"user-{uuid4()}")
        page.get_by_role("button", name="Switch user").click()
        expect(page.locator("#results li")).to_have_count(0)
        for place in ("#answer", "#usage", "#state"):
            expect(page.locator(place)).to_be_empty()
        # Nothing of the answer comes after it.
        expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#state")).to_have_text("No resource is found to answer from.")
    expect(page.locator("#answer")).to_be_empty()


def test_a_missing_scope_is_shown(page: Page) -> None:
    page.get_by_text("Be another user").click()
    for scope in ("read:resources", "resources/read"):
        page.get_by_label(scope).uncheck()
    page.get_by_role("button", name="Switch user").click()
    expect(page.locator("#user").get_by_role("status")).not_to_contain_text("read:resources")
    page.get_by_label("Search words or a question").fill("boat")
    page.get_by_label("Search words or a question").press("Enter")
    expect(page.locator("#state")).to_have_text("Insufficient permissions")


def test_the_start_page_of_the_api_that_streams_says_what_it_wants(site: EngineProcess, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{site.port + 1}/_local/")
    expect(page.locator("#user")).to_have_text("A Lambda authorizer decides on access, so this page has no token.")
    expect(page.locator("#routes li", has_text="/answers").filter(has_text="POST")).to_contain_text(
        "Lambda authorizer decides"
    )
    page.get_by_role("link", name="Ask").first.click()
    expect(page.locator("#user")).to_contain_text("You are demo")
    assert page.url == f"{site.url}/_local/ask"


def test_the_page_finds_the_apis_at_its_own_origin(site: EngineProcess) -> None:
    pages = httpx.get(f"{site.url}/_local/pages.json", trust_env=False).json()
    assert pages["pages"] == ["ask"]
    assert pages["apis"]["Api"] == f"/_local/apis/{site.port}"
    assert pages["apis"]["Streaming/StreamingApi"] == f"/_local/apis/{site.port + 1}/live"
    token = site.mint_token("read:resources", subject=f"user-{uuid4()}")
    url = f"{site.url}{pages['apis']['Api']}/api/v1/resources"
    assert httpx.get(url, trust_env=False).status_code == 401
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert answer.json() == {"resources": [], "count": 0}
