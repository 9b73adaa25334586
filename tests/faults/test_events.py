"""Events that no gateway should send: whatever arrives, a handler answers."""

import json
import os
import random
import time
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import SEED, Report, Stand
from tests.stack import ROOT, Route, list_routes
from tests.unit.gateway import Context, import_functions

EVENTS = 20_000
STRINGS = [
    "", " ", "\0", "\n", "*", '"x"', 'W/"x"', "null", "{}", "[]", "é", "\ud800", "😀", "x" * 300, "-1", "0", "1e999",
    "application/json", "text/plain", "=", "AZqww3o-fFWdHz8rjG1OEA", "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10",
    '{"name":"n","type":"A"}', '{"name":1}', "[" * 2000, '{"a":' * 200, '{"name":"\\ud800","type":"A"}',
    '{"name":"n","type":"A","metadata":{"n":1e400}}', '{"name":"n","type":"A","metadata":{"n":' + "9" * 5000 + "}}",
]  # fmt: skip
NAMES = [
    "headers", "body", "isBase64Encoded", "pathParameters", "queryStringParameters", "requestContext", "authorizer",
    "jwt", "claims", "scopes", "sub", "scope", "requestId", "routeKey", "id", "limit", "nextToken", "content-type",
    "idempotency-key", "if-match", "if-none-match",
]  # fmt: skip


def make_value(numbers: random.Random, depth: int = 3) -> Any:
    """Return any JSON value."""
    kinds = ["string", "string", "number", "constant", *(["object", "array"] if depth else [])]
    match numbers.choice(kinds):
        case "string":
            return numbers.choice(STRINGS)
        case "number":
            return numbers.choice([0, 1, -1, 10**30, 1.5, -0.0, 1e300])
        case "constant":
            return numbers.choice([None, True, False])
        case "object":
            return {numbers.choice(NAMES): make_value(numbers, depth - 1) for _ in range(numbers.randrange(4))}
        case _:
            return [make_value(numbers, depth - 1) for _ in range(numbers.randrange(4))]


def mutate(numbers: random.Random, event: Any) -> Any:
    """Change an event in one place, whatever its shape is by now."""
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in entries:
            places.append((value, key))
            collect(inner)

    collect(event)
    if not places:
        return make_value(numbers)
    holder, key = numbers.choice(places)
    match numbers.choice(["remove", "replace", "add", "change"]):
        case "remove":
            del holder[key]
        case "add" if isinstance(holder, dict):
            holder[numbers.choice(NAMES)] = make_value(numbers)
        case "change" if isinstance(holder[key], str):
            text = holder[key]
            at = numbers.randrange(len(text) + 1)
            holder[key] = text[:at] + numbers.choice(STRINGS) + text[at + numbers.randrange(3) :]
        case _:
            holder[key] = make_value(numbers)
    return event


def make_event(numbers: random.Random, fixtures: list[str]) -> Any:
    if numbers.random() < 0.05:
        return make_value(numbers, depth=5)
    event = json.loads(numbers.choice(fixtures))
    for _ in range(numbers.randint(1, 5)):
        event = mutate(numbers, event)
    return event


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_any_event_is_answered(stand: Stand, report: Report, route: Route) -> None:
    numbers = random.Random(f"{SEED}/{route.key}")
    fixtures = [path.read_text() for path in sorted((ROOT / "events").glob(f"{route.folder.name}*.json"))]
    environment = {"TABLE_NAME": "Table", "AWS_ENDPOINT_URL": stand.services.endpoint}
    statuses: Counter[int] = Counter()
    wrong = []
    started = time.monotonic()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), import_functions(environment) as handlers:
        for _ in range(EVENTS):
            event = make_event(numbers, fixtures)
            try:
                answer = handlers[route.key](event, Context())
                json.dumps(answer, ensure_ascii=False).encode()
                statuses[answer["statusCode"]] += 1
                if answer["statusCode"] >= 500:
                    wrong.append((event, answer))
            except Exception as error:
                wrong.append((event, error))
    counts = ", ".join(f"{count:,} with {status}" for status, count in sorted(statuses.items()))
    report.add(
        f"{EVENTS:,} random and mutated events, {route.key}",
        counts,
        f"{len(wrong)} exceptions or 5xx",
        f"{time.monotonic() - started:.0f} s",
    )
    assert wrong[:3] == []
