"""Handlers of routes that stream: errors before and within the response, deadline, logs, metrics and traces."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.streaming.runtime_stand_in import StreamingFunction
from tests.support.xray_daemon import Daemon

ROUTE = "GET /api/v1/widgets"
FAR = "4102444800"
ALLOWED = {"sub": "alice", "scope": "read:widgets", "exp": FAR, "principalId": "alice"}


def make_event(deed: str, authorizer: Mapping[str, Any] | None = ALLOWED) -> dict[str, Any]:
    """The event of a REST API."""
    return {
        "resource": "/api/v1/widgets",
        "httpMethod": "GET",
        "headers": {"X-Correlation-Id": "chosen", "Authorization": "Bearer secret"},
        "queryStringParameters": {"deed": deed},
        "multiValueQueryStringParameters": {"deed": [deed]},
        "requestContext": {"requestId": "gateways", "authorizer": authorizer, "requestTimeEpoch": 1_700_000_000_000},
        "body": None,
        "isBase64Encoded": False,
    }


@pytest.fixture(scope="module")
def widgets() -> Iterator[StreamingFunction]:
    with StreamingFunction("house.handler") as function:
        yield function


def test_a_response_has_the_headers_of_every_route(widgets: StreamingFunction) -> None:
    report = widgets.api.invoke(make_event("list"))
    assert report.metadata == {
        "statusCode": 200,
        "headers": {
            "Content-Type": "text/plain",
            "Cache-Control": "no-store",
            "Vary": "Authorization, Origin",
            "X-Correlation-Id": "chosen",
            "Access-Control-Allow-Origin": "https://app.example.com",
            "Access-Control-Expose-Headers": "Content-Disposition,Retry-After,X-Correlation-Id",
        },
    }
    assert (report.is_whole, report.payload, report.trailers) == (True, b"first\nTrue\n", {})


@pytest.mark.parametrize(
    ("deed", "authorizer", "status", "error"),
    [
        ("refuse", ALLOWED, 400, "No such deed"),
        ("fail", ALLOWED, 503, "The service is busy, try again shortly"),
        ("list", None, 401, "A valid token is required"),
        ("list", {}, 401, "A valid token is required"),
        ("list", {**ALLOWED, "exp": "1"}, 401, "A valid token is required"),
        ("list", {**ALLOWED, "exp": "soon"}, 401, "A valid token is required"),
        ("list", {**ALLOWED, "scope": "write:widgets"}, 403, "Insufficient permissions"),
    ],
)
def test_an_error_before_the_first_byte_is_an_ordinary_answer(
    widgets: StreamingFunction, deed: str, authorizer: Mapping[str, Any] | None, status: int, error: str
) -> None:
    report = widgets.api.invoke(make_event(deed, authorizer))
    assert report.target.endswith("/response")
    assert report.metadata["statusCode"] == status
    assert report.metadata["headers"]["Content-Type"] == "application/json"
    assert report.metadata["headers"]["Access-Control-Allow-Origin"] == "https://app.example.com"
    body = json.loads(report.payload)
    assert (body["error"], body["requestId"], report.trailers) == (error, "gateways", {})


def test_an_error_within_the_response_is_its_last_line_and_its_trailers(widgets: StreamingFunction) -> None:
    report = widgets.api.invoke(make_event("fail late"))
    first, last = report.payload.splitlines()
    assert (report.metadata["statusCode"], first) == (200, b"first")
    assert json.loads(last) == {"error": "The service is busy, try again shortly", "requestId": "gateways"}
    assert report.trailers["lambda-runtime-function-error-type"] == "ResponseBroken"


def test_the_deadline_holds_before_the_first_byte(widgets: StreamingFunction) -> None:
    report = widgets.api.invoke(make_event("hang"), seconds=1.5)
    assert report.metadata["statusCode"] == 503


def test_the_deadline_holds_within_the_response(widgets: StreamingFunction) -> None:
    report = widgets.api.invoke(make_event("hang late"), seconds=1.5)
    assert json.loads(report.payload.splitlines()[-1])["error"] == "The service is busy, try again shortly"
    assert report.trailers["lambda-runtime-function-error-type"] == "ResponseBroken"


def test_the_deadline_holds_while_nobody_reads() -> None:
    with StreamingFunction("house.handler") as function:
        # It has started before its time is measured.
        assert function.api.invoke(make_event("list")).is_whole
        assert not function.api.invoke_unread(make_event("flood"), seconds=2.5).is_whole
        # The function takes the next invocation, and has logged the lost response.
        assert function.api.invoke(make_event("list")).is_whole
        summaries = [line for line in function.read_log() if line.get("message") == "Request answered"]
        assert [line["status"] for line in summaries] == [200, 503, 200]


def test_each_request_has_its_summary_its_metrics_and_its_trace() -> None:
    with (
        Daemon() as daemon,
        StreamingFunction("house.handler", {"AWS_XRAY_DAEMON_ADDRESS": daemon.address}) as function,
    ):
        function.api.invoke(make_event("call"))
        function.api.invoke(make_event("fail late"))
        lines = function.read_log()
        (call,) = daemon.take_all()
    assert call["name"] == "example.com"
    good, bad = (line for line in lines if line.get("message") == "Request answered")
    assert (good["status"], good["route"], good["request_id"], good["correlation_id"]) == (
        200,
        ROUTE,
        "gateways",
        "chosen",
    )
    assert (good["cold_start"], bad["cold_start"], bad["status"]) == (True, False, 503)
    assert len(good["caller"]) == 32
    metrics = [line for line in lines if "_aws" in line]
    assert [line.get("ServerErrors") for line in metrics] == [None, [1.0]]
    assert {line["route"] for line in metrics} == {ROUTE}
    assert [line["errorType"] for line in lines if "errorType" in line] == ["ResponseBroken"]
    assert "secret" not in json.dumps(lines)
