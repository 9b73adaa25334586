"""What a model forbids is rejected by the gateway, before a function starts."""

import json
from typing import Any

import pytest

from local_engine.testing import EngineProcess
from tests.support.internal import JSON, InternalClient, has_started_function, invoke, list_internal_routes
from tests.support.stack import Route

pytestmark = pytest.mark.example_fields

WRITES = [route for route in list_internal_routes() if route.method in ("POST", "PUT")]
THING = '{"name": "thing", "type": "A"'
BODIES = {
    "text": "thing",
    "half of an object": '{"name": "thing"',
    "two objects": THING + "}" + THING + "}",
    "a comma too many": THING + ",}",
    "single quotes": THING.replace('"', "'") + "}",
    "a constant that is not JSON": THING + ', "metadata": {"a": NaN}}',
    "a list": "[" + THING + "}]",
    "a string": '"thing"',
    "a number": "1",
    "null": "null",
    "an empty object": "{}",
    "no name": '{"type": "A"}',
    "no type": '{"name": "thing"}',
    "an empty name": '{"name": "", "type": "A"}',
    "a name of 101 characters": json.dumps({"name": "x" * 101, "type": "A"}),
    "a number as a name": '{"name": 1, "type": "A"}',
    "null as a name": '{"name": null, "type": "A"}',
    "an unknown type": '{"name": "thing", "type": "D"}',
    "a type in lower case": '{"name": "thing", "type": "a"}',
    "a list as metadata": THING + ', "metadata": []}',
    "text as metadata": THING + ', "metadata": "a"}',
    "an unknown property": THING + ', "owner": "bob"}',
}


def ask_function(engine: EngineProcess, route: Route, content: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """The function's own answer to the event of a request."""
    repeated = {name: [value] for name, value in headers.items()}
    event = {**route.load_event(), "body": content.decode(), "headers": headers, "multiValueHeaders": repeated}
    answer = invoke(engine, route, event)
    return {"status": answer["statusCode"], **json.loads(answer["body"])}


@pytest.mark.parametrize("route", WRITES, ids=lambda route: route.key)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_violates_the_model(
    local_engine: EngineProcess, caller: InternalClient, route: Route, body: str
) -> None:
    check(local_engine, caller, route, body.encode(), JSON)


@pytest.mark.parametrize("route", WRITES, ids=lambda route: route.key)
def test_a_body_of_no_declared_type(local_engine: EngineProcess, caller: InternalClient, route: Route) -> None:
    check(local_engine, caller, route, (THING + "}").encode(), {"content-type": ""})


def check(engine: EngineProcess, caller: InternalClient, route: Route, content: bytes, headers: dict[str, str]) -> None:
    request = caller.sign(route.method, route.fill(), headers=headers, content=content)
    answer = caller.http.send(request)
    assert not has_started_function(engine, answer)
    rejected = {"status": answer.status_code, **answer.json()}
    assert rejected.pop("requestId") == answer.headers["x-amzn-requestid"]
    own = ask_function(engine, route, content, headers)
    # The function says what is wrong in detail. The gateway could not: it does not escape its own words.
    assert own.pop("details")
    del own["requestId"]
    assert rejected == own == {"status": 400, "error": "The request is not valid"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("route", WRITES, ids=lambda route: route.key)
def test_bytes_that_are_not_utf8_are_the_functions_to_reject(
    local_engine: EngineProcess, caller: InternalClient, route: Route
) -> None:
    content = b'{"name": "\xff", "type": "A"}'
    answer = caller.http.send(caller.sign(route.method, route.fill(), headers=JSON, content=content))
    assert has_started_function(local_engine, answer)
    details = [{"field": "body", "problem": "is not UTF-8 text"}]
    assert (answer.status_code, answer.json()["details"]) == (400, details)


def test_the_character_in_their_place_can_be_sent_as_an_escape(caller: InternalClient) -> None:
    content = b'{"name": "\\ufffd", "type": "A"}'
    answer = caller.http.send(caller.sign("POST", "/users/escape/resources", headers=JSON, content=content))
    assert (answer.status_code, answer.json()["name"]) == (201, "\ufffd")


@pytest.mark.parametrize("route", WRITES, ids=lambda route: route.key)
def test_a_body_of_another_type_is_the_functions_to_reject(
    local_engine: EngineProcess, caller: InternalClient, route: Route
) -> None:
    request = caller.sign(route.method, route.fill(), headers={"content-type": "text/plain"}, content=b"thing")
    answer = caller.http.send(request)
    assert has_started_function(local_engine, answer)
    assert (answer.status_code, [problem["field"] for problem in answer.json()["details"]]) == (400, ["Content-Type"])
