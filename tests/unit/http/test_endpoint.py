"""Handlers that return or raise something unexpected, and handlers that are being debugged."""

import bdb
import json
import pdb  # noqa: T100 - what is tested
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.gateway import Context, import_functions

EVENT = {
    "routeKey": "GET /widgets",
    "requestContext": {
        "requestId": "request-1",
        "authorizer": {"jwt": {"claims": {"sub": "alice", "scope": "read:widgets"}, "scopes": None}},
    },
}

CONTEXT = Context()


@pytest.fixture
def call() -> Iterator[Callable[[Callable[[Any], Any]], dict[str, Any]]]:
    """Calls a function as the handler of a route."""
    with import_functions():
        from serverless_api import endpoint

        yield lambda function, context=CONTEXT: endpoint(scope="read:widgets")(function)(EVENT, context)


def read_failure(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (failure,) = [line for line in lines if line.get("level") == "ERROR"]
    return failure


@pytest.mark.parametrize("returned", [{"statusCode": 200}, None, (200, {}), "text"])
def test_a_wrong_return_value_points_at_the_function(call, capsys, returned):
    def return_something(request):
        return returned

    answer = call(return_something)
    assert answer["statusCode"] == 500
    assert "return_something" not in answer["body"]
    exception = read_failure(capsys)["exception"]
    line = return_something.__code__.co_firstlineno
    assert f"return_something ({__file__}, line {line}) returned {type(returned).__name__}, not Response" in exception


@pytest.mark.parametrize(
    ("name", "arguments", "status"),
    [("TableUnavailable", (7,), 503), ("ItemTooLarge", (), 413), ("ConditionFailed", (None,), 500)],
)
def test_errors_of_the_store_become_responses(call, name, arguments, status):
    def fail(request):
        from serverless_api.storage import table

        raise getattr(table, name)(*arguments)

    answer = call(fail)
    assert answer["statusCode"] == status
    assert answer["headers"].get("Retry-After") == ("7" if status == 503 else None)


@pytest.mark.parametrize(
    ("number", "is_storable"),
    [
        (Decimal("1E400"), False),
        (Decimal("-1E126"), False),
        (Decimal("1E-131"), False),
        (Decimal("1E1000000000"), False),
        (10**38 + 1, False),
        (10**4000, False),
        (Decimal("1." + "1" * 38), False),
        (Decimal("9." + "9" * 37 + "E125"), True),
        (Decimal("1E-130"), True),
        (Decimal("0E400"), True),
        (Decimal("1." + "0" * 50), True),
        (10**125, True),
        (-(10**38) + 1, True),
    ],
)
def test_a_number_that_the_table_does_not_have_is_the_callers_fault(call, number, is_storable):
    def store(request):
        from serverless_api import Response
        from serverless_api.storage import table

        assert table._encode_item({"n": number})["n"].keys() == {"N"}
        return Response(204)

    answer = call(store)
    assert answer["statusCode"] == (204 if is_storable else 400)
    if not is_storable:
        (detail,) = json.loads(answer["body"])["details"]
        assert detail["field"] == "body"
        assert "38 digits" in detail["problem"]


def test_a_failure_leaves_a_line_that_cloudwatch_keeps_whole(call, capsys):
    def fail(request):
        raise KeyError("x" * 1_000_000)

    assert call(fail)["statusCode"] == 500
    (line,) = [line for line in capsys.readouterr().out.splitlines() if '"ERROR"' in line]
    assert len(line) < 100_000
    exception = json.loads(line)["exception"]
    assert exception.startswith("Traceback")
    assert "…" in exception
    assert exception.endswith("x'")


def test_quitting_the_debugger_ends_the_handler(call, monkeypatch):
    commands = iter(["q"])
    monkeypatch.setattr("builtins.input", lambda _: next(commands))

    def stop(request):
        pdb.Pdb(nosigint=True).set_trace()
        return

    tracer = sys.gettrace()
    try:
        with pytest.raises(bdb.BdbQuit):
            call(stop)
    finally:
        sys.settrace(tracer)


class Hurried(Context):
    """The context of an invocation with 50 ms before its deadline."""

    def get_remaining_time_in_millis(self) -> int:
        return 800


def test_the_deadline_stands_still_while_a_debugger_waits(call, monkeypatch):
    from time import sleep

    from serverless_api import Response

    def answer_late(_prompt: str) -> str:
        sleep(0.2)
        return "c"

    monkeypatch.setattr("builtins.input", answer_late)

    def stop(request):
        pdb.Pdb(nosigint=True).set_trace()
        sleep(0.2)
        return Response(204)

    tracer = sys.gettrace()
    try:
        assert call(stop, Hurried())["statusCode"] == 204
    finally:
        sys.settrace(tracer)

    def hang(request):
        sleep(5)
        return Response(204)

    assert call(hang, Hurried())["statusCode"] == 503


MOMENTS = {
    **dict.fromkeys((0, 1_798_761_600_000, None), 204),
    **dict.fromkeys((10**30, 253_402_300_800_000, -1, 1.5, "1798761600000", True), 400),
}


@pytest.mark.parametrize(("received", "status"), MOMENTS.items())
def test_a_request_is_of_a_moment_that_can_be_shown(received, status):
    with import_functions():
        from serverless_api import Response, endpoint
        from serverless_api.http.collection import format_time

        @endpoint(scope="read:widgets")
        def handler(request):
            format_time(request.caller.origin.requested_at * 1_000_000)
            return Response(204)

        event = {**EVENT, "requestContext": {**EVENT["requestContext"], "timeEpoch": received}}
        assert handler(event, CONTEXT)["statusCode"] == status
