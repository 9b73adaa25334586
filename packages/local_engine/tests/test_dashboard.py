"""The stack's dashboard: the values of its widgets, and the page in a real browser."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from local_engine.cloudwatch.alarms import AlarmSet
from local_engine.cloudwatch.dashboard import PUBLISHED_METRICS, evaluate_dashboard, read_dashboards
from local_engine.cloudwatch.metrics import Metric, MetricStore
from local_engine.template.stack import Resource
from local_engine.testing import EngineProcess, child_environment, engine_command, free_port, poll

STACKS = Path(__file__).parent / "stacks"
NOW = 1_000_000 * 60.0 + 30
READ = {"service": "orders", "route": "read"}


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "monitored" / "template.yaml", "--minute", "1") as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


def _evaluate(properties: dict[str, Any], kind: str = "metric") -> dict[str, Any]:
    clock = [NOW]
    store = MetricStore(60, lambda: clock[0])
    for minutes, value in ((2, 4.0), (1, 6.0), (0, 1.0)):
        store.add(Metric.of("Shop", "Requests", READ), [value, 2.0], at=NOW - minutes * 60)
        store.add(Metric.of("Shop", "Errors", {"service": "orders"}), [1.0], at=NOW - minutes * 60)
    stat = {"Namespace": "Shop", "MetricName": "Requests", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    dimensions = [{"Name": name, "Value": value} for name, value in READ.items()]
    rule = {**stat, "Dimensions": dimensions, "Threshold": 7, "ComparisonOperator": "GreaterThanThreshold"}
    alarms = AlarmSet(store)
    alarms.declare({"Busy": Resource("AWS::CloudWatch::Alarm", rule)})
    body = json.dumps({"widgets": [{"type": kind, "properties": properties}]})
    (dashboard,) = read_dashboards({"D": Resource("AWS::CloudWatch::Dashboard", {"DashboardBody": body})})
    evaluated = asyncio.run(evaluate_dashboard(dashboard, store, alarms, 10))
    assert evaluated["problem"] is None
    (widget,) = evaluated["widgets"]
    return dict(widget)


def _values(widget: dict[str, Any]) -> dict[str, list[float]]:
    return {series["label"]: [value for _, value in series["points"]] for series in widget["series"]}


REQUESTS = ["Shop", "Requests", "service", "orders", "route", "read"]


ERRORS = ["Shop", "Errors", "service", "orders"]
SEARCH = "SEARCH('{Shop,service,route} Requests', 'Sum', 60)"


@pytest.mark.parametrize(
    ("metrics", "values"),
    [
        ([[*REQUESTS, {"stat": "Sum"}]], {"Requests": [6, 8, 3]}),
        ([REQUESTS], {"Requests": [3, 4, 1.5]}),
        ([[*REQUESTS, {"stat": "Maximum", "label": "most"}]], {"most": [4, 6, 2]}),
        ([[*REQUESTS, {"stat": "SampleCount", "period": 120}]], {"Requests": [4, 2]}),
        # shorthand
        (
            [[*REQUESTS, {"stat": "Sum"}], ["...", {"stat": "p100"}]],
            {"Requests Sum": [6, 8, 3], "Requests p100": [4, 6, 2]},
        ),
        ([ERRORS, [".", "Requests", ".", ".", "route", "read"]], {"Errors": [1, 1, 1], "Requests": [3, 4, 1.5]}),
        (
            [[*REQUESTS[:3], "no", *REQUESTS[4:]], [".", ".", ".", "orders", "route", "read"]],
            {"no": [], "orders": [3, 4, 1.5]},
        ),
        ([[*REQUESTS[:5], "no"], ["...", "read"]], {"no": [], "read": [3, 4, 1.5]}),
        ([ERRORS, [".", "Faults", "..."]], {"Errors": [1, 1, 1], "Faults": []}),
        # expressions, and what is only there for them
        (
            [[*REQUESTS, {"id": "m", "stat": "Sum", "visible": False}], [{"expression": "m * 2", "label": "double"}]],
            {"double": [12, 16, 6]},
        ),
        (
            [[{"expression": "SUM(METRICS())"}], [*REQUESTS, {"stat": "Sum", "visible": False}]],
            {"SUM(METRICS())": [6, 8, 3]},
        ),
        ([[{"expression": SEARCH, "label": "${PROP('Dim.route')}, ${MAX}"}]], {"read, 8": [6, 8, 3]}),
        ([[{"expression": "SEARCH('{Shop,service} Errors', 'Sum')", "label": "of"}]], {"of Errors": [1, 1, 1]}),
        # Metrics Insights
        ([[{"expression": "SELECT SUM(Requests) FROM Shop"}]], {"Requests": [6, 8, 3]}),
        ([[{"expression": "SELECT MAX(Requests) FROM Shop GROUP BY service, route"}]], {"orders read": [4, 6, 2]}),
        (
            [
                [{"id": "q", "expression": "SELECT SUM(Requests) FROM Shop GROUP BY service", "visible": False}],
                [{"expression": "SUM(q) * 2", "label": "double"}],
            ],
            {"double": [12, 16, 6]},
        ),
    ],
)
def test_metrics(metrics: list[Any], values: dict[str, list[float]]) -> None:
    widget = _evaluate({"metrics": metrics, "period": 60})
    assert (_values(widget), widget["problems"]) == (values, [])


def test_periods_are_aligned_and_five_minutes_if_nothing_else_is_said() -> None:
    (series,) = _evaluate({"metrics": [[*REQUESTS, {"stat": "Sum"}]]})["series"]
    assert series["period"] == 300
    assert all(time % 300 == 0 for time, _ in series["points"])
    assert sum(value for _, value in series["points"]) == 17


def test_single_value_of_the_whole_range() -> None:
    properties = {"view": "singleValue", "setPeriodToTimeRange": True, "stat": "Sum", "metrics": [REQUESTS]}
    widget = _evaluate(properties)
    assert (widget["view"], _values(widget)) == ("singleValue", {"Requests": [17]})


def test_alarm_is_drawn_with_its_threshold() -> None:
    widget = _evaluate({"annotations": {"alarms": ["arn:aws:cloudwatch:us-east-1:123456789012:alarm:Busy"]}})
    assert _values(widget) == {"Requests": [6, 8, 3]}
    assert [(line["label"], line["value"]) for line in widget["lines"]] == [("Busy", 7)]


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        ({}, "has no metrics"),
        ({"metrics": [["Shop"]]}, "A metric is a namespace"),
        ({"metrics": [["Shop", "Requests", "service"]]}, "A metric is a namespace"),
        ({"metrics": ["Shop"]}, "must be a list"),
        ({"metrics": [[".", "Requests"]]}, "repeats a word that the previous metric lacks"),
        ({"metrics": [REQUESTS], "period": "often"}, "period is 'often'"),
        ({"metrics": [[*REQUESTS, {"stat": "tm99"}]]}, "no statistic 'tm99'"),
        ({"metrics": [[{"expression": "absent"}]]}, "'absent'"),
        (
            {"metrics": [[{"expression": "SELECT Requests FROM Shop"}]]},
            "where AVG, COUNT, MAX, MIN or SUM should stand",
        ),
        ({"metrics": [[{"expression": "SEARCH('{Shop,nothing} x', 'Sum')"}]]}, "matches no metric yet"),
        ({"metrics": [["AWS/Billing", "EstimatedCharges"]]}, "does not publish AWS/Billing EstimatedCharges"),
        ({"metrics": [["AWS/DynamoDB", "ReadThrottleEvents", "TableName", "t"]]}, "AWS/DynamoDB ReadThrottleEvents"),
        ({"metrics": [REQUESTS], "view": "pie"}, "does not support the view 'pie'"),
        ({"annotations": {"alarms": ["nobody"]}}, "no alarm nobody"),
        ({"annotations": {"horizontal": [{"value": "x"}]}, "metrics": [REQUESTS]}, "is invalid"),
    ],
)
def test_what_cannot_be_drawn_is_said(properties: dict[str, Any], sentence: str) -> None:
    widget = _evaluate(properties)
    assert sentence in " ".join([*widget["problems"], *widget["notes"]])


def test_widgets_that_are_not_drawn_say_so() -> None:
    assert "does not support widgets of type 'log'" in _evaluate({"query": "x"}, "log")["problems"][0]
    assert "no alarm nobody" in _evaluate({"alarms": ["nobody"]}, "alarm")["problems"][0]


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"widgets": 5}', '{"widgets": [5]}', 5, "{" * 100_000])
def test_faulty_body_is_said(body: Any) -> None:
    (dashboard,) = read_dashboards({"D": Resource("AWS::CloudWatch::Dashboard", {"DashboardBody": body})})
    assert "DashboardBody" in str(dashboard.problem)


def _widgets(client: httpx.Client) -> dict[str, dict[str, Any]]:
    (dashboard,) = client.get("/_local/dashboard.json").json()["dashboards"]
    assert dashboard["name"] == "local-shop"
    return {widget["title"]: widget for widget in dashboard["widgets"]}


def test_dashboard_of_a_template_shows_what_happens(client: httpx.Client) -> None:
    for _ in range(3):
        client.get("/orders/1")
    client.get("/orders/1", params={"deed": "raise"})
    requests = {series["label"]: series for series in _widgets(client)["Requests"]["series"]}
    assert set(requests) == {"all", "failed", "GET /orders/{id}"}
    assert requests["all"]["color"] == "#1f77b4"
    assert sum(value for _, value in requests["failed"]["points"]) == 1
    assert sum(value for _, value in requests["GET /orders/{id}"]["points"]) == 4
    assert _widgets(client)["Requests"]["problems"] == ["There is no metric or expression with the ID 'all'."]
    latency = _widgets(client)["Latency"]["series"]
    assert [(series["label"], series["axis"]) for series in latency] == [
        ("Duration p50", "right"),
        ("Duration p90", "left"),
        ("Latency Average", "left"),
    ]
    assert all(series["points"] for series in latency)


@pytest.mark.parametrize("minutes", ["0", "1441", "-1", "many", "9" * 5000, "٣"])
def test_faulty_range_is_a_sentence(client: httpx.Client, minutes: str) -> None:
    answer = client.get("/_local/dashboard.json", params={"minutes": minutes})
    assert (answer.status_code, "number from 1 to 1440" in answer.text) == (400, True)


def test_engine_knows_what_it_publishes(client: httpx.Client) -> None:
    client.get("/orders/1")
    poll(lambda: "ApproximateAgeOfOldestMessage" in client.get("/_local/metrics.json").text, "no queue was looked at")
    metrics = client.get("/_local/metrics.json").json()["metrics"]
    published = [(one["namespace"], one["name"]) for one in metrics if one["namespace"].startswith("AWS/")]
    assert {namespace for namespace, _ in published} >= {"AWS/ApiGateway", "AWS/Lambda", "AWS/SQS"}
    assert [pair for pair in published if pair[1] not in PUBLISHED_METRICS[pair[0]]] == []


def test_page_loads_nothing_from_elsewhere_and_runs_no_other_script(client: httpx.Client) -> None:
    answer = client.get("/_local/dashboard")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in answer.text.replace("http-equiv", "")
    assert client.get("/_local/dashboard/dashboard.py").status_code == 404
    assert client.get("/_local/dashboard/..%2fserver.py").status_code == 404


def _open(browser: Browser, engine: EngineProcess, **options: Any) -> tuple[Page, list[str], set[str]]:
    page = browser.new_page(**options)
    complaints: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda one: complaints.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto(f"{engine.url}/_local/dashboard")
    return page, complaints, hosts


def test_page_draws_and_follows(engine: EngineProcess, browser: Browser, client: httpx.Client, tmp_path: Path) -> None:
    client.get("/orders/1")
    page, complaints, hosts = _open(browser, engine, viewport={"width": 1300, "height": 1500})
    panel = page.get_by_role("article", name="Requests", exact=True)
    expect(panel.locator(".legend li")).to_contain_text(["all", "failed", "GET /orders/{id}"])
    expect(panel.locator("svg .limit-label")).to_have_text("busy")
    expect(panel.locator(".problems").first).to_have_text("There is no metric or expression with the ID 'all'.")
    expect(page.get_by_role("article", name="Slowest")).to_contain_text("does not support widgets of type 'log'")
    expect(page.get_by_role("link", name="runbook")).to_have_attribute("href", "https://example.com/runbook")
    expect(page.get_by_role("article", name="Now")).to_contain_text("waiting")
    expect(page.locator("#minute")).to_contain_text("a minute lasts 1 s")
    # On the grid, the second graph is right of the first.
    first, second = (
        page.get_by_role("article", name=name, exact=True).bounding_box() for name in ("Requests", "Latency")
    )
    assert first is not None
    assert second is not None
    assert (second["y"], second["x"] > first["x"] + first["width"]) == (first["y"], True)
    item = page.locator(".alarms > li", has=page.locator("summary, strong", has_text="local-server-errors"))
    expect(item.locator(".state")).to_have_text("OK")
    client.get("/orders/1", params={"deed": "raise"})
    # Without a reload.
    expect(item.locator(".state")).to_have_text("ALARM")
    contributors = page.get_by_role("list", name="Contributors to RouteFailures").get_by_role("listitem")
    expect(contributors.filter(has_text="GET /orders/{id}").locator(".state")).to_have_text("ALARM")
    expect(page).to_have_title("(3) local-shop – Dashboard")
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard local-shop")
    expect(page.get_by_role("img", name="Requests. all ")).to_be_attached()
    page.screenshot(path=tmp_path / "dashboard.png")
    expect(item.locator(".state")).to_have_text("OK")
    page.close()
    assert complaints == []
    assert hosts == {urlsplit(engine.url).netloc}


def test_each_alarm_is_on_the_page_once_and_quiet_ones_give_no_reason(
    engine: EngineProcess, browser: Browser, client: httpx.Client
) -> None:
    data = client.get("/_local/dashboard.json").json()
    for alarm in data["alarms"]:
        alarm |= {"state": "OK", "reason": "Threshold Crossed: nothing"}
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.route("**/_local/dashboard.json*", lambda route: route.fulfill(json=data))
    page.goto(f"{engine.url}/_local/dashboard")
    expect(page.locator(".alarms > li")).to_have_count(len(data["alarms"]))
    names = page.locator(".alarms > li summary").all_inner_texts()
    assert sorted(names) == sorted(f"OK{alarm['name']}" for alarm in data["alarms"])
    expect(page.get_by_text("All 2 alarms are quiet.")).to_be_visible()
    expect(
        page.get_by_role("article", name="Requests", exact=True).locator("polyline, circle, .empty").first
    ).to_be_in_viewport()
    assert "Threshold Crossed" not in page.locator("main").inner_text()
    data["alarms"][0] |= {"state": "INSUFFICIENT_DATA", "reason": "Unchecked: Initial alarm creation"}
    data["alarms"][1] |= {"state": "ALARM", "reason": "Threshold Crossed: three"}
    expect(page.locator(".state", has_text="waiting")).to_have_count(1)
    expect(page.locator("main")).to_contain_text("Threshold Crossed: three")
    assert "INSUFFICIENT" not in page.locator("main").inner_text().upper()
    page.close()


def test_page_shows_nested_names_readably(engine: EngineProcess, browser: Browser, client: httpx.Client) -> None:
    data = client.get("/_local/dashboard.json").json()
    alarm = next(alarm for alarm in data["alarms"] if alarm["name"] == "Silent")
    data["alarms"] = [
        {**alarm, "name": "Operations/Silent", "logicalId": "Operations/Silent"},
        {**alarm, "name": "team/silent", "logicalId": "Operations/Named"},
    ]
    data["dashboards"] = [{"name": "Operations/Dashboard", "problem": None, "widgets": []}]
    page = browser.new_page()
    page.route("**/_local/dashboard.json*", lambda route: route.fulfill(json=data))
    page.goto(f"{engine.url}/_local/dashboard")
    expect(page.locator(".alarms > li")).to_contain_text(["Operations › Silent", "team/silent"])
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard Operations › Dashboard")
    expect(page).to_have_title("Operations › Dashboard – Dashboard")
    page.close()


def test_page_works_with_the_keyboard(engine: EngineProcess, browser: Browser, client: httpx.Client) -> None:
    for _ in range(2):
        client.get("/orders/1")
    page, complaints, _ = _open(browser, engine)
    panel = page.get_by_role("article", name="Requests", exact=True)
    expect(panel.locator("polyline, circle").first).to_be_attached()
    page.get_by_role("button", name="Pause").press("Enter")
    expect(page.locator("#status")).to_have_text("Paused")
    chart = page.get_by_role("group", name="Graph Requests")
    for _ in range(40):
        page.keyboard.press("Tab")
        if chart.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("End")
    expect(panel.locator("output")).to_contain_text("all ")
    newest = panel.locator("output").inner_text()
    page.keyboard.press("Home")
    expect(panel.locator("output")).to_contain_text(":")
    page.keyboard.press("Escape")
    expect(panel.locator("output")).to_have_text("")
    chart.hover()
    expect(panel.locator("output")).to_contain_text("all ")
    assert newest
    page.close()
    assert complaints == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_page_fits_a_phone(engine: EngineProcess, browser: Browser, color_scheme: str) -> None:
    page, complaints, _ = _open(browser, engine, viewport={"width": 360, "height": 740}, color_scheme=color_scheme)
    expect(page.get_by_role("article", name="Requests", exact=True).locator("svg").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    colors = "element => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor]"
    text, ground = page.locator("body").evaluate(colors)
    assert _contrast(text, ground) > 7
    page.close()
    assert complaints == []


def _contrast(first: str, second: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    levels = []
    for color in (first, second):
        channels = [int(part) / 255 for part in color[4:-1].split(",")[:3]]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(levels) + 0.05) / (min(levels) + 0.05)


def test_page_says_when_the_engine_is_gone(browser: Browser) -> None:
    with EngineProcess(STACKS / "echo" / "template.yaml") as engine:
        page, _, _ = _open(browser, engine)
        expect(page.locator("#empty")).to_contain_text("declares no dashboard")
        expect(page.locator("#status")).to_have_text("Live")
    expect(page.locator("#status")).to_contain_text("does not answer")
    page.close()


def test_edited_dashboard_is_shown_without_a_reload(browser: Browser, tmp_path: Path) -> None:
    source = (STACKS / "monitored" / "template.yaml").read_text()
    template = tmp_path / "template.yaml"
    (tmp_path / "functions").symlink_to(STACKS / "monitored" / "functions")
    template.write_text(source)
    with EngineProcess(template) as engine:
        page, _, _ = _open(browser, engine)
        expect(page.get_by_role("heading", name="Latency")).to_be_visible()
        template.write_text(source.replace('"title": "Latency"', '"title": "Slowness"'))
        expect(page.get_by_role("heading", name="Slowness")).to_be_visible()
        page.close()


def _run_command(port: int, tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Runs `local-engine dashboard` with a browser that notes what it is to open."""
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path / "opened"}\n')
    script.chmod(0o755)
    return subprocess.Popen(
        engine_command("dashboard", "--port", str(port), *arguments),
        cwd=tmp_path,
        env=child_environment() | {"BROWSER": str(script)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_command_opens_the_page_of_a_server_that_runs(engine: EngineProcess, tmp_path: Path) -> None:
    command = _run_command(engine.port, tmp_path)
    output, _ = command.communicate(timeout=60)
    assert (command.returncode, output) == (0, f"Dashboard: {engine.url}/_local/dashboard\n")
    assert (tmp_path / "opened").read_text() == f"{engine.url}/_local/dashboard"


def test_command_starts_a_server_where_none_answers(tmp_path: Path) -> None:
    port = free_port()
    command = _run_command(port, tmp_path, "--template", str(STACKS / "monitored" / "template.yaml"))
    try:
        poll((tmp_path / "opened").exists, "the page was not opened", seconds=60)
        assert httpx.get(f"http://127.0.0.1:{port}/quiet", trust_env=False).status_code == 200
    finally:
        command.terminate()
        output, _ = command.communicate(timeout=60)
    assert f"Start page     http://127.0.0.1:{port}/_local/ " in output
    assert f"Dashboard: http://127.0.0.1:{port}/_local/dashboard" in output


def test_command_says_why_no_server_can_be_started(tmp_path: Path) -> None:
    command = _run_command(free_port(), tmp_path, "--template", "absent.yaml")
    output, _ = command.communicate(timeout=60)
    assert (command.returncode, "absent.yaml cannot be read" in output) == (4, True)
