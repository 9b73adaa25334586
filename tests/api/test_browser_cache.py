"""What a browser's cache gives to whom: every caller its own answer, though pages may be kept for a minute."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from local_engine.testing import poll
from tests.api.conftest import Server, User
from tests.support.cases import ROUTES, each, takes
from tests.support.items import call, create, find_path, find_source, read_items, wait_for_items
from tests.support.stack import Route

pytestmark = pytest.mark.slow

FETCH = """async ([path, authorization]) => {
    const answer = await fetch(path, { headers: authorization ? { Authorization: authorization } : {} });
    return [answer.status, await answer.text()];
}"""
READS = each(lambda route: route.method == "GET" and route.creator)


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    """A page of the API's own origin, in a browser with an empty cache."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server.url}/_local/docs")
    yield page
    context.close()


def fetch(page: Page, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """The answer to a page's request."""
    status, body = page.evaluate(FETCH, [path, (headers or {}).get("Authorization")])
    return status, body


def create_for(server: Server, subject: str, route: Route) -> Any:
    with server.connect(subject) as client:
        return create(route.creator or find_source(route), User(client).send)


@takes("nextToken")
def test_a_page_of_items_is_kept_for_its_own_caller_alone(server: Server, page: Page, route: Route) -> None:
    first, second = f"{route.key} first", f"{route.key} second"
    created = {subject: create_for(server, subject, route).json() for subject in (first, second)}
    path = route.fill()
    for subject in created:
        with server.connect(subject) as client:
            wait_for_items(User(client).send, path, 1)
    kept = fetch(page, path, server.authorize(first))
    with server.connect(second) as client:
        own = User(client).send("GET", path)
    # A token's text is part of the request, so each is minted once.
    headers = server.authorize(first)
    assert kept[0] == 200
    for others, status in ((server.authorize(second), 200), ({"Authorization": "Bearer x"}, 401), (None, 401)):
        fetch(page, path, headers)
        answer = fetch(page, path, others)
        assert answer[0] == status
        assert (answer[1] == own.body) == (status == 200)
        assert created[first]["id"] not in answer[1]
    # A page of what a route creates is kept for its minute: what has changed meanwhile is not seen yet.
    is_kept = find_source(route).path == route.path
    assert ("max-age" in own.headers["cache-control"]) == is_kept
    if is_kept:
        before = fetch(page, path, headers)
        create_for(server, first, route)
        assert fetch(page, path, headers) == before
    assert [item["id"] for item in read_items(own.json())] == [created[second]["id"]]


@READS
def test_an_item_is_kept_for_its_own_caller_alone(server: Server, page: Page, route: Route) -> None:
    owner = server.authorize(route.key)
    created = create_for(server, route.key, route)
    path = route.fill(created.headers["location"])

    def is_current() -> bool:
        with server.connect(route.key) as client:
            return fetch(page, path, owner) == (200, User(client).send("GET", path).body)

    # Some items go on by themselves meanwhile.
    for _ in range(2):
        poll(is_current, "the owner does not see the item")
    for headers, status in ((server.authorize("a stranger"), 404), ({"Authorization": "Bearer x"}, 401), (None, 401)):
        assert fetch(page, path, headers)[0] == status
    poll(is_current, "the owner does not see the item")


@ROUTES
def test_an_answer_is_for_one_caller_and_an_error_for_one_request(server: Server, user: User, route: Route) -> None:
    with server.connect(route.key, "read:others") as client:
        forbidden = call(route, User(client).send, route.fill())
    # The gateway's own errors say nothing; no cache keeps a 401 or 403 by itself (RFC 9110, section 15.1).
    assert (forbidden.status, "cache-control" in forbidden.headers) == (403, False)
    answers = [
        call(route, user.send),
        call(route, user.send, headers={"If-Match": "x"}),
        call(route, user.send, route.fill()),
    ]
    for answer in answers:
        varies = {name.strip() for name in answer.headers["vary"].split(",")}
        assert varies >= {"Authorization", "Origin"}
        assert answer.headers["cache-control"] == "no-store" or (answer.status, route.method) == (route.success, "GET")
        assert "public" not in answer.headers["cache-control"]


@takes("nextToken")
def test_the_docs_page_shows_nothing_without_a_scope(server: Server, page: Page, route: Route) -> None:
    with server.connect("demo") as client:
        find_path(route, User(client).send)
    operation = page.locator(f"#operations-{route.operation['tags'][0]}-{route.operation['operationId']}")
    operation.click()
    status = operation.locator(".live-responses-table .response-col_status").last
    operation.get_by_role("button", name="Execute").click()
    expect(status).to_contain_text("200")
    page.get_by_text("Be another user").click()
    for scope in page.get_by_role("checkbox").all():
        scope.uncheck()
    page.get_by_role("button", name="Switch user").click()
    expect(page.locator("#user")).to_contain_text("no scope")
    operation.get_by_role("button", name="Execute").click()
    expect(status).to_contain_text("403")
