"""Events of the stack's bus: thin, versioned, and put at least once.

An event says what happened to which version of what, and never a field's value: a consumer reads the resource itself.
EventBridge keeps no order. `sequence` orders the events of one resource, and with it a consumer knows a duplicate
(docs/decisions/events.md). models/events has the schema of each event's `detail`.
"""

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from records.changes import Change
from records.clients import make_client
from serverless_api import DeadlineExceeded, Metric, RetryPolicy, count, current_deadline, logger

SOURCE = "records"
SCHEMA_VERSION = 1
"""Of every event's `detail`. Members may be added to a version; any other change makes a new one."""

MAX_ENTRIES = 10
"""Most events of one call («PutEvents», Amazon EventBridge API Reference)."""

FAILED_ENTRIES = Metric("FailedEntries")

_CALL_SECONDS = 10.0
_policy = RetryPolicy(retries=3, base=0.2, cap=2.0)
_client = make_client("events", read_seconds=_CALL_SECONDS, attempts=1)


class Event(NamedTuple):
    """An event for the bus.

    Attributes:
        kind: its `detail-type`, such as `ResourceCreated`.
        time: when it happened, RFC 3339.
        detail: its content.
    """

    kind: str
    time: str
    detail: dict[str, Any]


def make_change_event(change: Change) -> Event:
    """Return the event of a change, such as `ResourceCreated`."""
    kind = change.noun.title().replace(" ", "") + change.action.capitalize()
    detail = {
        "owner": change.owner,
        "id": change.id,
        # Of what is deleted, the last one.
        "version": change.before if change.action == "deleted" else change.after,
        "fields": list(change.fields),
        "door": change.origin.door,
        "correlationId": change.origin.request_id,
        "sequence": change.sequence,
    }
    return _make_event(kind, change.time, detail)


def make_erasure_event(owner: str, erasure_id: str, time: str) -> Event:
    """Return the event `UserErased`: everything that a user had before a request is deleted.

    Args:
        owner: the user's `sub`.
        erasure_id: the ID of the erasure.
        time: when it was done, RFC 3339.
    """
    return _make_event("UserErased", time, {"owner": owner, "id": erasure_id, "correlationId": erasure_id})


def publish_events(events: Sequence[Event]) -> frozenset[int]:
    """Put events on the bus, and repeat alone those that fail, as long as the invocation has time for another call.

    Returns:
        The indexes of the events that are not on the bus.
    """
    left = list(range(len(events)))
    for attempt in range(_policy.retries + 1):
        if attempt:
            _policy.sleep(_policy.backoff(attempt - 1))
        left = [index for part in itertools.batched(left, MAX_ENTRIES, strict=False) for index in _put(events, part)]
        if not left or _is_late():
            break
    return frozenset(left)


def _make_event(kind: str, time: str, detail: dict[str, Any]) -> Event:
    return Event(kind, time, {"schemaVersion": SCHEMA_VERSION, "occurredAt": time, **detail})


def _is_late() -> bool:
    return current_deadline().remaining < _CALL_SECONDS


def _put(events: Sequence[Event], indexes: Sequence[int]) -> list[int]:
    """Put some of the events in one call, and return the indexes of those that failed."""
    reasons = _call([_make_entry(events[index]) for index in indexes])
    failed = [index for index, reason in zip(indexes, reasons, strict=True) if reason]
    if failed:
        count(FAILED_ENTRIES, len(failed))
        logger.warning("Events were not taken by the bus", failed=len(failed), reasons=sorted(set(reasons) - {""}))
    return failed


def _call(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Put entries, and return for each why the bus did not take it; an empty text if it did."""
    if _is_late():
        return ["No time is left"] * len(entries)
    try:
        with current_deadline().shorten(_CALL_SECONDS).enforce():
            results = _client.put_events(Entries=entries)["Entries"]
    except (BotoCoreError, ClientError, DeadlineExceeded) as error:
        return [str(error) or "The bus does not answer"] * len(entries)
    return [result.get("ErrorCode", "") for result in results]


def _make_entry(event: Event) -> dict[str, Any]:
    return {
        "EventBusName": os.environ["EVENT_BUS"],
        "Source": SOURCE,
        "DetailType": event.kind,
        "Time": event.time,
        "Detail": json.dumps(event.detail, ensure_ascii=False),
    }
