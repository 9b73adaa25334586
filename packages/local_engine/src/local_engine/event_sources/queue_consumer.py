"""Consumes an SQS queue, as Lambda's pollers do.

A failed message becomes visible again after its visibility timeout, shortened as all of Lambda's waits are here, but
after one second at least. Until then the queue's own timeout protects it.

Sources: "Using Lambda with Amazon SQS", "Handling errors for an SQS event source in Lambda", "Configuring scaling
behavior for SQS event source mappings" (AWS Lambda Developer Guide).
"""

import asyncio
import itertools
import json
import math
import time
from collections.abc import Sequence
from typing import Any

from local_engine.event_sources.batch_runs import BatchRunner, FunctionRemoved, fitting_length
from local_engine.event_sources.mapping_settings import QueueSettings
from local_engine.event_sources.queue_events import describe_message, passes
from local_engine.functions.event_queue import SHORTENING
from local_engine.observer import Observer
from local_engine.services.service_calls import call_service
from local_engine.services.services_client import ServicesError

_CONCURRENCY = 5
"""Batches at once. Lambda starts with five."""
_LONGEST_POLL = 20
_LARGEST_RECEIVE = 10
_PAUSE_IN_WINDOW = 0.05
_PAUSE_AFTER_FAULT = 1.0
_LONGEST_PAUSE_FOR_CONCURRENCY = 1.0
# A request that takes longer waits for messages. Cancelling a shorter one could lose what it receives for a while.
_ANSWER_SECONDS = 0.5


