"""What the terminal shows: a line per request, warnings and errors; all lines with `--verbose`."""

import io
import json
from pathlib import Path

import pytest

from local_engine.cloudwatch.emf import summarize_record
from local_engine.console import Console
from local_engine.observer import AnsweredRequest
from local_engine.template import Function

ORDERS = Function("Orders", "orders", "app.handler", Path(), (), {}, 3.0, 128, None, "/aws/lambda/orders")
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJkZW1vIn0.c2lnbmF0dXJl"
METRIC = {
    "_aws": {
        "Timestamp": 1,
        "CloudWatchMetrics": [{"Namespace": "Shop", "Dimensions": [["a"]], "Metrics": [{"Name": "Sales"}]}],
    },
    "a": "b",
    "Sales": [2],
}


def write(*lines: str, is_verbose: bool = False) -> list[str]:
    stream = io.StringIO()
    console = Console(stream, is_verbose=is_verbose, summarize_metrics=summarize_record)
    for line in lines:
        console.line_written(ORDERS, line)
    return stream.getvalue().splitlines()


def record(level: str, **more: object) -> str:
    return json.dumps({"level": level, "message": "sold", "order": 17, "timestamp": "now", **more})


def request(**changes: object) -> AnsweredRequest:
    values = {
        "api": None,
        "id": "JKJaXmPLvHcESHA=",
        "method": "GET",
        "path": "/orders",
        "route": ("GET", "/orders"),
        "function": "Orders",
        "start": "cold",
        "status": 200,
        "latency": 12.4,
        "integration_latency": 11.0,
        "received": 0,
        "sent": 2,
        "describe_context": dict,
    }
    return AnsweredRequest(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_log_records_below_warning_are_for_verbose(level: str) -> None:
    assert write(record(level)) == []
    assert write(record(level), is_verbose=True) == [f"Orders | {level} sold order=17"]


@pytest.mark.parametrize("level", ["WARNING", "ERROR", "CRITICAL"])
def test_warnings_and_errors_always_show_with_their_traceback(level: str) -> None:
    shown = write(record(level, exception='Traceback:\n  File "app.py"'))
    assert shown == [f"Orders | {level} sold order=17", "    Traceback:", '      File "app.py"']


def test_metrics_are_for_verbose() -> None:
    assert write(json.dumps(METRIC)) == []
    assert write(json.dumps(METRIC), is_verbose=True) == ["Orders | METRIC Shop: Sales=2 (a=b)"]


def test_malformed_metrics_always_show() -> None:
    line = json.dumps(METRIC | {"Sales": "two"})
    assert write(line) == [f"Orders | {line}"]


@pytest.mark.parametrize("line", ["printed", "[INFO] logged by the standard library", "{not JSON", '{"any": "object"}'])
def test_other_text_always_shows(line: str) -> None:
    assert write(line) == [f"Orders | {line}"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "GET /orders 200 12 ms Orders cold JKJaXmPL"),
        ({"status": 404, "function": "", "start": ""}, "GET /orders 404 12 ms JKJaXmPL"),
        ({"path": "/\x1b[31m"}, "GET /\\x1b[31m 200 12 ms Orders cold JKJaXmPL"),
        ({"path": f"/a/{TOKEN}/b"}, "GET /a/<token>/b 200 12 ms Orders cold JKJaXmPL"),
        ({"path": f"/a/{TOKEN}".replace(".", "%2E")}, "GET /a/<token> 200 12 ms Orders cold JKJaXmPL"),
        ({"path": f"/a/{TOKEN}".replace(".", "%252E")}, "GET /a/<token> 200 12 ms Orders cold JKJaXmPL"),
        ({"path": "/" + "a" * 2001}, f"GET /{'a' * 1999}… 200 12 ms Orders cold JKJaXmPL"),
        ({"method": "X" * 2001}, f"{'X' * 2000}… /orders 200 12 ms Orders cold JKJaXmPL"),
        ({"path": f"/%65{TOKEN[1:]}"}, "GET /<token> 200 12 ms Orders cold JKJaXmPL"),
        ({"path": "/a%20b/eyJ.c"}, "GET /a%20b/eyJ.c 200 12 ms Orders cold JKJaXmPL"),
    ],
)
def test_a_request_is_one_line(changes: dict[str, object], line: str) -> None:
    stream = io.StringIO()
    Console(stream).request_answered(request(**changes))
    time, _, rest = stream.getvalue().partition(" ")
    assert rest == line + "\n"
    assert len(time) == len("12:34:56")
