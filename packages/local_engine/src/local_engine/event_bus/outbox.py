"""Events for functions, on their way from moto's process to the engine: `GET /_local/deliveries?after=N`.

The engine acknowledges what it has taken by the number of the last event, so an event is delivered at least once.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

DELIVERIES_PATH = "/_local/deliveries"
_LARGEST = 10_000
"""Most events that wait for an engine's first question. Under `local-engine backend`, none asks."""
_PATIENCE = 20.0


@dataclass(frozen=True)
class DeadLetters:
    """Where an event goes if its target cannot take it."""

    queue_arn: str
    body: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Message attributes, besides those of the error."""


class Outbox:
    """The waiting events. Threads may add some at any time."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque()
        self._is_read = False
        self._last = 0
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def add_event(self, function: str, payload: str, source: str, dead_letters: DeadLetters | None = None) -> None:
        """Add an event for a function.

        Args:
            function: the function's ARN.
            payload: the event in JSON.
            source: what sends it, as the user reads it, such as `rule Orders`.
            dead_letters: for an event whose function does not exist.
        """
        entry: dict[str, Any] = {"function": function, "payload": payload, "source": source}
        if dead_letters is not None:
            entry["deadLetters"] = {
                "queue": dead_letters.queue_arn,
                "body": dead_letters.body,
                "attributes": dead_letters.attributes,
            }
        self._add(entry)

    def add_fault(self, source: str, sentence: str) -> None:
        """Add a sentence for the user."""
        self._add({"source": source, "fault": sentence})

    async def describe(self, query: str) -> bytes:
        """Return the events after the one in a query string, in JSON. If there are none, wait for some."""
        after = (parse_qs(query).get("after") or ["0"])[0]
        seen = int(after) if after.isascii() and after.isdecimal() else 0
        waiting = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._is_read = True
            while self._entries and self._entries[0]["number"] <= seen:
                self._entries.popleft()
            self._waiting.add(waiting)
            is_empty = not self._entries
        try:
            if is_empty:
                async with asyncio.timeout(_PATIENCE):
                    await waiting[1].wait()
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting.discard(waiting)
        with self._lock:
            return json.dumps(list(self._entries)).encode()

    def _add(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self._last += 1
            self._entries.append({**entry, "number": self._last})
            if not self._is_read and len(self._entries) > _LARGEST:
                self._entries.popleft()
            for loop, arrived in self._waiting:
                loop.call_soon_threadsafe(arrived.set)
