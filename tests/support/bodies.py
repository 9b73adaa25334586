"""Request bodies that follow from a route's model and fixture: another valid one, broken ones and awkward ones.

A fragment of JSON text takes the place of a value of the fixture's body, so that everything around it is valid.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.stack import SUCCESS, Route

_MARK = "\ue000"
_UNLIMITED = 10**9


@dataclass(frozen=True)
class Place:
    """A value in the fixture's body, and the schema that the model has for it."""

    path: tuple[str | int, ...]
    schema: Mapping[str, Any]
    value: Any

    @property
    def is_free_text(self) -> bool:
        return self.schema.get("type") == "string" and not self.schema.keys() & {"enum", "format", "pattern"}

    @property
    def is_free_object(self) -> bool:
        return self.schema.get("type") == "object" and "properties" not in self.schema

    @property
    def is_date(self) -> bool:
        return self.schema.get("type") == "string" and re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", self.value) is not None

    @property
    def is_number(self) -> bool:
        return self.schema.get("type") in ("number", "integer")


@dataclass(frozen=True)
class Attack:
    """Bodies of one kind.

    Attributes:
        contents: each with the property that the answer to it names; None for none.
        expected: `SUCCESS` or a status.
    """

    contents: tuple[tuple[str | bytes, str | None], ...]
    expected: str | int


def list_places(route: Route) -> list[Place]:
    """The values in the fixture's body, from the outermost to the innermost; not the body itself."""

    def walk(path: tuple[str | int, ...], schema: Mapping[str, Any], value: Any) -> Iterator[Place]:
        if path:
            yield Place(path, schema, value)
        if isinstance(value, dict):
            for name, part in schema.get("properties", {}).items():
                if name in value:
                    yield from walk((*path, name), part, value[name])
        elif isinstance(value, list) and value:
            yield from walk((*path, 0), schema.get("items", {}), value[0])

    return list(walk((), route.model or {}, route.body))


def make_other_body(route: Route, number: int = 1) -> Any:
    """A valid body that differs from the fixture's, and from that of another number."""
    if route.model is None:
        return {**route.body, "another": number}
    for place in list_places(route):
        if place.is_free_text:
            return replace_value(route, place, f"{number} {place.value}"[: place.schema.get("maxLength", _UNLIMITED)])
        if place.is_number and place.value + number <= place.schema.get("maximum", _UNLIMITED):
            return replace_value(route, place, place.value + number)
        if place.is_date:
            return replace_value(route, place, f"{int(place.value[:4]) + number}{place.value[4:]}")
        if place.is_free_object:
            return replace_value(route, place, {**place.value, "another": number})
    raise AssertionError(f"the model of {route.key} has no text, number, date or object to change")


def replace_value(route: Route, place: Place, value: Any) -> Any:
    return json.loads(write(route, place, json.dumps(value)))


def write(route: Route, place: Place, fragment: str) -> str:
    """The fixture's body as JSON text, with a fragment in the place of one value."""
    body = holder = route.body
    for part in place.path[:-1]:
        holder = holder[part]
    holder[place.path[-1]] = _MARK
    return json.dumps(body, ensure_ascii=False).replace(f'"{_MARK}"', fragment)


def list_attacks(route: Route) -> dict[str, Attack]:
    """The attacks on the body of a route, by their names, which are the same for all routes."""
    places = list_places(route)
    texts = [place for place in places if place.is_free_text]
    objects = [place for place in places if place.is_free_object]
    if route.model is None:
        return {}
    attacks = {**_break_document(route), **_break_model(route, places)}
    for name, (fragment, expected) in TEXTS.items():
        attacks[f"{name} in a text"] = _place(route, texts, fragment, expected)
    for name, (fragment, expected) in OBJECTS.items():
        attacks[name] = _place(route, objects, fragment, expected)
    for name, number in NUMBERS.items():
        attacks[name] = Attack(
            tuple(
                [(write(route, place, number), None) for place in places if place.is_number]
                + [(write(route, place, f'{{"n":{number}}}'), None) for place in objects]
            ),
            400,
        )
    return {name: attack for name, attack in attacks.items() if attack.contents}


def list_possible_attacks() -> Iterator[tuple[str, str | int]]:
    """The names and expected answers of attacks that only some models allow."""
    yield from ((f"{name} in a text", expected) for name, (_, expected) in TEXTS.items())
    yield from ((name, expected) for name, (_, expected) in OBJECTS.items())
    yield from ((name, 400) for name in NUMBERS)


def _place(route: Route, places: Iterable[Place], fragment: str, expected: str | int) -> Attack:
    contents = (write(route, place, fragment) for place in places)
    # A lone surrogate in a fragment stands for the bytes of its encoding.
    return Attack(tuple((content.encode("utf-8", "surrogatepass"), None) for content in contents), expected)


def _break_document(route: Route) -> dict[str, Attack]:
    valid = json.dumps(route.body)
    # The fixture's body may have no text to break.
    with_text = valid if '"' in valid else '{"x": 0}'
    documents: dict[str, str | bytes] = {
        "100,000 open brackets": "[" * 100_000,
        "an array for the body": "[]",
        "text for the body": '"x"',
        "null for the body": "null",
        "no body": "",
        "a byte order mark": f"\ufeff{valid}",
        "UTF-16": valid.encode("utf-16"),
        "overlong UTF-8": with_text.encode().replace(b'"', b'"\xc0\xaf', 1),
        "a raw NUL": with_text.replace('"', '"\0', 1),
        "a body cut short": valid[:-1],
    }
    return {name: Attack(((content, None),), 400) for name, content in documents.items() if content or route.needs_body}


