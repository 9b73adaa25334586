"""The pre-traffic hook: CodeDeploy, CloudFormation and Lambda are stand-ins, the functions are the real ones."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

import pytest

from tests.support.functions import import_function
from tests.support.gateway import Context, Handler, import_functions
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.roll_out_aws import EVENT, STACK_ID, RollOut, list_stack_resources, write_app_spec
from tests.support.stack import ROOT, Route, list_routes

pytestmark = [pytest.mark.slow, pytest.mark.allow_hosts(["127.0.0.1"])]
FUNCTIONS = {route.function: f"api-{route.function}-A1B2C3" for route in list_routes()}
CRASH = make_reply({"errorMessage": "No module named 'gone'"}, headers={"X-Amz-Function-Error": "Unhandled"})

type Run = Callable[..., object]
"""Runs the hook against something that answers requests, in a context."""


class LongContext(Context):
    """Of a function with five minutes."""

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


class Lambda:
    """Lambda with some functions, each with version 2 and alias `live`; and who asked which one for what."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers = dict(handlers)
        self.answers: dict[str, Callable[[Any], Reply]] = {}
        self.called: list[str] = []

    def answer(self, request: Request) -> Reply:
        found = re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations", request.target)
        assert request.method == "POST"
        assert found
        words = unquote(found[1]).removeprefix("arn:aws:lambda:us-east-1:123456789012:function:").split(":")
        if len(words) != 2 or words[0] not in self.handlers or words[1] not in ("2", "live"):
            return make_reply({"Type": "User"}, 404, headers={"x-amzn-errortype": "ResourceNotFoundException"})
        qualified, event = ":".join(words), json.loads(request.body)
        self.called.append(f"{words[1]} {event['routeKey']} {event['rawPath'].rpartition('/')[2]}")
        if qualified in self.answers:
            return self.answers[qualified](event)
        return make_reply(self.handlers[words[0]](event, Context()))


class Hook:
    """The hook, with what it talks to."""

    def __init__(self, run: Run, functions: Lambda, names: Mapping[str, str] = FUNCTIONS) -> None:
        self._run = run
        self.functions = functions
        self.names = names
        self.roll_out = RollOut("", list_stack_resources(names))

    def answer(self, request: Request) -> Reply:
        return self.roll_out.answer(request) or self.functions.answer(request)

    def run(self, function: str, context: Context | None = None) -> list[str]:
        """Roll a function's version 2 out and return what the hook reports."""
        self.roll_out.app_spec = self.roll_out.app_spec or write_app_spec(self.names.get(function, function), "2")
        self._run(self.answer, context or LongContext())
        return self.roll_out.reported


@contextmanager
def load_hook(folder: Path) -> Iterator[Run]:
    """Imports the hook once; what it talks to is given with each run."""
    with Server(lambda _: make_reply({}, 500)) as server:
        urls = {f"AWS_ENDPOINT_URL_{name}": server.url for name in ("LAMBDA", "CODEDEPLOY", "CLOUDFORMATION")}
        variables = urls | {"AWS_DEFAULT_REGION": "us-east-1", "STACK_ID": STACK_ID}
        with import_functions(), patch.dict(os.environ, variables), import_function(folder) as handler:

            def run(answer: Any, context: Context) -> None:
                server.answer = answer
                handler(EVENT, context)

            yield run


@pytest.fixture(scope="module")
def run(credentials: None) -> Iterator[Run]:
    with load_hook(ROOT / "functions/verify_versions") as run:
        yield run


@pytest.fixture
def hook(run: Run, handlers: Any, table: Any) -> Hook:
    return Hook(run, Lambda({FUNCTIONS[route.function]: handlers[route.key] for route in list_routes()}))


def list_left(table: Any) -> list[Any]:
    """What a pass has created and not deleted; a used idempotency key expires by itself."""
    return [item for item in table.scan(TableName="resources")["Items"] if "expiresAt" not in item]


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_a_version_that_works_may_serve_and_leaves_nothing_behind(hook: Hook, table: Any, route: Route) -> None:
    assert hook.run(route.function) == ["Succeeded"]
    tried = {call.rpartition(" ")[0] for call in hook.functions.called if call.startswith("2 ")}
    assert tried == {f"2 {route.key}"}, "the new version serves its own route alone"
    assert list_left(table) == []


