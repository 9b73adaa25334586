"""Functions as targets of rules, schedules, topics and buckets: their events come from the AWS services' process."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import urllib.parse
import uuid
from collections.abc import Mapping
from typing import Any

from local_engine.event_bus.outbox import DELIVERIES_PATH
from local_engine.functions.event_queue import EventQueue, SendRecord
from local_engine.functions.function_names import parse_function_name
from local_engine.functions.pool import FunctionPool
from local_engine.observer import Observer
from local_engine.services.services_client import ServicesError
from local_engine.template.stack import Stack

_NO_DELIVERIES = (
    "These services are not the local engine's, so rules, schedules, topics and buckets invoke no functions here."
)
_PAUSE = 0.5
_TIMEOUT = 60.0


class FunctionTargets:
    """A trigger that invokes functions asynchronously. It starts with the first stack and ends when it is closed."""

    def __init__(self, endpoint: str, events: EventQueue, send_record: SendRecord, observer: Observer) -> None:
        """Take what it needs.

        Args:
            endpoint: URL of the AWS services.
            events: the queue of asynchronous invocations.
            send_record: sends dead letters.
            observer: gets what cannot be delivered.
        """
        self._host = urllib.parse.urlsplit(endpoint).netloc
        self._events = events
        self._send_record = send_record
        self._observer = observer
        self._connection: http.client.HTTPConnection | None = None
        self._closed = threading.Event()
        self._burials: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    async def serve(self, stack: Stack, functions: Mapping[str, FunctionPool]) -> None:  # noqa: ARG002
        """Start. The queue of events knows the stack."""
        if self._thread is None:
            # Not a thread of asyncio's, which would make the engine's end wait for the answer.
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._receive, args=[loop], daemon=True)
            self._thread.start()

    async def close(self) -> None:
        """End at once."""
        self._closed.set()
        connection = self._connection.sock if self._connection is not None else None
        if connection is not None:
            # The services may have ended, or the thread may be between two questions.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for burial in self._burials:
            burial.cancel()
        await asyncio.gather(*self._burials, return_exceptions=True)

    def _receive(self, loop: asyncio.AbstractEventLoop) -> None:
        seen = 0
        has_told = False
        while not self._closed.is_set():
            try:
                entries = self._ask(seen)
            except (OSError, http.client.HTTPException):
                self._closed.wait(_PAUSE)
                continue
            except ValueError:
                # Other services, such as those of `--services`, have nothing at this path.
                if not has_told:
                    with contextlib.suppress(RuntimeError):
                        loop.call_soon_threadsafe(self._observer.fault_found, "AWS services", _NO_DELIVERIES)
                has_told = True
                self._closed.wait(_PAUSE)
                continue
            for entry in entries:
                # At its end, the engine drops what waits, and its loop is closed.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._take, entry)
                seen = int(entry["number"])

    def _ask(self, seen: int) -> list[dict[str, Any]]:
        connection = self._connection = http.client.HTTPConnection(self._host, timeout=_TIMEOUT)
        try:
            connection.request("GET", f"{DELIVERIES_PATH}?after={seen}")
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            entries: list[dict[str, Any]] = json.loads(content)
            if not isinstance(entries, list):
                raise ValueError("not a list of entries")
            return entries
        finally:
            connection.close()

    def _take(self, entry: Mapping[str, Any]) -> None:
        if self._closed.is_set():
            return
        source = entry["source"]
        if "fault" in entry:
            self._observer.fault_found(source, entry["fault"])
            return
        function = parse_function_name(entry["function"])
        if function is None or not self._events.accept(function, entry["payload"].encode(), str(uuid.uuid4()), source):
            burial = asyncio.create_task(self._bury(entry))
            self._burials.add(burial)
            burial.add_done_callback(self._burials.discard)

    async def _bury(self, entry: Mapping[str, Any]) -> None:
        reason = f"The function {entry['function']} does not exist."
        if dead_letters := entry.get("deadLetters"):
            attributes = {
                **dead_letters["attributes"],
                "ERROR_CODE": "RESOURCE_NOT_FOUND",
                "ERROR_MESSAGE": reason,
            }
            described = {name: ("String", value) for name, value in attributes.items()}
            try:
                letter = dead_letters["queue"], dead_letters["body"], described
                await asyncio.to_thread(self._send_record, *letter, source="")
            except ServicesError as error:
                reason = f"{reason} {error}"
            else:
                return
        self._observer.fault_found(entry["source"], f"An event is lost: {reason}")
