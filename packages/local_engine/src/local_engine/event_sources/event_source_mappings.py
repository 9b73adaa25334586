"""The event source mappings of a stack as one trigger."""

import asyncio
import contextlib
from collections.abc import Mapping

from local_engine.event_sources.batch_runs import BatchRunner
from local_engine.event_sources.mapping_settings import QueueSettings, StreamSettings, read_mappings
from local_engine.event_sources.queue_consumer import QueueConsumer
from local_engine.event_sources.stream_consumer import StreamConsumer, StreamPosition, close_reader
from local_engine.functions.pool import FunctionPool
from local_engine.observer import Observer
from local_engine.services.services_client import ServicesError
from local_engine.template.stack import Stack

type Consumer = QueueConsumer | StreamConsumer


class EventSourceMappings:
    """Runs a consumer for each enabled mapping. An edit restarts the consumers of the mappings that it changes."""

    def __init__(self, endpoint: str, observer: Observer) -> None:
        """Take the URL of the AWS services, and who is told of each run."""
        self._endpoint = endpoint
        self._observer = observer
        self._functions: Mapping[str, FunctionPool] = {}
        self._runner = BatchRunner(self._find_pool, observer)
        self._wanted: Mapping[str, QueueSettings | StreamSettings] = {}
        self._consumers: dict[str, Consumer] = {}
        self._positions: dict[tuple[str, str], StreamPosition] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._restarts: set[asyncio.Task[None]] = set()

    async def serve(self, stack: Stack, functions: Mapping[str, FunctionPool]) -> None:
        """Serve a stack instead of the one before."""
        self._functions = functions
        self._wanted = read_mappings(stack, {name: pool.function for name, pool in functions.items()})
        for logical_id in {*self._wanted, *self._consumers, *(name for name, _ in self._positions)}:
            update = asyncio.create_task(self._update(logical_id))
            self._restarts.add(update)
            update.add_done_callback(self._restarts.discard)
            if logical_id not in self._consumers:
                # What is written from here on is seen. The stop of a consumer waits for its function.
                await asyncio.wait((update,))

    async def close(self) -> None:
        """End all consumers at once."""
        for update in self._restarts:
            update.cancel()
        await asyncio.gather(*self._restarts, return_exceptions=True)
        await asyncio.gather(*(consumer.close() for consumer in self._consumers.values()))

    def _find_pool(self, name: str) -> FunctionPool | None:
        return self._functions.get(name)

    async def _update(self, logical_id: str) -> None:
        async with self._locks.setdefault(logical_id, asyncio.Lock()):
            running = self._consumers.get(logical_id)
            wanted = self._wanted.get(logical_id)
            if running is not None and running.settings != wanted:
                await running.stop()
                del self._consumers[logical_id]
                running = None
            # An edit during the stop starts another update, which waits for this one.
            await self._forget_positions(logical_id, wanted)
            if running is None and wanted is not None and wanted.is_enabled:
                consumer = self._create_consumer(wanted)
                self._consumers[logical_id] = consumer
                await consumer.start()

    def _create_consumer(self, settings: QueueSettings | StreamSettings) -> Consumer:
        if isinstance(settings, QueueSettings):
            return QueueConsumer(settings, self._endpoint, self._runner, self._observer)
        position = self._positions.setdefault((settings.logical_id, settings.source_arn), StreamPosition())
        return StreamConsumer(settings, position, self._endpoint, self._runner, self._observer)

    async def _forget_positions(self, logical_id: str, wanted: QueueSettings | StreamSettings | None) -> None:
        for name, source_arn in list(self._positions):
            if name == logical_id and (wanted is None or wanted.source_arn != source_arn):
                position = self._positions.pop((name, source_arn))
                with contextlib.suppress(ServicesError):
                    await close_reader(self._endpoint, source_arn, position)
