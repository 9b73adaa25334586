"""Activity of the local AWS services, for metrics: `GET /_local/activity?after=N`.

Each request to DynamoDB is an event with its time. The caller names the last event that it has seen. Capacity is
present only if the request asked for it (`ReturnConsumedCapacity`), as moto counts it.
"""

import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from local_engine.account import ACCOUNT_ID, REGION

ACTIVITY_PATH = "/_local/activity"
EVENTS_KEPT = 5_000
_READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan", "SearchVectors", "TransactGetItems"})
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
_CONDITION_FAILED = "ConditionalCheckFailed"


class MotoActivity:
    """Keeps the last requests to DynamoDB."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._last = 0

    def record(self, target: str, body: bytes, status: int, content: bytes, seconds: float) -> None:
        """Record a request.

        Args:
            target: `X-Amz-Target`, such as `DynamoDB_20120810.GetItem`.
            body: the request's body.
            status: the response's status.
            content: the response's body.
            seconds: the duration.
        """
        operation = target.rpartition(".")[2]
        if operation not in _READS | _WRITES:
            return
        try:
            request = json.loads(body)
            tables = list(dict.fromkeys(_table_name(table) for table in _tables(request)))
            asks = request.get("ReturnConsumedCapacity", "NONE") != "NONE"
            answer = json.loads(content) if status != 200 or asks else {}
            error = str(answer.get("__type", "")).rpartition("#")[2] if status != 200 else None
            capacity = dict(_capacity(answer)) if status == 200 else {}
            failed = _failed_conditions(request, answer, error, tables)
        except (ValueError, TypeError, AttributeError, KeyError):
            return  # Moto rejects it.
        self._last += 1
        self._events.append(
            {
                "number": self._last,
                "time": time.time(),
                "operation": operation,
                "milliseconds": seconds * 1000,
                "status": status,
                "error": error,
                "tables": [
                    {
                        "name": name,
                        ("readUnits" if operation in _READS else "writeUnits"): capacity.get(name),
                        "failedConditions": failed.get(name, 0),
                    }
                    for name in tables
                ],
            }
        )

    def describe(self, query: str) -> bytes:
        """Return the events after the one in a query string, and the present state of the queues, in JSON."""
        after = (parse_qs(query).get("after") or ["0"])[0]
        seen = int(after) if after.isascii() and after.isdecimal() else 0
        # A number of an earlier process means nothing here.
        seen = seen if seen <= self._last else 0
        newest_first = itertools.takewhile(lambda event: event["number"] > seen, reversed(self._events))
        events = list(newest_first)[::-1]
        return json.dumps({"last": self._last, "requests": events, "queues": _describe_queues()}).encode()


def _tables(request: Mapping[str, Any]) -> Iterator[str]:
    if "TableName" in request:
        yield request["TableName"]
    yield from request.get("RequestItems") or ()
    for entry in request.get("TransactItems") or ():
        for operation in entry.values():
            yield operation["TableName"]


def _table_name(name_or_arn: str) -> str:
    return name_or_arn.rpartition("/")[2]


def _capacity(answer: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    entries = answer.get("ConsumedCapacity") or []
    for entry in entries if isinstance(entries, list) else [entries]:
        # A search of a vector index consumes no read units.
        if "TableName" in entry:
            yield _table_name(entry["TableName"]), float(entry["CapacityUnits"])


def _failed_conditions(
    request: Mapping[str, Any], answer: Mapping[str, Any], error: str | None, tables: list[str]
) -> dict[str, int]:
    if error == f"{_CONDITION_FAILED}Exception":
        return dict.fromkeys(tables, 1)
    failed: dict[str, int] = {}
    if error == "TransactionCanceledException":
        reasons = answer.get("CancellationReasons") or ()
        for entry, reason in zip(request.get("TransactItems") or (), reasons, strict=False):
            if reason.get("Code") == _CONDITION_FAILED:
                for name in map(_table_name, _tables({"TransactItems": [entry]})):
                    failed[name] = failed.get(name, 0) + 1
    return failed


def _describe_queues() -> list[dict[str, Any]]:
    # Moto imports a service with its first call, and a module that is being imported has no backends yet.
    backends = getattr(sys.modules.get("moto.sqs.models"), "sqs_backends", None)
    if backends is None:
        return []
    now = time.time()
    described = []
    for queue in list(backends[ACCOUNT_ID][REGION].queues.values()):
        sent = [message.sent_timestamp for message in list(queue._messages) if message.sent_timestamp]  # noqa: SLF001
        described.append(
            {
                "name": queue.name,
                "visible": queue.approximate_number_of_messages,
                "notVisible": queue.approximate_number_of_messages_not_visible,
                "delayed": queue.approximate_number_of_messages_delayed,
                "oldestSeconds": max(0.0, now - min(sent) / 1000) if sent else 0.0,
            }
        )
    return described