def _break_model(route: Route, places: Iterable[Place]) -> dict[str, Attack]:
    model = route.model or {}
    missing = []
    for name in model.get("required", ()):
        body = route.body
        del body[name]
        missing.append((json.dumps(body), name))
    unknown = json.dumps(route.body | {f"unknown{number}": 0 for number in range(120_000)})
    long = json.dumps(route.body | {f"{number}{chr(1) * 2_500}": 0 for number in range(1, 150)})
    wrong = [
        (place, value)
        for place in places
        for value in _WRONG_TYPES[place.schema["type"]]
        if value is not None or not place.schema.get("nullable")
    ]
    outside = [(place, value) for place in places for value in _list_outside(place)]
    return {
        "a required property left out": Attack(tuple(missing), 400),
        "120,000 unknown properties": Attack(((unknown, "unknown0"),), 400),
        "unknown properties with long names": Attack(((long, "1"),), 400),
        "a value of another type": Attack(tuple(_name(route, wrong)), 400),
        "a value outside its bounds": Attack(tuple(_name(route, outside)), 400),
    }


def _name(route: Route, values: Iterable[tuple[Place, Any]]) -> Iterator[tuple[str, str]]:
    for place, value in values:
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place.path)
        yield write(route, place, json.dumps(value)), name.removeprefix(".")


_WRONG_TYPES: Mapping[str, list[Any]] = {
    "string": [["x"], {"$ne": None}, 1, None],
    "object": ["{}", [], None],
    "array": [{}, "[]", None],
    "number": ["1", [1], True, None],
    "integer": ["1", 1.5, True, None],
    "boolean": ["true", 1, None],
}


def _list_outside(place: Place) -> Iterator[Any]:
    """Values of the right type that break a keyword of the schema."""
    schema = place.schema
    for keyword, bound in schema.items():
        match keyword:
            case "enum":
                yield f"{bound[0]}x"
            case "minLength" if bound > 0:
                yield "x" * (bound - 1)
            case "maxLength":
                yield "x" * (bound + 1)
            case "minimum":
                yield bound - 1
            case "maximum":
                yield bound + 1
            case "minItems" if bound > 0:
                yield place.value[: bound - 1]
            case "maxItems":
                yield place.value[:1] * (bound + 1)


def _nest(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


TEXTS: Mapping[str, tuple[str, str | int]] = {
    "half a surrogate pair": ('"\\ud83d"', 400),
    "surrogates encoded in UTF-8": ('"\ud800"', 400),
    "a raw control character": ('"a\x07b"', 400),
    "NUL": ('"a\\u0000b"', SUCCESS),
    "control characters and bidi marks": ('"\\r\\n\\u001b[31m\\u202e"', SUCCESS),
    "a partition": ('"user#victim"', SUCCESS),
    "a sort key": ('"item#019ab0c1-7a3e"', SUCCESS),
    "an update expression": ('"#name, #pk = :version0"', SUCCESS),
    "a placeholder": ('":name"', SUCCESS),
    "SQL": ("\"x' OR '1'='1\"", SUCCESS),
    "DynamoDB's JSON": ('"{\\"S\\": \\"x\\"}"', SUCCESS),
    "templates": ('"${AWS::AccountId} {{7*7}}"', SUCCESS),
    "a script": ('"<script>alert(1)</script>"', SUCCESS),
    "a header": ('"x\\r\\nLocation: https://evil.example.com"', SUCCESS),
}
"""Fragments in the place of a text that the model leaves free."""

OBJECTS: Mapping[str, tuple[str, str | int]] = {
    "an object nested 50 deep": (_nest(50), SUCCESS),
    "an object nested 1,000 deep": (_nest(1_000), 400),
    "arrays nested 100,000 deep": ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", 400),
    "10,000 keys": (json.dumps({f"key{number}": number for number in range(10_000)}), SUCCESS),
    "__proto__ and its like": (
        '{"__proto__":{"admin":true},"constructor":{"prototype":{}},"__class__":"x"}',
        SUCCESS,
    ),
    "half a surrogate pair in a key": ('{"\\udfff":1}', 400),
    "half a surrogate pair in a value": ('{"a":"\\ud800"}', 400),
    "NUL in a key": ('{"a\\u0000b":"\\u0000"}', SUCCESS),
    "an expression in a key": ('{"#pk = :version0":":name"}', SUCCESS),
    "an item over 400 KB": (json.dumps({"text": "x" * 420_000}), 413),
}
"""Fragments in the place of an object that the model leaves free."""

NUMBERS: Mapping[str, str] = {
    "NaN": "NaN",
    "a number of 5,000 digits": "9" * 5_000,
    "an exponent of 10 digits": "1E1000000000",
    "an exponent of 20 digits": "1e99999999999999999999",
}
"""Fragments in the place of a number; all of them are rejected."""
