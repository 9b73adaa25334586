"""Runs Lambda functions in separate processes, as many at once as there are requests."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator

from local_engine.building.folders import watch_folder
from local_engine.building.requirements import BuildError
from local_engine.functions.invocation import (
    ConcurrencyExceeded,
    FunctionError,
    FunctionUnavailable,
    Invocation,
    Result,
)
from local_engine.functions.process import FunctionSettings, Process, SocketProcess
from local_engine.functions.wrapped_process import WrappedProcess, is_wrapped
from local_engine.template.stack import Function

# Seconds that a request waits for a busy process before another one starts. A start takes longer, so waiting for a
# process that is about to answer pays off.
_PATIENCE = 0.05


class FunctionPool:
    """The processes of one function. Each takes one request at a time and is reused."""

    def __init__(self, function: Function, settings: FunctionSettings) -> None:
        self.function = function
        self.is_debugged = function.logical_id == settings.debugged
        self._settings = settings
        self._observer = settings.observer
        self._largest = 1 if self.is_debugged else settings.largest_pool
        self._idle: list[Process] = []
        self._processes: set[Process] = set()
        self._waiting: deque[asyncio.Future[Process]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self._running = 0
        self._finished = asyncio.Event()
        self._watches = [watch_folder(code.path) for code in (function.code, *function.layers)]
        self._seen: list[int] = []
        self._generation = 0

    async def build(self) -> None:
        """Build what the function lacks before its first request. A failure is reported by the builder."""
        with contextlib.suppress(BuildError):
            await self._settings.builder.find_search_path(self.function)

    def start_ahead(self) -> None:
        """Start a process before the first request, so that a debugger finds it."""
        self._add_process()

    async def invoke(self, event: bytes, qualifier: str | None = None, request_id: str | None = None) -> Invocation:
        """Invoke the function and return its whole result.

        Args:
            event: the event in JSON.
            qualifier: the version or alias in the call, shown in the context's ARN.
            request_id: shown in the context. None for a new one.

        Raises:
            FunctionError: the function raised, crashed, timed out, or returned something too large or not JSON.
            ConcurrencyExceeded: all of the function's reserved concurrency is in use.
        """
        async with self.stream(event, qualifier, request_id) as result:
            return Invocation(await result.read(), result.cold)

    @contextlib.asynccontextmanager
    async def stream(
        self, event: bytes, qualifier: str | None = None, request_id: str | None = None
    ) -> AsyncIterator[Result]:
        """Invoke the function; the block gets its result as it arrives.

        The function waits for a slow block. It goes on if the block ends early, as in Lambda, and what it still sends
        is dropped. A result that is not streamed is one chunk.

        Args and Raises: as `invoke`. Iterating over the result raises `FunctionError` as well.
        """
        function = self.function
        reserved = function.reserved_concurrency
        if reserved is not None and self._running >= reserved:
            self._observer.invocation_throttled(function, qualifier)
            raise ConcurrencyExceeded(f"{function.name} runs {self._running} requests, which is all that it reserves.")
        self._running += 1
        process: Process | None = None
        result: Result | None = None
        started = time.monotonic()
        try:
            seen = [watch.look() for watch in self._watches]
            if self._seen and seen != self._seen:
                self._generation += 1
                self._kill_idle()
            self._seen = seen
            self._observer.invocation_started(function, qualifier, self._running)
            process = await self._acquire()
            # The start of a process is not part of a function's duration.
            started = time.monotonic()
            result = await process.invoke(event, qualifier, request_id)
            yield result
        finally:
            if process is None or process.is_settled:
                self._end(process, qualifier, started, is_error=result is None or result.error is not None)
            else:
                settling = asyncio.create_task(self._settle(process, result, qualifier, started))
                self._settling.add(settling)
                settling.add_done_callback(self._settling.discard)

    async def _settle(self, process: Process, result: Result | None, qualifier: str | None, started: float) -> None:
        """Wait for a function that works on after its result, or whose result nobody reads."""
        error = await process.settle()
        if error is not None and result is not None and result.error is None:
            self._observer.fault_found(self.function.logical_id, str(error))
        is_error = error is not None or result is None or result.error is not None
        self._end(process, qualifier, started, is_error=is_error)

    def _end(self, process: Process | None, qualifier: str | None, started: float, *, is_error: bool) -> None:
        if process is not None:
            self._release(process)
        milliseconds = (time.monotonic() - started) * 1000
        self._observer.invocation_ended(self.function, qualifier, milliseconds, is_error)
        self._running -= 1
        self._finished.set()

    async def retire(self) -> None:
        """Wait for the running requests, then end every process."""
        while self._running:
            self._finished.clear()
            await self._finished.wait()
        await self.close()

    async def close(self) -> None:
        """Kill every process, whatever it is doing."""
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(process.close() for process in self._processes))
        await asyncio.gather(*self._settling, return_exceptions=True)
        self._idle.clear()

    async def _acquire(self) -> Process:
        while self._idle:
            # The process used last has the warmest caches.
            process = self._idle.pop()
            if process.is_alive:
                return process
            self._discard(process)
        waiting: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        if len(self._processes) > len(self._starting):
            await asyncio.wait((waiting,), timeout=_PATIENCE)
        if not waiting.done():
            self._start_process()
        return await waiting

    def _start_process(self) -> None:
        waiting = sum(not future.done() for future in self._waiting)
        if len(self._starting) < waiting and len(self._processes) < self._largest:
            self._add_process()

    def _add_process(self) -> None:
        kind = WrappedProcess if is_wrapped(self.function) else SocketProcess
        process = kind(self.function, self._settings, self._generation)
        self._processes.add(process)
        task = asyncio.create_task(self._start(process))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, process: Process) -> None:
        try:
            try:
                await process.start()
            finally:
                # Whoever is woken by the outcome counts the starts at once.
                if (task := asyncio.current_task()) is not None:
                    self._starting.discard(task)
        except (FunctionError, BuildError, OSError, ValueError) as error:
            self._discard(process)
            # The system refuses to start a process if, for example, the function's folder is gone.
            if isinstance(error, FunctionError):
                fault = error
            elif isinstance(error, BuildError):
                fault = FunctionUnavailable(str(error))
            else:
                fault = FunctionError(f"{error}.", "Runtime.InvalidEntrypoint", str(error))
            if (waiting := self._next_waiting()) is not None:
                waiting.set_exception(fault)
            else:
                self._observer.fault_found(self.function.logical_id, str(fault))
            # Otherwise the requests behind this one would wait forever.
            if not self._processes:
                self._start_process()
        else:
            self._release(process)

    def _release(self, process: Process) -> None:
        if not process.is_alive or process.generation != self._generation:
            self._discard(process)
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._start_process)
        elif (waiting := self._next_waiting()) is not None:
            waiting.set_result(process)
        else:
            self._idle.append(process)

    def _next_waiting(self) -> asyncio.Future[Process] | None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                return waiting
        return None

    def _kill_idle(self) -> None:
        while self._idle:
            self._discard(self._idle.pop())

    def _discard(self, process: Process) -> None:
        process.kill()
        self._processes.discard(process)
