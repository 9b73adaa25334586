"""The internal API: it takes requests that a principal of IAM has signed and may send, and no others."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from local_engine.testing import EngineProcess
from tests.support.internal import (
    BODY,
    EVERYTHING,
    InternalClient,
    allow,
    has_started_function,
    invoke,
    list_internal_routes,
    make_principal,
    with_wrong_key,
)
from tests.support.stack import SUCCESS, Route

OWNER = "ann"
SUCCESSES = {"GET": 200, "POST": 201, "PUT": 200, "DELETE": 204}
routes = pytest.mark.parametrize("route", list_internal_routes(), ids=lambda route: route.key)
type Sign = Callable[[InternalClient, str, str, object], httpx.Request]


@pytest.fixture(scope="module")
def caller(engine: EngineProcess) -> InternalClient:
    return InternalClient(engine, make_principal("internal-caller", EVERYTHING))


@pytest.fixture(scope="module")
def stranger(engine: EngineProcess) -> InternalClient:
    """A principal that may use every route about another user."""
    return InternalClient(engine, make_principal("internal-stranger", allow("*/users/bob/*")))


def unsigned(client: InternalClient, method: str, path: str, body: object) -> httpx.Request:
    request = client.sign(method, path, body)
    kept = {name: value for name, value in request.headers.items() if name in ("host", "content-type")}
    return httpx.Request(method, request.url, content=request.content, headers=kept)


def signed_with(**changes: object) -> Sign:
    def sign(client: InternalClient, method: str, path: str, body: object) -> httpx.Request:
        changed = InternalClient.__new__(InternalClient)
        changed.principal, changed.http = replace(client.principal, **changes), client.http  # type: ignore[arg-type]
        return changed.sign(method, path, body)

    return sign


def with_other_secret(client: InternalClient, method: str, path: str, body: object) -> httpx.Request:
    return signed_with(key=with_wrong_key(client.principal).key)(client, method, path, body)


def with_unknown_key(client: InternalClient, method: str, path: str, body: object) -> httpx.Request:
    return signed_with(key=replace(client.principal.key, access_key_id="AKIA" + "A" * 16))(client, method, path, body)


def altered(client: InternalClient, method: str, path: str, body: object) -> httpx.Request:
    request = client.sign(method, path, body)
    content = json.dumps({**BODY, "name": "altered"}).encode()
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    return httpx.Request(method, request.url, content=content, headers=headers)


def moved(client: InternalClient, method: str, path: str, body: object) -> httpx.Request:
    request = client.sign(method, path.replace(OWNER, "bob"), body)
    url = str(request.url).replace("/users/bob/", f"/users/{OWNER}/")
    return httpx.Request(method, url, content=request.content, headers=request.headers)


def prepare(caller: InternalClient, route: Route) -> tuple[str, object]:
    """Path and body of a request of a route, about an item that exists."""
    path = caller.create(OWNER) if "{id}" in route.path else f"/users/{OWNER}/resources"
    return path, BODY if route.method in ("POST", "PUT") else None


LONG_AGO = (datetime.now(UTC) - timedelta(minutes=20)).strftime("%Y%m%dT%H%M%SZ")
SIGNATURES: Mapping[str, tuple[Sign, str | int]] = {
    "unsigned": (unsigned, 403),
    "wrong key": (with_other_secret, 403),
    "unknown key": (with_unknown_key, 403),
    "wrong region": (signed_with(region="eu-west-1"), 403),
    "old date": (signed_with(moment=LONG_AGO), 403),
    "altered body": (altered, 403),
    "signed for another user's path": (moved, 403),
    "right": (InternalClient.sign, SUCCESS),
}


@routes
@pytest.mark.parametrize(
    ("sign", "expected"), [pytest.param(*case, id=f"{name}-{case[1]}") for name, case in SIGNATURES.items()]
)
def test_signature(
    engine: EngineProcess, caller: InternalClient, route: Route, sign: Sign, expected: str | int
) -> None:
    path, body = prepare(caller, route)
    answer = caller.http.send(sign(caller, route.method, path, body))
    if expected == SUCCESS:
        assert answer.status_code == SUCCESSES[route.method], answer.text
        assert has_started_function(engine, answer)
        return
    assert (answer.status_code, answer.json().keys()) == (expected, {"error", "requestId"})
    assert not has_started_function(engine, answer)


@routes
def test_a_principal_whose_policy_does_not_name_the_path(
    engine: EngineProcess, caller: InternalClient, stranger: InternalClient, route: Route
) -> None:
    path, body = prepare(caller, route)
    answer = stranger.send(route.method, path, body)
    assert (answer.status_code, answer.json().keys()) == (403, {"error", "requestId"})
    assert "is not authorized to perform: execute-api:Invoke" in answer.json()["error"]
    assert not has_started_function(engine, answer)
    assert stranger.send("GET", "/users/bob/resources").status_code == 200


@pytest.mark.parametrize("allowed", list_internal_routes(), ids=lambda route: route.key)
def test_a_policy_for_one_route_allows_no_other(engine: EngineProcess, caller: InternalClient, allowed: Route) -> None:
    resource = f"{allowed.method}{allowed.path}".replace("{subject}", OWNER).replace("{id}", "*")
    client = InternalClient(engine, make_principal(f"one-route-{allowed.folder.name}", allow(resource)))
    path = caller.create(OWNER)
    for route in list_internal_routes():
        target = path if "{id}" in route.path else f"/users/{OWNER}/resources"
        answer = client.send(route.method, target, BODY if route.method in ("POST", "PUT") else None)
        assert (answer.status_code == 403) == (route != allowed), answer.text


SPELLINGS = {
    "an escape that needs none": "%61nn",
    "an escape in lower case": "%c3%a9",
    "an escape of bytes that are no text": "%FF",
    "a bar": "a|b",
    "a colon": "a:b",
    "a slash": "ann%2Fresources",
    "256 characters": "x" * 256,
}


@pytest.mark.parametrize("written", SPELLINGS.values(), ids=SPELLINGS)
def test_an_owner_has_one_spelling_in_paths(caller: InternalClient, written: str) -> None:
    answer = caller.send("GET", f"/users/{written}/resources")
    assert answer.status_code == 400
    assert [problem["field"] for problem in answer.json()["details"]] == ["subject"]


def test_a_slash_at_the_end_leads_nowhere(caller: InternalClient) -> None:
    path = caller.create(OWNER)
    for method, target in (("GET", path), ("GET", f"/users/{OWNER}/resources"), ("POST", f"/users/{OWNER}/resources")):
        answer = caller.send(method, f"{target}/", BODY if method == "POST" else None)
        assert answer.status_code == 404, answer.text


def test_a_repeated_header_is_refused(caller: InternalClient) -> None:
    request = caller.sign("POST", f"/users/{OWNER}/resources", BODY)
    request.headers = httpx.Headers(
        [*request.headers.multi_items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )
    answer = caller.http.send(request)
    assert [problem["field"] for problem in answer.json()["details"]] == ["Idempotency-Key"]


SUBJECTS = {
    "#": "i%23j",
    "the form of a key": "user%23ian",
    "a percent sign": "i%252Fj",
    "a letter with an accent": "%C3%AE",
    "255 characters": "i" * 255,
}


@pytest.mark.parametrize("written", SUBJECTS.values(), ids=SUBJECTS)
def test_a_page_holds_the_owners_items_alone(caller: InternalClient, written: str) -> None:
    own, other = caller.create(written), caller.create(OWNER)
    page = caller.send("GET", f"/users/{written}/resources?limit=100").text
    assert own.rpartition("/")[2] in page
    assert other.rpartition("/")[2] not in page
    # Another owner's item is not found below this path, whatever the method.
    answer = caller.send("GET", f"/users/{written}/resources/{other.rpartition('/')[2]}")
    assert answer.status_code == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("PATCH", "/users/ann/resources")])
def test_what_is_no_internal_route_is_rejected(caller: InternalClient, method: str, path: str) -> None:
    answer = caller.send(method, path)
    assert (answer.status_code, answer.json().keys()) == (403, {"error", "requestId"})


def test_a_token_of_a_user_is_no_signature(engine: EngineProcess, caller: InternalClient) -> None:
    headers = {"Authorization": f"Bearer {engine.mint_token('read:resources', subject=OWNER)}"}
    assert caller.http.get(f"/users/{OWNER}/resources", headers=headers).status_code == 403


def test_without_the_gateways_word_a_function_answers_401(engine: EngineProcess) -> None:
    for route in list_internal_routes():
        event = route.load_event()
        del event["requestContext"]["identity"]["userArn"]
        assert invoke(engine, route, event)["statusCode"] == 401
