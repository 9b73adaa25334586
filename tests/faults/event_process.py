"""Sends random and mutated events to the handler of one route, in a separate process."""

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.support.bodies import list_attacks
from tests.support.gateway import ENVIRONMENT, Context
from tests.support.stack import ROOT, Route, list_routes

STRINGS = [
    "", " ", "\0", "\n", "*", '"x"', 'W/"x"', "null", "{}", "[]", "é", "\ud800", "😀", "x" * 300, "-1", "0", "1e999",
    "application/json", "text/plain", "=", "AZqww3o-fFWdHz8rjG1OEA", "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10",
    "[" * 2000, '{"a":' * 200, '{"n":1e400}',
]  # fmt: skip
# Bodies that break a route's model, and some that keep it.
BODIES = [
    content.decode("utf-8", "surrogatepass") if isinstance(content, bytes) else content
    for route in list_routes()
    for name, attack in list_attacks(route).items()
    for content, _ in attack.contents
    if len(content) < 10_000 and name not in ("UTF-16", "overlong UTF-8")
]
NAMES = [
    "headers", "body", "isBase64Encoded", "pathParameters", "queryStringParameters", "requestContext", "authorizer",
    "jwt", "claims", "scopes", "sub", "scope", "requestId", "routeKey", "id", "limit", "nextToken", "content-type",
    "idempotency-key", "if-match", "if-none-match",
]  # fmt: skip


def choose_string(numbers: random.Random) -> str:
    return numbers.choice(STRINGS if numbers.random() < 0.8 else BODIES)


def make_value(numbers: random.Random, depth: int = 3) -> Any:
    """Return any JSON value."""
    kinds = ["string", "string", "number", "constant", *(["object", "array"] if depth else [])]
    match numbers.choice(kinds):
        case "string":
            return choose_string(numbers)
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
    holder, key = None, None
    value = event
    while isinstance(value, dict | list) and value and (holder is None or numbers.random() < 0.7):
        holder, key = value, numbers.choice([*value] if isinstance(value, dict) else range(len(value)))
        value = holder[key]
    if holder is None:
        return make_value(numbers)
    match numbers.choice(["remove", "replace", "add", "change"]):
        case "remove":
            del holder[key]
        case "add" if isinstance(holder, dict):
            holder[numbers.choice(NAMES)] = make_value(numbers)
        case "change" if isinstance(holder[key], str):
            text = holder[key]
            at = numbers.randrange(len(text) + 1)
            holder[key] = text[:at] + choose_string(numbers) + text[at + numbers.randrange(3) :]
        case _:
            holder[key] = make_value(numbers)
    return event


def make_event(numbers: random.Random, fixtures: list[str]) -> Any:
    if numbers.random() < 0.05:
        return make_value(numbers, depth=5)
    event = json.loads(numbers.choice(fixtures))
    for _ in range(numbers.randint(1, 15)):
        event = mutate(numbers, event)
    return event


@dataclass
class Outcome:
    """How the handler answered the events.

    Attributes:
        statuses: how often each was answered.
        wrong: the events that got a 5xx or an exception, with the answer.
        seconds: how long it took.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def send_events(route: Route, count: int, seed: int, environment: Mapping[str, str]) -> Outcome:
    """Send `count` events, the same for the same seed, to a handler with an environment."""
    os.environ.update({**ENVIRONMENT, **environment})
    sys.path[:0] = [str(ROOT / "layers/shared")]
    handler = import_module(f"functions.{route.folder.name}.app").handler
    fixtures = [path.read_text() for path in sorted((ROOT / "events").glob(f"{route.folder.name}*.json"))]
    numbers = random.Random(f"{seed}/{route.key}")
    outcome = Outcome()
    started = time.monotonic()
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = nowhere
        for logger_handler in import_module("serverless_api.telemetry.observability").logger.handlers:
            logger_handler.setStream(nowhere)
        for _ in range(count):
            _send(handler, make_event(numbers, fixtures), outcome)
        sys.stdout = sys.__stdout__
    outcome.seconds = time.monotonic() - started
    return outcome


def _send(handler: Any, event: Any, outcome: Outcome) -> None:
    try:
        answer = handler(event, Context())
        # As Lambda's runtime passes it on.
        json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
        outcome.statuses[answer["statusCode"]] += 1
        if answer["statusCode"] >= 500:
            outcome.wrong.append(f"{event!r}: {answer}")
    except Exception as error:
        outcome.wrong.append(f"{event!r}: {error!r}")
