"""The stack's own dashboard, as `make dashboard` shows it, in a real browser."""

import json
import re

from playwright.sync_api import Browser, expect

from tests.api.conftest import Server
from tests.support.permissions import translate_stack

(BODY,) = [
    json.loads(of.properties["DashboardBody"])
    for of in translate_stack().resources.values()
    if of.type == "AWS::CloudWatch::Dashboard"
]
# The local services never throttle by themselves, and say so.
QUIET = "does not publish AWS/DynamoDB"


def test_every_panel_is_drawn_with_what_the_api_does(server: Server, browser: Browser) -> None:
    with server.connect("dashboard") as client:
        created = client.post("/api/v1/resources", json={"name": "thing", "type": "A"})
        assert client.get(created.headers["location"]).status_code == 200
        assert client.get("/api/v1/resources").status_code == 200
        assert client.delete(created.headers["location"]).status_code == 204
    page = browser.new_page(viewport={"width": 1400, "height": 2400})
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/_local/dashboard")
    for widget in BODY["widgets"]:
        panel = page.get_by_role("region", name=widget["properties"]["title"], exact=True).last
        expect(panel).to_be_visible()
        for problem in panel.locator(".problems").all_inner_texts():
            assert not [line for line in problem.splitlines() if line and QUIET not in line], problem
    requests = page.get_by_role("region", name="Requests by route", exact=True)
    expect(requests.locator(".legend li")).to_contain_text([re.compile(r"(DELETE|GET|POST) /api/v1/resources")] * 4)
    expect(requests.locator("svg polyline, svg circle").first).to_be_attached()
    assert complaints == []
    page.close()
