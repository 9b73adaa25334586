"""New versions, tried before they serve: the hook's own part, with the functions behind a stand-in for Lambda."""

import importlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

import pytest

from tests.support.gateway import Context, Handler, import_functions
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.stack import list_routes

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
EVENT = {"DeploymentId": "d-A1B2C3D4E", "LifecycleEventHookExecutionId": "an-execution"}
REPORT = {"deploymentId": "d-A1B2C3D4E", "lifecycleEventHookExecutionId": "an-execution"}
VERSIONS = "\n".join(
    f"{route.folder.name} {route.success} arn:aws:lambda:us-east-1:123456789012:function:{route.folder.name}:7"
    for route in list_routes()
)


class LongContext(Context):
    """Of a function with five minutes."""

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


class Services:
    """Lambda, which has the routes' functions at hand, and CodeDeploy, which takes down what it is told."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = {route.folder.name: handlers[route.key] for route in list_routes()}
        self.answers: dict[str, list[Reply]] = {}
        self.reported: list[str] = []

    def answer(self, request: Request) -> Reply:
        if request.headers.get("X-Amz-Target", "").endswith("PutLifecycleEventHookExecutionStatus"):
            report = json.loads(request.body)
            self.reported.append(report.pop("status"))
            assert report == REPORT
            return make_reply({})
        function = unquote(request.target.split("/")[3]).split(":")[-2]
        if self.answers.get(function):
            return self.answers[function].pop(0)
        return make_reply(self._handlers[function](json.loads(request.body), Context()))

    def run_hook(self, context: Context | None = None, **settings: str) -> list[str]:
        with Server(self.answer) as server, import_hook(server.url, **settings) as handler:
            handler(EVENT, context or LongContext())
        return self.reported


@contextmanager
def import_hook(url: str, **settings: str) -> Iterator[Handler]:
    variables = {"AWS_ENDPOINT_URL_LAMBDA": url, "AWS_ENDPOINT_URL_CODEDEPLOY": url, "VERSIONS": VERSIONS, **settings}
    with import_functions(), patch.dict(os.environ, variables | {"AWS_DEFAULT_REGION": "us-east-1"}):
        yield importlib.import_module("functions.verify_versions.app").handler


@pytest.fixture
def services(handlers: Any, table: Any) -> Services:
    return Services(handlers)


def test_versions_that_answer_as_they_should_may_serve(services: Services, table: Any) -> None:
    assert services.run_hook() == ["Succeeded"]
    left = table.scan(TableName="resources")["Items"]
    assert not [item for item in left if item["sk"]["S"].startswith("resource#")], "what a pass creates it deletes"


def test_a_version_that_finds_no_environment_is_tried_again(services: Services) -> None:
    throttled = make_reply({"Type": "User"}, 429, headers={"x-amzn-errortype": "TooManyRequestsException"})
    services.answers["get_resource"] = [throttled, throttled]
    assert services.run_hook() == ["Succeeded"]


@pytest.mark.parametrize(
    "answer",
    [
        make_reply({"statusCode": 500, "headers": {}, "body": ""}),
        make_reply({"errorMessage": "no"}, headers={"X-Amz-Function-Error": "Unhandled"}),
        make_reply({"message": "no"}, 403),
    ],
    ids=["another status", "an error", "refused"],
)
def test_a_version_that_answers_otherwise_may_not_serve(services: Services, answer: Reply, capfd: Any) -> None:
    services.answers["get_resource"] = [answer]
    assert services.run_hook() == ["Failed"]
    assert "GET /api/v1/resources/{id}" in capfd.readouterr().out


@pytest.mark.parametrize("versions", ["", "get_resource 200", "get_resource ok arn", "no_fixture 200 arn"])
def test_what_cannot_be_tried_may_not_serve(services: Services, versions: str) -> None:
    assert services.run_hook(VERSIONS=versions) == ["Failed"]


def test_no_version_is_tried_without_the_time_to_report(services: Services) -> None:
    assert services.run_hook(Context()) == ["Failed"]