@pytest.mark.parametrize("kind", ["String", "AppSpecContent"])
def test_the_version_comes_from_the_deployments_app_spec(hook: Hook, kind: str) -> None:
    hook.roll_out.kind = kind
    assert hook.run("ListResources") == ["Succeeded"]
    assert hook.functions.called == ["2 GET /api/v1/resources resources"], "a list needs no other route"


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (make_reply({"statusCode": 500, "headers": {}, "body": "broken"}), "answered 500 instead of"),
        (CRASH, "No module named 'gone'"),
        (make_reply({"Message": "no"}, 403), "Invoke operation"),
        (make_reply(None), "returns no HTTP response"),
    ],
    ids=["another status", "crashes at import", "refused", "no response"],
)
def test_a_version_that_does_not_work_may_not_serve(
    hook: Hook, table: Any, capfd: Any, route: Route, answer: Reply, reason: str
) -> None:
    hook.functions.answers[f"{FUNCTIONS[route.function]}:2"] = lambda _: answer
    assert hook.run(route.function) == ["Failed"]
    log = capfd.readouterr().out
    assert route.key in log
    assert reason in log
    assert list_left(table) == []


def test_a_version_that_creates_and_does_not_say_what_may_not_serve(hook: Hook) -> None:
    silent = make_reply({"statusCode": 201, "headers": {}, "body": "{}"})
    hook.functions.answers[f"{FUNCTIONS['CreateResource']}:2"] = lambda _: silent
    assert hook.run("CreateResource") == ["Failed"]


@pytest.mark.parametrize("broken", ["CreateResource", "DeleteResource"])
@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_a_stack_whose_live_functions_are_broken_can_be_repaired(
    hook: Hook, table: Any, route: Route, broken: str
) -> None:
    hook.functions.answers[f"{FUNCTIONS[broken]}:live"] = lambda _: CRASH
    assert hook.run(route.function) == ["Succeeded"]
    assert list_left(table) == []


def test_a_version_is_still_tried_beside_a_broken_live_function(hook: Hook) -> None:
    hook.functions.answers[f"{FUNCTIONS['CreateResource']}:live"] = lambda _: CRASH
    hook.functions.answers[f"{FUNCTIONS['GetResource']}:2"] = lambda _: CRASH
    assert hook.run("GetResource") == ["Failed"]


def test_a_function_whose_alias_is_still_being_created_takes_no_part(hook: Hook, table: Any) -> None:
    for resource in hook.roll_out.resources:
        if resource["LogicalResourceId"] == "DeleteResourceAliaslive":
            resource["ResourceStatus"] = "CREATE_IN_PROGRESS"
    assert hook.run("CreateResource") == ["Succeeded"]
    assert hook.functions.called == ["2 POST /api/v1/resources resources"]
    assert list_left(table) == []


def test_a_throttled_version_is_tried_again(hook: Hook) -> None:
    throttled = make_reply({"Type": "User"}, 429, headers={"x-amzn-errortype": "TooManyRequestsException"})
    ok = make_reply({"statusCode": 200, "headers": {}, "body": "{}"})
    replies = [throttled, throttled, ok]
    hook.functions.answers[f"{FUNCTIONS['ListResources']}:2"] = lambda _: replies.pop(0)
    assert hook.run("ListResources") == ["Succeeded"]
    assert replies == []


@pytest.mark.parametrize(
    ("app_spec", "reason"),
    [
        ("", "names no version"),
        ("version: 0.0", "names no version"),
        ('{"Resources": []}', "names no version"),
        (write_app_spec("another-function", "2"), "The stack has no function another-function"),
    ],
    ids=["empty", "YAML", "no function", "another stack's function"],
)
def test_what_cannot_be_tried_may_not_serve(hook: Hook, capfd: Any, app_spec: str, reason: str) -> None:
    hook.roll_out.app_spec = app_spec or " "
    assert hook.run("ListResources") == ["Failed"]
    assert reason in capfd.readouterr().out
    assert hook.functions.called == []


