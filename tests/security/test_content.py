"""Bodies and headers that try to break what reads them, through the gateway and at the functions alone."""

import json
import re
from typing import Any

import pytest

from tests.security.doors import INPUT, RESOURCES, Door


def with_metadata(text: str) -> str:
    return f'{{"name":"x","type":"A","metadata":{text}}}'


def nest(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


BODIES: dict[str, tuple[str | bytes, int]] = {
    "metadata nested 50 deep": (with_metadata(nest(50)), 201),
    "metadata nested 1,000 deep": (with_metadata(nest(1_000)), 400),
    "arrays nested 100,000 deep": (with_metadata('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), 400),
    "100,000 open brackets": ("[" * 100_000, 400),
    "10,000 keys": (with_metadata(json.dumps({f"key{number}": number for number in range(10_000)})), 201),
    "__proto__ and its like": (
        with_metadata('{"__proto__":{"admin":true},"constructor":{"prototype":{}},"__class__":"x"}'),
        201,
    ),
    "half a surrogate pair in metadata": (with_metadata('{"a":"\\ud800"}'), 400),
    "half a surrogate pair in a key": (with_metadata('{"\\udfff":1}'), 400),
    "half a surrogate pair in the name": ('{"name":"\\ud83d","type":"A"}', 400),
    "surrogates encoded in UTF-8": (b'{"name":"\xed\xa0\x80","type":"A"}', 400),
    "NUL in the name": ('{"name":"a\\u0000b","type":"A"}', 201),
    "NUL in metadata": (with_metadata('{"a\\u0000b":"\\u0000"}'), 201),
    "a raw NUL": ('{"name":"a\0b","type":"A"}', 400),
    "control characters and bidi marks in the name": ('{"name":"\\r\\n\\u001b[31m\\u202e","type":"A"}', 201),
    "overlong UTF-8": (b'{"name":"\xc0\xaf","type":"A"}', 400),
    "UTF-16": ('{"name":"x","type":"A"}'.encode("utf-16"), 400),
    "NaN": (with_metadata('{"n":NaN}'), 400),
    "a number of 5,000 digits": (with_metadata('{"n":' + "9" * 5_000 + "}"), 400),
    "an exponent of 20 digits": (with_metadata('{"n":1e99999999999999999999}'), 400),
    "an array for the body": ("[]", 400),
    "text for the body": ('"x"', 400),
    "null for the body": ("null", 400),
    "no body": ("", 400),
    "a list for the name": ('{"name":["x"],"type":"A"}', 400),
    "an object for the type": ('{"name":"x","type":{"$ne":null}}', 400),
    "metadata as text": (with_metadata('"{}"'), 400),
    "a name of 101 characters": (json.dumps({"name": "x" * 101, "type": "A"}), 400),
    "an item over 400 KB": (with_metadata(json.dumps({"text": "x" * 420_000})), 413),
}


@pytest.mark.parametrize(
    ("body", "status"), [pytest.param(*attack, id=f"{name}-{attack[1]}") for name, attack in BODIES.items()]
)
def test_body(door: Door, attacker: str, body: str | bytes, status: int) -> None:
    created = door.send(attacker, "POST", body=body)
    assert created.status == status, created.body[:500]
    page = door.send(attacker, "GET")
    if status != 201:
        assert created.json()["error"]
        assert page.json()["count"] == 0
        return
    sent = json.loads(body)
    (kept,) = page.json()["resources"]
    assert kept == created.json()
    assert {name: kept[name] for name in sent} == sent


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 400),
        ("application/x-www-form-urlencoded", 400),
        ("application/xml", 400),
        ("application/json; charset=utf-7", 400),
        ("multipart/form-data; boundary=x", 400),
    ],
)
def test_media_type(door: Door, attacker: str, content_type: str, status: int) -> None:
    # What a page of another origin may send without a preflight is among them.
    answer = door.send(attacker, "POST", headers={"Content-Type": content_type}, body=json.dumps(INPUT))
    assert (answer.status, list(answer.problems)) == (status, ["Content-Type"])


LIMITS = {
    "of 0": ("0", 400),
    "below 0": ("-1", 400),
    "with an exponent": ("1e3", 400),
    "that is empty": ("", 400),
    "in digits of another script": ("\u0661", 400),
    "with a semicolon": ("1;2", 400),
    "of 5,000 digits": ("9" * 5_000, 200),
}


@pytest.mark.parametrize(
    ("limit", "status"), [pytest.param(*attack, id=f"{name}-{attack[1]}") for name, attack in LIMITS.items()]
)
def test_limit(door: Door, attacker: str, limit: str, status: int) -> None:
    assert door.send(attacker, "GET", query={"limit": limit}).status == status


LOCATION = re.compile(rf"{RESOURCES}/[0-9a-f-]{{36}}")
REDIRECTIONS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "a line break in the name": ({}, {"name": "x\r\nLocation: https://evil.example.com", "type": "A"}),
    "another host in X-Forwarded-Host": ({"X-Forwarded-Host": "evil.example.com", "Forwarded": "host=evil"}, INPUT),
    "a path in X-Original-URL": ({"X-Original-URL": "//evil.example.com", "X-Rewrite-URL": "/admin"}, INPUT),
    "another prefix": ({"X-Forwarded-Prefix": "//evil.example.com", "X-Forwarded-Proto": "javascript"}, INPUT),
}


@pytest.mark.parametrize(("injected", "status"), [(name, 201) for name in REDIRECTIONS])
def test_location(door: Door, attacker: str, injected: str, status: int) -> None:
    headers, body = REDIRECTIONS[injected]
    answer = door.send(attacker, "POST", headers=headers, body=body)
    assert answer.status == status
    assert LOCATION.fullmatch(answer.headers["location"])
    assert door.send(attacker, "GET", answer.headers["location"]).status == 200


@pytest.mark.parametrize(
    ("name", "status"), [("X-HTTP-Method-Override", 200), ("X-HTTP-Method", 200), ("X-Method-Override", 200)]
)
def test_method_in_a_header(door: Door, attacker: str, name: str, status: int) -> None:
    path = door.send(attacker, "POST", body=INPUT).headers["location"]
    assert door.send(attacker, "GET", path, headers={name: "DELETE"}).status == status
    assert door.send(attacker, "GET", path).status == 200
