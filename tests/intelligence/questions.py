"""Asks questions as users do, and reads the events of the answers while they arrive."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from local_engine.testing import EngineProcess

COMMENT = "comment"
"""The name under which a comment is listed."""


class Event(NamedTuple):
    """A server-sent event."""

    name: str
    data: Any


class Reply:
    """An answer while it arrives."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.is_cut = False

    def __iter__(self) -> Iterator[Event]:
        name, data = "", ""
        try:
            for line in self.response.iter_lines():
                field, _, value = line.partition(": ")
                match field:
                    case "event":
                        name = value
                    case "data":
                        data = value
                    case "":
                        yield Event(name, json.loads(data)) if name else Event(COMMENT, value)
                        name = data = ""
        except httpx.RemoteProtocolError:
            self.is_cut = True


class Asker:
    """A user who asks."""

    def __init__(self, engine: EngineProcess, subject: str, scope: str = "read:resources") -> None:
        # The API that streams is on the port after the first API's.
        self._url = f"http://127.0.0.1:{engine.port + 1}/live/api/v1/answers"
        headers = {"Authorization": f"Bearer {engine.mint_token(scope, subject=subject)}"}
        self.client = httpx.Client(headers=headers, timeout=120, trust_env=False)

    @contextmanager
    def ask(self, question: str, **options: Any) -> Iterator[Reply]:
        with self.client.stream("POST", self._url, json={"question": question, **options}) as response:
            assert response.status_code == 200, response.read()
            yield Reply(response)

    def send(self, body: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(self._url, content=content, headers={"Content-Type": "application/json"})

    def get_events(self, question: str, **options: Any) -> list[Event]:
        """Return all events of an answer."""
        with self.ask(question, **options) as reply:
            return [event for event in reply if event.name != COMMENT]

    def get_text(self, question: str, **options: Any) -> str:
        return join_text(self.get_events(question, **options))


def join_text(events: list[Event]) -> str:
    return "".join(event.data["text"] for event in events if event.name == "text")


def list_names(events: list[Event]) -> list[str]:
    """Return the names of the events, repeated ones once."""
    names = [event.name for event in events]
    return [name for place, name in enumerate(names) if name not in names[:place]]
