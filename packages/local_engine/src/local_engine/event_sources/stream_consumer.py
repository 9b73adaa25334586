"""Consumes the stream of a DynamoDB table, as Lambda's pollers do.

The records of an item are processed in order: with a `ParallelizationFactor`, an item's records go to one lane, and a
lane runs one batch at a time. A batch that fails is repeated until it succeeds or is discarded. The waits between are
one second, doubled to one minute at most, and are shortened as all of Lambda's waits are here; a record's age counts
them in full.

Sources: "Using AWS Lambda with Amazon DynamoDB", "Retain discarded records for a DynamoDB event source in Lambda",
"Configuring partial batch response with DynamoDB and Lambda" (AWS Lambda Developer Guide).
"""

import asyncio
import json
import secrets
import time
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from local_engine.event_bus.event_pattern import matches
from local_engine.event_sources.batch_runs import BatchResult, BatchRunner, FunctionRemoved, fitting_length
from local_engine.event_sources.failure_destination import Discard, send_discard
from local_engine.event_sources.mapping_settings import FOREVER, StreamSettings
from local_engine.functions.event_queue import SHORTENING
from local_engine.observer import Observer
from local_engine.services.service_calls import READ_STREAM, call_service
from local_engine.services.services_client import ServicesError

_LONGEST_POLL = 20
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_PAUSE_AFTER_FAULT = 1.0
_FEWEST_BUFFERED = 1000
_RETENTION = 24 * 60 * 60


@dataclass
class StreamPosition:
    """How far a mapping has come. It outlives edits of the mapping."""

    reader: str = field(default_factory=lambda: secrets.token_hex(8))
    last: int | None = None
    """Number of the last record that was read."""
    waiting: list[dict[str, Any]] = field(default_factory=list)
    """Records that were read and not processed, in order."""


