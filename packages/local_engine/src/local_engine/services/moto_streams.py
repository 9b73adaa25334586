"""DynamoDB streams in moto: DynamoDB's rules for records, and reading by event source mappings.

A mapping reads through `LocalEngine.ReadStream`, a request of this process's own, which waits for a record and says how
far the mapping has come. So records that a slow mapping has not read are kept, and no others.

Sources: "Change data capture for DynamoDB Streams" (DynamoDB Developer Guide), "Using Lambda to process records from
Amazon DynamoDB Streams" (AWS Lambda Developer Guide).
"""

import itertools
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import StreamRecord, StreamShard

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.services.dynamodb_responses import wire_form

MOST_UNREAD = 256 * 1024 * 1024
"""Bytes of a stream's records that wait for a slow reader, before the oldest are dropped."""
_SHARD_DISTANCE = 10**12

_create_shard, _get_records = StreamShard.__init__, StreamShard.get
_shards = itertools.count()


def install_stream_rules() -> None:
    """Replace the methods that make a stream and its records."""
    StreamShard.__init__ = _start_shard  # type: ignore[assignment,method-assign]
    StreamShard.add = add_record  # type: ignore[assignment,method-assign]
    StreamShard.get = get_records  # type: ignore[assignment,method-assign]


def _start_shard(shard: StreamShard, account_id: str, table: Any) -> None:
    _create_shard(shard, account_id, table)
    # The numbers of a table that is created again come after those of the earlier one.
    shard.starting_sequence_number += next(_shards) * _SHARD_DISTANCE


def add_record(shard: StreamShard, old: Item | None, new: Item | None) -> None:
    """Replace the shard's own method, which writes two records if UpdateItem creates an item."""
    view = shard.table.stream_specification["StreamViewType"]  # type: ignore[index]
    if old is not None and new is not None and old.attrs == new.attrs:
        # A write that changes nothing has no record.
        return
    event = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    number = shard.starting_sequence_number + len(shard.items)
    record: Any = StreamRecord(shard.table, view, event, old, new, number)
    if event == "INSERT" and shard.items:
        # UpdateItem in moto puts an item with its key alone first.
        last = shard.items[-1].record
        if last["eventName"] == "INSERT" and last["dynamodb"]["Keys"] == record.record["dynamodb"]["Keys"]:
            record.record["dynamodb"]["SequenceNumber"] = last["dynamodb"]["SequenceNumber"]
            shard.items[-1] = record
            return
    shard.items.append(record)


def get_records(shard: StreamShard, start: int, quantity: int) -> list[dict[str, Any]]:
    """Replace the shard's own method, which fails if the first record is not kept any more ("GetRecords")."""
    if start < shard.starting_sequence_number:
        raise JsonRESTError(
            "TrimmedDataAccessException", "The record of the iterator is older than the oldest in the shard"
        )
    return _get_records(shard, start, quantity)


@dataclass
class _StreamLog:
    """The records of a table that are not yet read by all its readers."""

    shard: StreamShard | None = None
    records: deque[tuple[int, bytes]] = field(default_factory=deque)
    size: int = 0
    last: int = 0
    """Number of the newest record."""
    dropped: int = 0
    """Number of the newest record that was dropped before all had read it."""
    positions: dict[str, int] = field(default_factory=dict)
    """By reader, the number of the last record that it has read."""


class StreamLogs:
    """The logs of the tables that have readers, by the tables' names."""

    def __init__(self) -> None:
        self._logs: dict[str, _StreamLog] = {}

    def collect(self) -> bool:
        """Copy new records of the tables. Call it after each request that may write; returns whether there are any."""
        grown = [self._collect(name, log) for name, log in self._logs.items()]
        return any(grown)

    def read(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request.

        Args:
            request: `TableName` and `Reader`, a name. The first request has `StartingPosition`, the others `After`, the
                number of the last record that the reader has taken, and `Limit`. With `Close`, the reader ends. With
                `Forget` instead of a reader, the table's records so far are dropped.

        Returns:
            `Records` in the form of Lambda's events, `Last`, the number of the last one, and `IsIncomplete`, whether
            records before them were dropped. For the first request only `Last`.
        """
        name = request["TableName"]
        if request.get("Forget"):
            _forget_records(name)
            return {}
        reader = request["Reader"]
        if request.get("Close"):
            self._close(name, reader)
            return {}
        log = self._open(name)
        if "StartingPosition" in request:
            start = log.records[0][0] - 1 if log.records and request["StartingPosition"] != "LATEST" else log.last
            log.positions[reader] = start
            return {"Last": start}
        after = int(request["After"])
        log.positions[reader] = after
        read_by_all = min(log.positions.values())
        while log.records and log.records[0][0] <= read_by_all:
            log.size -= len(log.records.popleft()[1])
        found = (entry for entry in log.records if entry[0] > after)
        taken = list(itertools.islice(found, int(request["Limit"])))
        return {
            "Records": [json.loads(content) for _, content in taken],
            "Last": taken[-1][0] if taken else after,
            "IsIncomplete": after < log.dropped,
        }

    def _open(self, name: str) -> _StreamLog:
        log = self._logs.setdefault(name, _StreamLog())
        self._collect(name, log)
        return log

    def _close(self, name: str, reader: str) -> None:
        log = self._logs.get(name)
        if log is not None:
            log.positions.pop(reader, None)
            if not log.positions:
                del self._logs[name]

    def _collect(self, name: str, log: _StreamLog) -> bool:
        shard = _find_shard(name)
        if shard is None:
            return False
        if log.shard is not shard:
            log.shard = shard
            log.last = max(log.last, shard.starting_sequence_number - 1)
        first = max(0, log.last + 1 - shard.starting_sequence_number)
        if first >= len(shard.items):
            return False
        for record in shard.items[first:]:
            content = json.dumps(describe_record(record)).encode()
            log.last = int(record.record["dynamodb"]["SequenceNumber"])
            log.records.append((log.last, content))
            log.size += len(content)
        while log.size > MOST_UNREAD:
            log.dropped, content = log.records.popleft()
            log.size -= len(content)
        return True


def _find_shard(name: str) -> StreamShard | None:
    table = dynamodb_backends[ACCOUNT_ID][REGION].tables.get(name)
    return table.stream_shard if table else None


def _forget_records(name: str) -> None:
    if shard := _find_shard(name):
        # A record's number is its position after the first one.
        shard.starting_sequence_number += len(shard.items)
        shard.items.clear()


def describe_record(record: StreamRecord) -> dict[str, Any]:
    """Return a record in the form of Lambda's events, without the stream's ARN."""
    change = dict(record.record["dynamodb"])
    written = change["ApproximateCreationDateTime"].replace(tzinfo=UTC)
    change["ApproximateCreationDateTime"] = int(written.timestamp())
    for name in ("Keys", "NewImage", "OldImage"):
        if name in change:
            change[name] = {attribute: wire_form(value) for attribute, value in change[name].items()}
    described = {
        "eventID": record.record["eventID"],
        "eventName": record.record["eventName"],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": change,
    }
    if identity := record.record.get("userIdentity"):
        described["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
    return described
