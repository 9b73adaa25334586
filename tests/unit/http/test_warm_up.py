"""Warm-up events: the answers of the functions, and the function that sends the events."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

import pytest

from tests.support.dynamodb import DynamoDB
from tests.support.functions import import_function
from tests.support.gateway import ENVIRONMENT, Context, Handler, import_functions
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.resources_api import ResourcesApi
from tests.support.stack import ROOT, list_routes

ARNS = [f"arn:aws:lambda:us-east-1:123456789012:function:{name}:live" for name in ("list", "get")]


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_a_warm_up_is_answered_before_anything_else(
    dynamodb: DynamoDB, route: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/05/[$LATEST]one")
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url}) as handlers:
        capfd.readouterr()
        assert handlers[route.key]({"warmUp": True}, Context()) == {"environment": "2026/01/05/[$LATEST]one"}
    assert dynamodb.operations == []
    # Neither a log line nor a metric.
    assert capfd.readouterr().out == ""


def test_no_request_is_taken_for_a_warm_up(api: ResourcesApi) -> None:
    for body in ({"warmUp": True}, '{"warmUp":true}'):
        assert api.create(body=body).status == 400
    event = api.make_event("GET", "/api/v1/resources") | {"warmUp": True}
    assert set(api.invoke(event).json()) == {"resources", "count"}


class Lambda:
    """Invokes functions, each in as many environments as are busy at once, or fails as the test says."""

    def __init__(self, handler: Callable[[], Any], at_once: int) -> None:
        self._handler = handler
        self._all_busy = threading.Barrier(at_once)
        self._lock = threading.Lock()
        self.invoked: list[str] = []
        self.failing: dict[str, Reply] = {}

    def answer(self, request: Request) -> Reply:
        function = unquote(request.target.split("/")[3])
        assert json.loads(request.body) == {"warmUp": True}
        with self._lock:
            self.invoked.append(function)
        number = self._all_busy.wait(10)
        if function in self.failing:
            return self.failing[function]
        return make_reply(self._handler() | {"environment": f"{function} {number}"})


@contextmanager
def import_warm_functions(url: str, environments: str) -> Iterator[Handler]:
    settings = {
        **ENVIRONMENT,
        "AWS_ENDPOINT_URL_LAMBDA": url,
        "WARM_FUNCTIONS": " ".join(ARNS),
        "WARM_ENVIRONMENTS": environments,
    }
    folder = ROOT / "functions/warm_functions"
    with import_functions(), patch.dict(os.environ, settings), import_function(folder) as handler:
        yield handler


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_as_many_environments_as_wanted_answer_at_the_same_time(handlers: Any) -> None:
    service = Lambda(lambda: handlers["GET /api/v1/resources"]({"warmUp": True}, Context()), at_once=6)
    with Server(service.answer) as server, import_warm_functions(server.url, "3") as handler:
        assert handler({}, Context()) == dict.fromkeys(ARNS, 3)
    # If all have answered, no further round is needed.
    assert sorted(service.invoked) == sorted(ARNS * 3)


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(
    "failure",
    [
        make_reply({"__type": "TooManyRequestsException"}, 429),
        make_reply({"errorMessage": "no"}, headers={"X-Amz-Function-Error": "Unhandled"}),
        Reply(b"", "reset"),
    ],
    ids=["throttled", "failing", "lost"],
)
def test_a_function_that_fails_keeps_no_other_from_being_warmed(failure: Reply, capfd: Any) -> None:
    service = Lambda(dict, at_once=1)
    service.failing[ARNS[0]] = failure
    with Server(service.answer) as server, import_warm_functions(server.url, "1") as handler:
        assert handler({}, Context()) == {ARNS[0]: 0, ARNS[1]: 1}
    assert service.invoked.count(ARNS[0]) == 3
    assert service.invoked.count(ARNS[1]) == 1