class _Lane:
    """Records that are processed one batch after the other."""

    def __init__(self) -> None:
        self.records: deque[dict[str, Any]] = deque()
        self.filled = asyncio.Event()

    def add(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        self.filled.set()

    def first(self, count: int) -> list[dict[str, Any]]:
        return [self.records[index] for index in range(min(count, len(self.records)))]

    def complete(self, count: int) -> None:
        for _ in range(count):
            self.records.popleft()


class StreamConsumer:
    """Runs the function on the stream's records until it is stopped."""

    def __init__(
        self,
        settings: StreamSettings,
        position: StreamPosition,
        endpoint: str,
        runner: BatchRunner,
        observer: Observer,
    ) -> None:
        self.settings = settings
        self._position = position
        self._endpoint = endpoint
        self._runner = runner
        self._observer = observer
        self._lanes = [_Lane() for _ in range(settings.lanes)]
        self._stopping = asyncio.Event()
        self._progress = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._reading: asyncio.Task[None] | None = None
        self._fault = ""

    async def start(self) -> None:
        """Find the starting position, then start to read."""
        if self._position.last is None:
            try:
                await self._open()
            except ServicesError as error:
                self._report(str(error))
        for record in self._position.waiting:
            self._find_lane(record).add(record)
        self._position.waiting = []
        self._reading = asyncio.create_task(self._read())
        self._tasks = [asyncio.create_task(self._run_lane(lane)) for lane in self._lanes]

    async def stop(self) -> None:
        """Stop to read, and wait for the batches that run. What is not processed goes back to the position."""
        self._stopping.set()
        if self._reading is not None:
            # What it has asked for is not lost: the position says what was taken.
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = (record for lane in self._lanes for record in lane.records)
        self._position.waiting = sorted(left, key=_number)

    async def close(self) -> None:
        """End at once."""
        tasks = [*self._tasks, *([self._reading] if self._reading else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _open(self) -> None:
        answer = await self._call(StartingPosition=self.settings.starting_position)
        self._position.last = int(answer["Last"])

    async def _read(self) -> None:
        limit = max(_FEWEST_BUFFERED, 2 * self.settings.batch_size * self.settings.lanes)
        while True:
            try:
                if self._position.last is None:
                    await self._open()
                answer = await self._call(After=self._position.last, Limit=limit, WaitTimeSeconds=_LONGEST_POLL)
            except ServicesError as error:
                self._report(str(error))
                await asyncio.sleep(_PAUSE_AFTER_FAULT)
                continue
            self._fault = ""
            if answer["IsIncomplete"]:
                self._observer.fault_found(
                    self.settings.logical_id,
                    "Records were dropped because the function is too far behind, as DynamoDB does after 24 hours.",
                )
            self._position.last = int(answer["Last"])
            for record in answer["Records"]:
                record["eventSourceARN"] = self.settings.source_arn
                if not self.settings.filters or any(matches(pattern, record) for pattern in self.settings.filters):
                    self._find_lane(record).add(record)
            while sum(len(lane.records) for lane in self._lanes) >= limit:
                self._progress.clear()
                await self._progress.wait()

    def _find_lane(self, record: dict[str, Any]) -> _Lane:
        key = json.dumps(record["dynamodb"]["Keys"], sort_keys=True)
        return self._lanes[zlib.crc32(key.encode()) % len(self._lanes)]

    async def _run_lane(self, lane: _Lane) -> None:
        while not self._stopping.is_set():
            if not lane.records:
                lane.filled.clear()
                await self._wait_for(lane.filled, None)
                continue
            deadline = time.monotonic() + self.settings.window
            size = self.settings.batch_size
            while len(lane.records) < size and (left := deadline - time.monotonic()) > 0:
                lane.filled.clear()
                await self._wait_for(lane.filled, left)
                if self._stopping.is_set():
                    return
            batch = lane.first(size)
            try:
                await self._process(lane, fitting_length([len(json.dumps(record)) for record in batch]))
            except FunctionRemoved:
                # The records stay for the mapping's next settings.
                await self._wait_for(self._stopping, None)

    async def _process(self, lane: _Lane, size: int, runs: int = 0) -> None:
        """Process a lane's first records until each has succeeded or is discarded, or the consumer is stopped.

        Args:
            lane: the lane.
            size: how many records.
            runs: how often these records failed already, splits not counted.
        """
        waited = 0.0
        wait = _FIRST_WAIT
        result = BatchResult("", frozenset())
        while size and not self._stopping.is_set():
            batch = lane.first(size)
            expired = sum(self._is_expired(record, waited) for record in batch)
            if expired:
                await self._discard(batch[:expired], "RecordAgeExceeded", runs, result)
                size -= self._complete(lane, expired)
                continue
            ids = [record["dynamodb"]["SequenceNumber"] for record in batch]
            result = await self._runner.run(self.settings, batch, ids, _age(batch[-1]) * 1000)
            if not result.failed:
                self._complete(lane, size)
                return
            if not result.is_throttled:
                # The records before the first failed one have succeeded.
                checkpoint = min(ids.index(name) for name in result.failed)
                size -= self._complete(lane, checkpoint)
                if self.settings.bisects and (checkpoint or size > 1):
                    # A split is no retry.
                    if not checkpoint:
                        half = size // 2
                        await self._process(lane, half, runs)
                        # If the consumer is stopped, the records that are left stay in the lane.
                        size -= half
                    continue
                runs += 1
                if self.settings.retries != FOREVER and runs > self.settings.retries:
                    await self._discard(lane.first(size), "RetryAttemptsExhausted", runs, result)
                    self._complete(lane, size)
                    return
            await self._wait_for(self._stopping, wait / SHORTENING)
            waited += wait
            wait = min(2 * wait, _LONGEST_WAIT)

    def _complete(self, lane: _Lane, count: int) -> int:
        lane.complete(count)
        self._progress.set()
        return count

    def _is_expired(self, record: dict[str, Any], waited: float) -> bool:
        limit = _RETENTION if self.settings.max_age == FOREVER else self.settings.max_age
        return _age(record) + waited > limit

    async def _discard(self, batch: Sequence[dict[str, Any]], condition: str, runs: int, result: BatchResult) -> None:
        settings = self.settings
        discard = Discard(settings, batch, condition, runs, result)
        outcome = "They have no destination."
        if settings.on_failure:
            try:
                await send_discard(discard, settings.on_failure, self._endpoint)
                outcome = f"{settings.on_failure} has the record of them."
            except ServicesError as error:
                outcome = f"Their record cannot be sent: {error}"
        counted = f"{len(batch)} record{'s' * (len(batch) != 1)} of {settings.source}"
        self._observer.fault_found(settings.logical_id, f"{counted} discarded: {condition}. {outcome}")

    async def _call(self, **parameters: Any) -> dict[str, Any]:
        request = {"TableName": self.settings.source_name, "Reader": self._position.reader, **parameters}
        return await call_service(self._endpoint, "dynamodb", READ_STREAM, request)

    async def _wait_for(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait for an event, but not longer than until the consumer is stopped."""
        waiting = [asyncio.create_task(entry.wait()) for entry in (event, self._stopping)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def _report(self, fault: str) -> None:
        # Once, although it is tried again and again.
        if fault != self._fault:
            self._observer.fault_found(self.settings.logical_id, fault)
        self._fault = fault


def _number(record: dict[str, Any]) -> int:
    return int(record["dynamodb"]["SequenceNumber"])


def _age(record: dict[str, Any]) -> float:
    return max(0.0, time.time() - float(record["dynamodb"]["ApproximateCreationDateTime"]))


async def close_reader(endpoint: str, stream_arn: str, position: StreamPosition) -> None:
    """Tell the services that a mapping is gone, so that they keep no records for it."""
    request = {"TableName": stream_arn.split("/")[1], "Reader": position.reader, "Close": True}
    await call_service(endpoint, "dynamodb", READ_STREAM, request)
