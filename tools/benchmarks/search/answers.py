"""Asks questions at the streaming API and reads the events of the answers."""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx

from tools.benchmarks.search.stand import SCOPES, Stand

ANSWERS = "api/v1/answers"
_API = "Streaming/StreamingApi"


class Event(NamedTuple):
    """A server-sent event.

    Attributes:
        kind: such as `sources`, `text` or `end`.
        data: its content.
        seconds: time from the request.
    """

    kind: str
    data: Any
    seconds: float


class Asker:
    """A user who asks. Use it in a `with` block."""

    def __init__(self, stand: Stand, subject: str) -> None:
        token = stand.engine.mint_token(*SCOPES, subject=subject)
        self.client = stand.engine.client(_API, headers={"Authorization": f"Bearer {token}"})

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def ask(self, question: str) -> list[Event]:
        """Return the events of an answer, until its end.

        Raises:
            httpx.HTTPStatusError: the question is rejected.
        """
        started = time.perf_counter()
        with self.client.stream("POST", ANSWERS, json={"question": question}) as response:
            if response.is_error:
                response.read()
            response.raise_for_status()
            return list(_read_events(response, started))


def join_text(events: list[Event]) -> str:
    """Return the text of an answer."""
    return "".join(event.data["text"] for event in events if event.kind == "text")


def _read_events(response: httpx.Response, started: float) -> Iterator[Event]:
    kind, data = "", ""
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data = value
        elif not line and kind:
            yield Event(kind, json.loads(data or "null"), time.perf_counter() - started)
            kind, data = "", ""