def test_a_function_without_a_fixture_may_not_serve(hook: Hook, capfd: Any) -> None:
    hook.names = FUNCTIONS | {"NoFixture": "api-NoFixture-A1B2C3"}
    hook.roll_out.resources = list_stack_resources(hook.names)
    assert hook.run("NoFixture") == ["Failed"]
    assert "has no event fixture with a route" in capfd.readouterr().out


def test_another_stack_is_not_asked_about(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK_ID", "another")
    assert hook.run("ListResources") == ["Failed"]


def test_no_version_is_tried_without_the_time_to_report(hook: Hook) -> None:
    assert hook.run("ListResources", Context()) == ["Failed"]
    assert hook.functions.called == []


@pytest.fixture(scope="module")
def run_with_sixty_routes(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The hook as it is built, with the fixtures of twelve nouns of five routes; the first has no DELETE."""
    build = tmp_path_factory.mktemp("built") / "hook"
    shutil.copytree(ROOT / "functions/verify_versions", build)
    (build / "events").mkdir()
    for number in range(12):
        for method, path, name in make_routes(number):
            event = {
                "routeKey": f"{method} {path}",
                "headers": {},
                "requestContext": {"http": {}, "authorizer": {"jwt": {"claims": {}}}},
                "pathParameters": {"id": "of-the-fixture"},
                "body": "{}" if method in ("POST", "PUT") else None,
            }
            (build / "events" / f"{name}.json").write_text(json.dumps(event))
    with load_hook(build) as run:
        yield run


def make_routes(number: int) -> list[tuple[str, str, str]]:
    collection = f"/nouns{number}"
    delete = ("DELETE", f"{collection}/{{id}}", f"delete_noun{number}")
    count = ("GET", f"{collection}/count", f"count_nouns{number}")
    return [
        ("POST", collection, f"create_noun{number}"),
        ("GET", collection, f"list_nouns{number}"),
        ("GET", f"{collection}/{{id}}", f"get_noun{number}"),
        ("PUT", f"{collection}/{{id}}", f"update_noun{number}"),
        delete if number else count,
    ]


class Nouns:
    """The routes' functions: things are there by their ID after a POST, until a DELETE."""

    def __init__(self) -> None:
        self.things: set[str] = set()
        self.count = 0

    def handle(self, event: Any, _context: Any) -> dict[str, Any]:
        method, path = event["routeKey"].split()
        if event["body"] == "{":
            return {"statusCode": 400, "body": "no JSON"}
        if method == "POST":
            self.count += 1
            new = f"{event['rawPath']}/{self.count}"
            self.things.add(new)
            return {"statusCode": 201, "headers": {"Location": new}}
        if path.endswith("}") and event["rawPath"] not in self.things:
            return {"statusCode": 404, "body": ""}
        if method == "DELETE":
            self.things.discard(event["rawPath"])
        return {"statusCode": 200, "body": "{}"}


@pytest.mark.parametrize("number", [0, 11])
@pytest.mark.parametrize("index", range(5))
def test_with_sixty_routes_a_pass_takes_a_handful(run_with_sixty_routes: Run, number: int, index: int) -> None:
    nouns = Nouns()
    routes = [route for noun in range(12) for route in make_routes(noun)]
    names = {name.title().replace("_", ""): f"api-{name}" for _, _, name in routes}
    hook = Hook(run_with_sixty_routes, Lambda(dict.fromkeys(names.values(), nouns.handle)), names)
    _, _, name = make_routes(number)[index]
    assert hook.run(name.title().replace("_", "")) == ["Succeeded"]
    assert nouns.things == set()
    assert any(call.startswith("2 ") for call in hook.functions.called)
    assert len(hook.functions.called) <= 6
    assert all(call.split()[2].startswith(f"/nouns{number}") for call in hook.functions.called)
    if number == 0:
        assert not nouns.count, "what nothing deletes is not created"
