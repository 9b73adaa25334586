"""The stack's own dashboard, as `make dashboard` shows it, in a real browser."""

import json

import pytest
from playwright.sync_api import Browser, expect

from tests.api.conftest import Server, User
from tests.support.items import call
from tests.support.permissions import translate_stack
from tests.support.stack import list_routes

pytestmark = pytest.mark.slow

(BODY,) = [
    json.loads(resource.properties["DashboardBody"])
    for resource in translate_stack().resources.values()
    if resource.type == "AWS::CloudWatch::Dashboard"
]
# The local services never throttle by themselves, and say so.
QUIET = "does not publish AWS/DynamoDB"


def test_every_panel_shows_what_the_api_does(server: Server, browser: Browser) -> None:
    with server.connect("dashboard") as client:
        for route in list_routes():
            assert call(route, User(client).send).status == route.success
    page = browser.new_page(viewport={"width": 1400, "height": 2400})
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/_local/dashboard")
    for widget in BODY["widgets"]:
        panel = page.get_by_role("article", name=widget["properties"]["title"], exact=True).last
        expect(panel).to_be_visible()
        for problem in panel.locator(".problems li").all_text_contents():
            assert QUIET in problem
    requests = page.get_by_role("article", name="Requests by route", exact=True)
    for route in list_routes():
        expect(requests.locator(".legend li").filter(has_text=route.key).first).to_be_attached()
    expect(requests.locator("svg polyline, svg circle").first).to_be_attached()
    assert complaints == []
    page.close()
