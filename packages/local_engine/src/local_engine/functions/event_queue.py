"""Asynchronous invocation: queued events, retries, and destinations for their outcome.

Lambda's waits are shortened: a minute becomes a second, so the second and third attempts come after one and two
seconds. An event's age counts Lambda's waits in full, plus the function's own time as it is.

Sources: "How Lambda handles errors and retries with asynchronous invocation" and "Capturing records of Lambda
asynchronous invocations" (AWS Lambda Developer Guide).
"""

import asyncio
import json
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from local_engine.functions.function_names import (
    LATEST,
    FunctionName,
    find_version,
    list_properties,
    parse_function_name,
)
from local_engine.functions.invocation import ConcurrencyExceeded, FunctionError
from local_engine.functions.pool import FunctionPool
from local_engine.observer import Observer, Start, TriggerRun
from local_engine.services.services_client import ServicesError
from local_engine.template.errors import TemplateError
from local_engine.template.stack import Stack

CONFIGURATION = "AWS::Lambda::EventInvokeConfig"
SHORTENING = 60
"""Seconds of Lambda's waits per second here."""
_WAIT_AFTER_ERROR = 60.0
_LONGEST_WAIT_FOR_CONCURRENCY = 300.0
_LONGEST_ERROR_MESSAGE = 1024
_LARGEST_CONCURRENCY = 100


class SendRecord(Protocol):
    """Sends to a destination, as `local_engine.services.destinations.send_record` does."""

    def __call__(self, destination: str, body: str, attributes: Mapping[str, tuple[str, str]], *, source: str) -> None:
        """Send a record.

        Raises:
            ServicesError: the destination cannot take it.
        """
        ...


@dataclass(frozen=True)
class EventInvokeSettings:
    """A template's settings for a function's asynchronous invocations. Destinations are ARNs."""

    retries: int
    max_age: float
    """Seconds, counted as Lambda does."""
    on_success: str | None
    on_failure: str | None
    dead_letter_queue: str | None


@dataclass(frozen=True)
class Event:
    """An accepted event."""

    request_id: str
    function: FunctionName
    version: str
    payload: bytes
    settings: EventInvokeSettings
    source: str
    """What sent it: the name of a rule or its like, or `Invoke`."""


@dataclass(frozen=True)
class _Outcome:
    """The result of one attempt."""

    condition: str | None
    """Why the event is finished, as a destination reads it. None if it is retried."""
    response: Mapping[str, Any]
    """The response's part of the record for a destination."""
    wait: float = 0.0
    """Seconds until the next attempt, counted as Lambda does."""
    error: tuple[int, str] = (0, "")
    """Status and message for a dead-letter queue."""
    start: Start = ""


def _read_event_invoke_settings(stack: Stack, function: FunctionName, logical_id: str) -> EventInvokeSettings:
    """Return a function's settings: its dead-letter queue, and the EventInvokeConfig of its qualifier."""
    configurations = list_properties(stack, CONFIGURATION, function.name)
    qualifier = function.qualifier or LATEST
    found = next((entry for entry in configurations if entry.get("Qualifier") == qualifier), {})
    properties = stack.resources[logical_id].properties
    try:
        return _read_settings(found, properties)
    except (TemplateError, TypeError, ValueError, AttributeError):
        return _read_settings({}, {})


def check_event_invoke_settings(stack: Stack) -> None:
    """Refuse the settings of asynchronous invocations that are malformed."""
    stack.read_parts(CONFIGURATION, read=lambda _, resource: _read_settings(resource.properties, {}))


def _read_settings(found: Mapping[str, Any], function: Mapping[str, Any]) -> EventInvokeSettings:
    destinations = found.get("DestinationConfig") or {}
    dead_letters = function.get("DeadLetterConfig") or {}
    return EventInvokeSettings(
        retries=int(found.get("MaximumRetryAttempts", 2)),
        max_age=float(found.get("MaximumEventAgeInSeconds", 6 * 60 * 60)),
        on_success=(destinations.get("OnSuccess") or {}).get("Destination"),
        on_failure=(destinations.get("OnFailure") or {}).get("Destination"),
        dead_letter_queue=dead_letters.get("TargetArn"),
    )