class QueueConsumer:
    """Runs the function on the queue's messages until it is stopped."""

    def __init__(self, settings: QueueSettings, endpoint: str, runner: BatchRunner, observer: Observer) -> None:
        self.settings = settings
        self._endpoint = endpoint
        self._runner = runner
        self._observer = observer
        self._url = ""
        self._visibility = 0.0
        self._stopping = asyncio.Event()
        self._slots = asyncio.Semaphore(min(settings.concurrency or _CONCURRENCY, _CONCURRENCY))
        self._polling: asyncio.Task[None] | None = None
        self._batches: set[asyncio.Task[None]] = set()
        self._fault = ""

    async def start(self) -> None:
        """Start to poll."""
        self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Stop to poll, and wait for the batches that run."""
        self._stopping.set()
        if self._polling is not None:
            await self._polling
        await asyncio.gather(*self._batches, return_exceptions=True)

    async def close(self) -> None:
        """End at once. What is not finished becomes visible again after the queue's visibility timeout."""
        tasks = [*self._batches, *([self._polling] if self._polling else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self) -> None:
        while not self._stopping.is_set():
            await self._slots.acquire()
            messages = [] if self._stopping.is_set() else await self._try_gather()
            if not messages:
                self._slots.release()
                continue
            self._fault = ""
            batch = asyncio.create_task(self._process(messages))
            self._batches.add(batch)
            batch.add_done_callback(self._end_batch)

    def _end_batch(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._slots.release()

    async def _try_gather(self) -> list[dict[str, Any]]:
        try:
            return await self._gather_batch()
        except ServicesError as error:
            self._report(str(error))
            await self._pause(_PAUSE_AFTER_FAULT)
            return []

    async def _gather_batch(self) -> list[dict[str, Any]]:
        """Return the records of the next batch; none if the queue is empty."""
        if not self._url:
            queue = await self._call("GetQueueUrl", QueueName=self.settings.source_name)
            attributes = await self._call(
                "GetQueueAttributes", QueueUrl=queue["QueueUrl"], AttributeNames=["VisibilityTimeout"]
            )
            self._visibility = float(attributes["Attributes"]["VisibilityTimeout"])
            self._url = queue["QueueUrl"]
        size = self.settings.batch_size
        records = await self._receive(min(size, _LARGEST_RECEIVE), _LONGEST_POLL)
        deadline = time.monotonic() + self.settings.window
        while records and len(records) < size and time.monotonic() < deadline and not self._stopping.is_set():
            if fitting_length([_size(record) for record in records]) < len(records):
                break
            await self._pause(min(_PAUSE_IN_WINDOW, self.settings.window))
            records += await self._receive(min(size - len(records), _LARGEST_RECEIVE), 0)
        return records

    async def _receive(self, count: int, wait: int) -> list[dict[str, Any]]:
        """Return the records that pass the filters. Lambda deletes the others."""
        receiving = asyncio.create_task(
            self._call(
                "ReceiveMessage",
                QueueUrl=self._url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=wait,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        )
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((receiving, stopping), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((receiving,), timeout=_ANSWER_SECONDS)
        finally:
            stopping.cancel()
            receiving.cancel()
        if not receiving.done() or receiving.cancelled():
            return []
        messages = receiving.result().get("Messages") or ()
        records = [describe_message(message, self.settings.source_arn) for message in messages]
        kept = [record for record in records if passes(record, self.settings.filters)]
        await self._delete([record for record in records if record not in kept])
        return kept

    async def _process(self, records: Sequence[dict[str, Any]]) -> None:
        received = time.monotonic()
        try:
            while records:
                length = fitting_length([_size(record) for record in records])
                batch, records = records[:length], records[length:]
                failed = await self._run(batch, received)
                await self._delete([record for record in batch if record["messageId"] not in failed])
                released = [record for record in batch if record["messageId"] in failed]
                if failed and self.settings.source_arn.endswith(".fifo"):
                    # What follows a failed message must not overtake it.
                    released, records = [*released, *records], []
                await self._release(released, received)
        except ServicesError as error:
            self._report(str(error))

    async def _run(self, batch: Sequence[dict[str, Any]], received: float) -> frozenset[str]:
        """Return the IDs of the messages that failed. Throttled runs are repeated while the messages are invisible."""
        ids = [record["messageId"] for record in batch]
        for throttles in itertools.count():
            try:
                result = await self._runner.run(self.settings, batch, ids)
            except FunctionRemoved:
                return frozenset(ids)
            pause = min(0.05 * 2**throttles, _LONGEST_PAUSE_FOR_CONCURRENCY)
            is_late = time.monotonic() + pause - received > self._visibility / 2
            if not result.is_throttled or is_late or self._stopping.is_set():
                return result.failed
            await self._pause(pause)
        raise AssertionError

    async def _delete(self, records: Sequence[dict[str, Any]]) -> None:
        await self._call_in_batches("DeleteMessageBatch", records)

    async def _release(self, records: Sequence[dict[str, Any]], received: float) -> None:
        """Let failed messages become visible after the shortened rest of their timeout."""
        left = self._visibility - (time.monotonic() - received)
        if left > 1:
            seconds = math.ceil(left / SHORTENING)
            await self._call_in_batches("ChangeMessageVisibilityBatch", records, VisibilityTimeout=seconds)

    async def _call_in_batches(self, action: str, records: Sequence[dict[str, Any]], **more: Any) -> None:
        for batch in itertools.batched(records, _LARGEST_RECEIVE, strict=False):
            entries = [
                {"Id": str(number), "ReceiptHandle": record["receiptHandle"], **more}
                for number, record in enumerate(batch)
            ]
            await self._call(action, QueueUrl=self._url, Entries=entries)

    async def _call(self, action: str, **parameters: Any) -> dict[str, Any]:
        return await call_service(self._endpoint, "sqs", f"AmazonSQS.{action}", parameters)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the consumer is stopped."""
        waiting = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((waiting,), timeout=seconds)
        finally:
            waiting.cancel()

    def _report(self, fault: str) -> None:
        # Once, although it is tried again and again.
        if fault != self._fault:
            self._observer.fault_found(self.settings.logical_id, fault)
        self._fault = fault


def _size(record: dict[str, Any]) -> int:
    return len(json.dumps(record))
