"""Runs of a function on a batch of records, and which of them failed.

Sources: "Handling errors for an SQS event source in Lambda", "Configuring partial batch response with DynamoDB and
Lambda" (AWS Lambda Developer Guide).
"""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from local_engine.event_sources.mapping_settings import MappingSettings
from local_engine.functions.invocation import ConcurrencyExceeded, FunctionError, Invocation
from local_engine.functions.pool import FunctionPool
from local_engine.observer import Observer, Start, TriggerRun

LARGEST_PAYLOAD = 6 * 1024 * 1024
"""Most bytes of an event."""
_ENVELOPE = len(b'{"Records": []}')

FindPool = Callable[[str], FunctionPool | None]


class FunctionRemoved(Exception):
    """The template does not have the function now."""


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch."""

    request_id: str
    failed: frozenset[str]
    """IDs of the records that failed; all of them if the function did."""
    is_error: bool = False
    """Whether the function failed, or what it returned is malformed."""
    is_throttled: bool = False


def fitting_length(sizes: Sequence[int]) -> int:
    """Return how many of some records, by their sizes, fit into an event: one at least."""
    total = _ENVELOPE
    for count, size in enumerate(sizes):
        total += size + len(", ")
        if total > LARGEST_PAYLOAD and count:
            return count
    return len(sizes)


class BatchRunner:
    """Runs the functions of mappings."""

    def __init__(self, find_pool: FindPool, observer: Observer) -> None:
        """Take what returns a function's processes by its name, and who is told of each run."""
        self._find_pool = find_pool
        self._observer = observer

    async def run(
        self, settings: MappingSettings, records: Sequence[dict[str, Any]], ids: Sequence[str], age: float | None = None
    ) -> BatchResult:
        """Run a function on a batch. Cancelling the call leaves the function's process unusable.

        Args:
            settings: the mapping.
            records: the event's records.
            ids: their IDs in a response with `batchItemFailures`.
            age: milliseconds since the last record was written, if it is from a stream.

        Raises:
            FunctionRemoved: the template does not have the function now.
        """
        pool = self._find_pool(settings.function.name)
        if pool is None:
            raise FunctionRemoved
        request_id = str(uuid.uuid4())
        event = json.dumps({"Records": records}).encode()
        started = time.monotonic()
        start: Start = ""
        try:
            invocation = await pool.invoke(event, settings.function.qualifier, request_id)
        except ConcurrencyExceeded:
            result = BatchResult(request_id, frozenset(ids), is_throttled=True)
            outcome = "throttled"
        except FunctionError as error:
            self._observer.fault_found(pool.function.logical_id, str(error))
            result = BatchResult(request_id, frozenset(ids), is_error=True)
            outcome = "failed"
        else:
            start = "cold" if invocation.cold else "warm"
            result, outcome = _read_result(settings, invocation, ids, request_id)
        self._observer.trigger_ran(
            TriggerRun(
                source=settings.source,
                function=pool.function.logical_id,
                records=len(records),
                outcome=outcome,
                is_error=bool(result.failed),
                start=start,
                milliseconds=(time.monotonic() - started) * 1000,
                id=request_id,
                iterator_age=age,
            )
        )
        return result


def _read_result(
    settings: MappingSettings, invocation: Invocation, ids: Sequence[str], request_id: str
) -> tuple[BatchResult, str]:
    """Return the result of a function that did not fail, and a phrase for it."""
    if not settings.reports_failures:
        return BatchResult(request_id, frozenset()), "ok"
    failed = read_failures(invocation.payload, ids)
    if failed is None:
        return BatchResult(request_id, frozenset(ids), is_error=True), "failed: its response is malformed"
    return BatchResult(request_id, failed), f"{len(failed)} of {len(ids)} failed" if failed else "ok"


def read_failures(payload: bytes, ids: Sequence[str]) -> frozenset[str] | None:
    """Return the IDs in a response's `batchItemFailures`, or None if the response is malformed.

    A response without failures is an empty list, an empty object or null.
    """
    try:
        response = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if response in (None, ""):
        return frozenset()
    failures = response.get("batchItemFailures") if isinstance(response, dict) else [response]
    if failures is None:
        return frozenset()
    if not isinstance(failures, list):
        return None
    named = [str(entry.get("itemIdentifier")) if isinstance(entry, dict) else "" for entry in failures]
    return frozenset(named) if set(named) <= set(ids) else None