class EventQueue:
    """Delivers each event on its own. Closing the queue drops unfinished events."""

    def __init__(self, send_record: SendRecord, observer: Observer) -> None:
        self._send_record = send_record
        self._observer = observer
        self._stack: Stack
        self._functions: Mapping[str, FunctionPool] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        # By function, so that thousands of events do not make all of its callers slow.
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_LARGEST_CONCURRENCY))

    def serve(self, stack: Stack, functions: Mapping[str, FunctionPool]) -> None:
        """Serve a stack instead of the one before. `functions` is by the functions' names."""
        check_event_invoke_settings(stack)
        self._stack, self._functions = stack, functions

    def accept(self, function: FunctionName, payload: bytes, request_id: str, source: str) -> bool:
        """Accept an event, and return whether its function exists.

        Args:
            function: the function, with a version or an alias if the caller names one.
            payload: the event in JSON.
            request_id: for the context of each attempt.
            source: what sends it: the name of a rule or its like, or `Invoke`.
        """
        pool = self._functions.get(function.name)
        version = find_version(self._stack, function) if pool and function.is_here else None
        if pool is None or version is None:
            return False
        settings = _read_event_invoke_settings(self._stack, function, pool.function.logical_id)
        event = Event(request_id, function, version, payload, settings, source)
        delivery = asyncio.create_task(self._deliver(event))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)
        return True

    async def close(self) -> None:
        """Drop all events."""
        for delivery in self._deliveries:
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)

    async def _deliver(self, event: Event) -> None:
        age = 0.0
        runs = throttles = 0
        started = 0.0
        # Looked up for each attempt, because an edit of the template replaces the processes.
        while pool := self._functions.get(event.function.name):
            try:
                async with self._turns[event.function.name]:
                    started = time.monotonic()
                    result = await pool.invoke(event.payload, event.function.qualifier, event.request_id)
            except ConcurrencyExceeded:
                throttles += 1
                outcome = _throttled(pool, throttles)
            except FunctionError as error:
                runs += 1
                self._observer.fault_found(pool.function.logical_id, str(error))
                outcome = _failed(event, error, runs)
            else:
                runs += 1
                response = _describe_response(event.version, _read_payload(result.payload))
                outcome = _Outcome("Success", response, start="cold" if result.cold else "warm")
            seconds = time.monotonic() - started
            age += seconds + outcome.wait
            condition = outcome.condition or ("EventAgeExceeded" if age > event.settings.max_age else None)
            self._observer.trigger_ran(_describe_run(event, pool, condition, outcome.start, seconds))
            if condition is not None:
                await self._report(event, condition, runs, outcome)
                return
            await asyncio.sleep(outcome.wait / SHORTENING)
        self._observer.fault_found(event.function.name, "The function was removed, so its waiting event is lost.")

    async def _report(self, event: Event, condition: str, runs: int, outcome: _Outcome) -> None:
        settings = event.settings
        has_failed = condition != "Success"
        if destination := settings.on_failure if has_failed else settings.on_success:
            record = {**_describe_event(event, condition, runs), **outcome.response}
            await self._send(event, destination, json.dumps(record), {})
        if has_failed and settings.dead_letter_queue:
            status, message = outcome.error
            attributes = {
                "RequestID": ("String", event.request_id),
                "ErrorCode": ("Number", str(status)),
                "ErrorMessage": ("String", message[:_LONGEST_ERROR_MESSAGE]),
            }
            await self._send(event, settings.dead_letter_queue, event.payload.decode(), attributes)

    async def _send(self, event: Event, arn: str, body: str, attributes: Mapping[str, tuple[str, str]]) -> None:
        function = parse_function_name(arn) if arn.split(":")[2:3] == ["lambda"] else None
        if function is not None:
            source = f"outcome of {event.function.name}"
            if self.accept(function, body.encode(), str(uuid.uuid4()), source):
                return
            reason = "the function does not exist."
        else:
            # A dead-letter queue, which has attributes, cannot be an event bus.
            source = "" if attributes else event.function.arn
            try:
                await asyncio.to_thread(self._send_record, arn, body, attributes, source=source)
            except ServicesError as error:
                reason = str(error)
            else:
                return
        self._observer.fault_found(event.function.name, f"The outcome of an event cannot be sent to {arn}: {reason}")


def _describe_run(event: Event, pool: FunctionPool, condition: str | None, start: Start, seconds: float) -> TriggerRun:
    return TriggerRun(
        source=event.source,
        function=pool.function.logical_id,
        records=1,
        outcome="ok" if condition == "Success" else "failed" if condition else "failed, to be retried",
        is_error=condition != "Success",
        start=start,
        milliseconds=seconds * 1000,
        id=event.request_id,
    )


def _throttled(pool: FunctionPool, throttles: int) -> _Outcome:
    # A function that reserves no concurrency never runs, so its events do not wait.
    condition = "ZeroReservedConcurrency" if pool.function.reserved_concurrency == 0 else None
    wait = min(2.0 ** min(throttles - 1, 16), _LONGEST_WAIT_FOR_CONCURRENCY)
    return _Outcome(condition, {}, wait, (429, "Rate Exceeded."))


def _failed(event: Event, error: FunctionError, runs: int) -> _Outcome:
    condition = "RetriesExhausted" if runs > event.settings.retries else None
    payload = error.describe(event.request_id)
    response = _describe_response(event.version, payload, functionError="Unhandled")
    # SQS accepts no empty attributes.
    message = payload["errorMessage"] or payload["errorType"]
    return _Outcome(condition, response, _WAIT_AFTER_ERROR * runs, (200, message))


def _describe_event(event: Event, condition: str, runs: int) -> dict[str, Any]:
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": event.function.arn,
            "condition": condition,
            "approximateInvokeCount": runs,
        },
        "requestPayload": json.loads(event.payload),
    }


def _describe_response(version: str, payload: Any, **more: str) -> dict[str, Any]:
    context = {"statusCode": 200, "executedVersion": version, **more}
    return {"responseContext": context, "responsePayload": payload}


def _read_payload(payload: bytes) -> Any:
    # A function may return bytes that are not JSON.
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode(errors="replace")
