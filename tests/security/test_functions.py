"""Functions alone, with events that bypassed the gateway's authorizer or are broken."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.cases import ROUTES, combine
from tests.support.gateway import ENVIRONMENT, Gateway
from tests.support.matrix import EVERY_SCOPE
from tests.support.stack import ROOT, Route, list_routes, list_scopes, select_routes

GOOD = {"sub": "mallory", "scope": EVERY_SCOPE}

type Event = dict[str, Any]


def authorized_by(authorizer: Any) -> Callable[[Event], None]:
    """Put a value where the gateway's authorizer writes."""

    def change(event: Event) -> None:
        event["requestContext"]["authorizer"] = authorizer

    return change


def with_jwt(claims: Any, scopes: Any = None) -> Callable[[Event], None]:
    return authorized_by({"jwt": {"claims": claims, "scopes": scopes}})


def without(name: str) -> Callable[[Event], None]:
    return lambda event: event.pop(name)


def without_authorizer(event: Event) -> None:
    del event["requestContext"]["authorizer"]


IDENTITIES: dict[str, tuple[Callable[[Event], object], int]] = {
    "no authorizer": (without_authorizer, 401),
    "no requestContext": (without("requestContext"), 401),
    "an authorizer of null": (authorized_by(None), 401),
    "an authorizer without a JWT": (authorized_by({}), 401),
    "the claims of a REST API": (authorized_by({"claims": GOOD}), 401),
    "a Lambda authorizer's context": (authorized_by({"lambda": GOOD}), 401),
    "an IAM caller": (authorized_by({"iam": {"userArn": "arn:aws:iam::123456789012:user/mallory"}}), 401),
    "claims of null": (with_jwt(None, [*list_scopes()]), 401),
    "no claims": (with_jwt({}, [*list_scopes()]), 401),
    "claims without sub": (with_jwt({"scope": EVERY_SCOPE}), 401),
    "an empty sub": (with_jwt({**GOOD, "sub": ""}), 401),
    "a sub of 256 characters": (with_jwt({**GOOD, "sub": "x" * 256}), 401),
    "a sub of null": (with_jwt({**GOOD, "sub": None}), 401),
    "a sub that is a number": (with_jwt({**GOOD, "sub": 7}), 401),
    "a sub that is a list": (with_jwt({**GOOD, "sub": ["mallory"]}), 401),
    "a sub that is an object": (with_jwt({**GOOD, "sub": {"S": "mallory"}}), 401),
    "a sub with half a surrogate pair": (with_jwt({**GOOD, "sub": "\ud800"}), 401),
    "claims that are a list": (with_jwt([GOOD]), 400),
    "claims that are text": (with_jwt("sub=mallory"), 400),
    # pragma: allowlist nextline secret
    "a JWT that is text": (authorized_by({"jwt": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."}), 400),
    "no scopes": (with_jwt({"sub": "mallory"}), 403),
    "an empty list of scopes": (with_jwt({"sub": "mallory"}, []), 403),
    "scopes that are text": (with_jwt({"sub": "mallory"}, EVERY_SCOPE), 400),
    "scopes that are an object": (with_jwt({"sub": "mallory"}, dict.fromkeys(list_scopes(), True)), 400),
    "scopes in a nested list": (with_jwt({"sub": "mallory"}, [[*list_scopes()]]), 400),
    "a scope that starts alike": (with_jwt({"sub": "mallory", "scope": EVERY_SCOPE.replace(" ", "x ") + "x"}), 403),
    "scopes in other case": (with_jwt({"sub": "mallory", "scope": EVERY_SCOPE.upper()}), 403),
    "scopes between commas": (with_jwt({"sub": "mallory", "scope": EVERY_SCOPE.replace(" ", ",")}), 403),
}


@pytest.mark.parametrize(
    ("change", "status"), [pytest.param(*attack, id=f"{name}-{attack[1]}") for name, attack in IDENTITIES.items()]
)
@ROUTES
def test_identity(functions: Gateway, route: Route, change: Callable[[Event], object], status: int) -> None:
    # Only the gateway reads the token itself.
    headers = {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."}
    event = functions.make_event(route.method, route.fill(), headers=headers, body=route.body)
    change(event)
    answer = functions.invoke(event)
    assert (answer.status, set(answer.json()) - {"details"}) == (status, {"error", "requestId"})


PARTS: dict[str, tuple[dict[str, Any], int]] = {
    "headers of null": ({"headers": None}, 400),
    "headers that are a list": ({"headers": [["content-type", "application/json"]]}, 400),
    "a header that is a number": ({"headers": {"content-type": 7}}, 400),
    "a body that is an object": ({"body": {}}, 400),
    "a body that is a list": ({"body": [1]}, 400),
    "a body that is a number": ({"body": 7}, 400),
    "a body that is not base64": ({"body": "!", "isBase64Encoded": True}, 400),
    "base64 of what is no UTF-8": ({"body": "//4=", "isBase64Encoded": True}, 400),
    "isBase64Encoded as text": ({"isBase64Encoded": "false"}, 400),
}


@pytest.mark.parametrize(
    ("route", "parts", "status"),
    [
        *combine(select_routes(lambda route: route.model), PARTS),
        *combine(select_routes(lambda route: route.needs_body), {"a body of null": ({"body": None}, 400)}),
    ],
)
def test_event(functions: Gateway, route: Route, parts: Event, status: int) -> None:
    answer = functions.invoke({**functions.make_event(route.method, route.fill(), body=route.body), **parts})
    assert (answer.status, set(answer.json()) - {"details"}) == (status, {"error", "requestId"})


@ROUTES
def test_a_deployed_function_asks_no_issuer(route: Route) -> None:
    assert_does_not_start(route, {})


@pytest.mark.parametrize("flag", ["", "false", "True", "1"], ids=repr)
def test_no_issuer_is_asked_unless_sam_local_is_set_to_true(flag: str) -> None:
    assert_does_not_start(list_routes()[0], {"AWS_SAM_LOCAL": flag})


def assert_does_not_start(route: Route, variables: dict[str, str]) -> None:
    # In its own process, because the environment must not start at all.
    environment = {
        **ENVIRONMENT,
        **variables,
        "TOKEN_INTROSPECTION_URL": "http://127.0.0.1:9/introspect",
        "PYTHONPATH": f"{route.folder}:{ROOT / 'layers/shared'}",
    }
    command = [sys.executable, "-c", "import app"]
    started = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert started.returncode != 0
    assert "TOKEN_INTROSPECTION_URL is set outside `sam local`" in started.stderr
