"""Bodies, parameters and headers that try to break their reader, through the gateway and at the functions alone."""

import gzip
import json
from decimal import Decimal
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.security.doors import Door
from tests.support.bodies import Attack, list_attacks
from tests.support.cases import combine, each
from tests.support.items import call, find_path, read_state
from tests.support.stack import SUCCESS, Route, list_creators, select_routes

WITH_BODY = select_routes(lambda route: route.model)
READS = select_routes(lambda route: route.method == "GET" and route.creator)


@each(lambda route: route.model)
def test_the_fixture_has_every_property_of_its_model(route: Route) -> None:
    # Only then do the attacks reach each of them.
    assert route.model
    assert route.body.keys() == route.model["properties"].keys()


def holds(found: Any, sent: Any) -> bool:
    """Whether a value has everything that a merge patch has set."""
    if not isinstance(sent, dict):
        return bool(found == sent)
    return all(name in found and holds(found[name], value) for name, value in sent.items())


@pytest.mark.parametrize(
    ("route", "attack"),
    [
        pytest.param(route, attack, id=f"{route.key}-{name}-{attack.expected}")
        for route in WITH_BODY
        for name, attack in list_attacks(route).items()
    ],
)
def test_body(door: Door, attacker: str, route: Route, attack: Attack) -> None:
    send = partial(door.send, attacker)
    path = find_path(route, send)
    after = read_state(route, send, path)
    for content, named in attack.contents:
        before = after
        answer = send(route.method, path, body=content)
        assert answer.status == route.resolve(attack.expected), (content[:200], answer.body[:500])
        assert answer.headers["content-type"] == "application/json"
        after = read_state(route, send, path)
        if attack.expected != SUCCESS:
            assert answer.json()["error"]
            assert named is None or [field for field in answer.problems if field.startswith(named)], answer.body
            # moto keeps a part of an update that it then rejects as too large; DynamoDB does not.
            assert after == before or (answer.status == 413 and route.method != "POST")
            continue
        sent = json.loads(content, parse_float=Decimal)
        assert holds(answer.json(), sent) if route.method == "PATCH" else answer.json() | sent == answer.json()
        assert route.page is None or answer.json() in after


# A page of another origin may send some of these without a preflight.
MEDIA_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/xml",
    "application/json; charset=utf-7",
    "multipart/form-data; boundary=x",
)


@pytest.mark.parametrize(
    ("route", "content_type", "expected"),
    combine(
        WITH_BODY,
        dict.fromkeys(MEDIA_TYPES, 400),
    ),
)
def test_media_type(door: Door, attacker: str, route: Route, content_type: str, expected: int) -> None:
    send = partial(door.send, attacker)
    answer = call(route, send, headers={"Content-Type": content_type}, body=json.dumps(route.body))
    assert (answer.status, list(answer.problems)) == (expected, ["Content-Type"])


@cache
def compress_spaces() -> bytes:
    """A small body that becomes a large one."""
    return gzip.compress(b" " * 50_000_000)


@pytest.mark.parametrize(("route", "coding", "expected"), combine(WITH_BODY, dict.fromkeys(("gzip", "br"), 415)))
def test_coding(door: Door, attacker: str, route: Route, coding: str, expected: int) -> None:
    send = partial(door.send, attacker)
    path = find_path(route, send)
    before = read_state(route, send, path)
    bomb = compress_spaces() + gzip.compress(json.dumps(route.body).encode())
    answer = send(route.method, path, headers={"Content-Encoding": coding}, body=bomb)
    assert (answer.status, list(answer.problems)) == (expected, ["Content-Encoding"])
    assert read_state(route, send, path) == before


LIMITS = {
    "of 0": ("0", 400),
    "below 0": ("-1", 400),
    "with an exponent": ("1e3", 400),
    "that is empty": ("", 400),
    "in digits of another script": ("\u0661", 400),
    "with a semicolon": ("1;2", 400),
    "of 5,000 digits": ("9" * 5_000, SUCCESS),
}


@pytest.mark.parametrize(
    ("route", "limit", "expected"), combine(select_routes(lambda route: route.takes("limit")), LIMITS)
)
def test_limit(door: Door, attacker: str, route: Route, limit: str, expected: str | int) -> None:
    assert call(route, partial(door.send, attacker), query={"limit": limit}).status == route.resolve(expected)


FORWARDING_HEADERS = {
    "another host in X-Forwarded-Host": ({"X-Forwarded-Host": "evil.example.com", "Forwarded": "host=evil"}, SUCCESS),
    "a path in X-Original-URL": ({"X-Original-URL": "//evil.example.com", "X-Rewrite-URL": "/admin"}, SUCCESS),
    "another prefix": ({"X-Forwarded-Prefix": "//evil.example.com", "X-Forwarded-Proto": "javascript"}, SUCCESS),
}


@pytest.mark.parametrize(("route", "headers", "expected"), combine(list_creators(), FORWARDING_HEADERS))
def test_location(door: Door, attacker: str, route: Route, headers: dict[str, str], expected: str) -> None:
    send = partial(door.send, attacker)
    path = find_path(route, send)
    answer = send(route.method, path, headers=headers, body=route.body)
    assert answer.status == route.resolve(expected)
    location = answer.headers["location"]
    assert urlsplit(location)._replace(path="").geturl() == "", "the path alone, so the host stays"
    assert location == f"{path}/{answer.json()['id']}"


@pytest.mark.parametrize(
    ("route", "name", "expected"),
    combine(
        READS,
        dict.fromkeys(("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"), SUCCESS),
    ),
)
def test_method_in_a_header(door: Door, attacker: str, route: Route, name: str, expected: str) -> None:
    send = partial(door.send, attacker)
    path = find_path(route, send)
    for _ in range(2):
        assert send(route.method, path, headers={name: "DELETE"}).status == route.resolve(expected)
