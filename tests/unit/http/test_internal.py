"""Handlers of signed requests: who owns what a request is about, and who writes."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.support.gateway import Context, import_functions

type Call = Callable[..., dict[str, Any]]

USER = "arn:aws:iam::123456789012:user/nightly"
SESSION = "arn:aws:sts::123456789012:assumed-role/Nightly/ann@example.com"


def make_event(
    written: str = "ann", principal: str | None = USER, method: str = "GET", end: str = ""
) -> dict[str, Any]:
    return {
        "httpMethod": method,
        "resource": "/users/{subject}/widgets",
        "path": f"/users/{written}/widgets{end}",
        "pathParameters": {"subject": written},
        "multiValueHeaders": {"X-Correlation-Id": ["mine"]},
        "requestContext": {"requestId": "request-1", "requestTimeEpoch": 1, "identity": {"userArn": principal}},
    }


@pytest.fixture
def call() -> Iterator[Call]:
    """Calls a handler that tells the owner, and where writes come from."""
    with import_functions():
        from serverless_api import Request, Response, internal_endpoint

        @internal_endpoint
        def handler(request: Request) -> Response:
            origin = request.caller.origin
            return Response(200, {"owner": request.caller.subject, "door": origin.door, "actor": origin.actor})

        yield lambda *arguments, **options: handler(make_event(*arguments, **options), Context())


def read(answer: Mapping[str, Any]) -> Any:
    return json.loads(answer["body"])


@pytest.mark.parametrize(
    ("principal", "actor"), [(USER, USER), (SESSION, "arn:aws:sts::123456789012:assumed-role/Nightly")]
)
def test_the_path_names_the_owner_and_the_signature_the_writer(call: Call, principal: str, actor: str) -> None:
    assert read(call("auth0%7C1", principal)) == {"owner": "auth0|1", "door": "internal", "actor": actor}


@pytest.mark.parametrize("principal", [None, ""])
def test_an_event_without_a_verified_signature_is_rejected(call: Call, principal: str | None) -> None:
    assert call("ann", principal)["statusCode"] == 401


@pytest.mark.parametrize("written", ["", "a|b", "%61nn", "%c3%a9", "%FF", "ann%2Fwidgets", "x" * 256])
def test_a_subject_has_one_spelling_and_no_slash(call: Call, written: str) -> None:
    answer = call(written)
    assert (answer["statusCode"], [problem["field"] for problem in read(answer)["details"]]) == (400, ["subject"])


def test_a_path_with_a_slash_at_its_end_is_no_route(call: Call) -> None:
    assert call("ann", end="/")["statusCode"] == 404


@pytest.mark.parametrize(("method", "echoed"), [("GET", None), ("POST", "mine")])
def test_a_response_that_may_be_kept_names_no_request(call: Call, method: str, echoed: str | None) -> None:
    assert call("ann", method=method)["headers"].get("X-Correlation-Id") == echoed


def test_an_item_names_its_writer_and_the_principal_of_a_signed_request() -> None:
    with import_functions():
        from serverless_api import Origin

        assert Origin("api", "request-1", 5).to_attribute() == {"door": "api", "request": "request-1", "at": 5}
        assert Origin("internal", "request-1", 5, USER).to_attribute()["actor"] == USER
