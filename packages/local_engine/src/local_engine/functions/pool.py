"""Runs Lambda functions in separate processes, as many at once as there are requests."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_engine.building.folders import watch_folder
from local_engine.building.requirements import BuildError
from local_engine.building.search_paths import Builder
from local_engine.child_environment import AWS_SETTINGS, X_RAY_DAEMON
from local_engine.functions.runtime import ERROR, INVOKE, PREFIX, READY
from local_engine.observer import Observer
from local_engine.template.stack import Function

_RUNTIME = Path(__file__).with_name("runtime.py")
# Seconds that a request waits for a busy process before another one starts. A start takes longer, so waiting for a
# process that is about to answer pays off.
_PATIENCE = 0.05
# Lambda gives initialization ten seconds. If that is not enough, it starts again within the function's own timeout.
_INITIALIZATION_SECONDS = 10.0
# What a function under a debugger believes to have left.
_DEBUG_SECONDS = 24 * 60 * 60
_CHUNK = 64 * 1024
_COVERAGE = {"COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"}


class FunctionError(Exception):
    """A function gave no result. The message is a sentence, followed by the traceback if there is one."""

    def __init__(
        self, message: str, error_type: str, error_message: str, stack_trace: Sequence[str] | None = None
    ) -> None:
        """Take the sentence and what Lambda reports of an error. Without a stack trace, no code raised it."""
        super().__init__(message)
        self._type = error_type
        self._message = error_message
        self._stack_trace = stack_trace

    def describe(self, request_id: str) -> dict[str, Any]:
        """Return the payload of Lambda's response ("Lambda function errors in Python")."""
        if self._stack_trace is None:
            return {"errorType": self._type, "errorMessage": f"RequestId: {request_id} Error: {self._message}"}
        return {
            "errorMessage": self._message,
            "errorType": self._type,
            "requestId": request_id,
            "stackTrace": list(self._stack_trace),
        }


class FunctionUnavailable(FunctionError):
    """A function cannot be built, so it does not run."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, "Runtime.BuildError", sentence)


class ConcurrencyExceeded(Exception):
    """All of a function's reserved concurrency is in use."""


@dataclass(frozen=True)
class FunctionSettings:
    """What all functions of a stack share."""

    observer: Observer
    lifeline: int
    """Reading end of a pipe that closes when the engine ends."""
    largest_pool: int
    """Most processes of one function. Further requests wait."""
    builder: Builder
    endpoint: str | None
    """URL of the AWS services. None leaves it to the template's own variables."""
    lambda_endpoint: str | None
    """URL of Lambda's API, which `endpoint` does not serve. None as above."""
    debugged: str | None = None
    """Logical ID of the function that runs under a debugger."""
    debug_port: int = 0
    """Where a debugger can attach to it."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function's result."""

    payload: bytes
    cold: bool
    """Whether its process was started for this request."""


class FunctionPool:
    """The processes of one function. Each takes one request at a time and is reused."""

    def __init__(self, function: Function, settings: FunctionSettings) -> None:
        self.function = function
        self.is_debugged = function.logical_id == settings.debugged
        self._settings = settings
        self._observer = settings.observer
        self._largest = 1 if self.is_debugged else settings.largest_pool
        self._idle: list[_Process] = []
        self._processes: set[_Process] = set()
        self._waiting: deque[asyncio.Future[_Process]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
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
        """Invoke the function.

        Args:
            event: the event in JSON.
            qualifier: the version or alias in the call, shown in the context's ARN.
            request_id: shown in the context. None for a new one.

        Raises:
            FunctionError: the function raised, crashed, timed out, or returned something too large or not JSON.
            ConcurrencyExceeded: all of the function's reserved concurrency is in use.
        """
        function = self.function
        reserved = function.reserved_concurrency
        if reserved is not None and self._running >= reserved:
            self._observer.invocation_throttled(function, qualifier)
            raise ConcurrencyExceeded(f"{function.name} runs {self._running} requests, which is all that it reserves.")
        self._running += 1
        try:
            seen = [watch.look() for watch in self._watches]
            if self._seen and seen != self._seen:
                self._generation += 1
                self._kill_idle()
            self._seen = seen
            return await self._run(event, qualifier, request_id)
        finally:
            self._running -= 1
            self._finished.set()

    async def _run(self, event: bytes, qualifier: str | None, request_id: str | None) -> Invocation:
        self._observer.invocation_started(self.function, qualifier, self._running)
        started = time.monotonic()
        is_error = True
        try:
            process = await self._acquire()
            # The start of a process is not part of a function's duration.
            started = time.monotonic()
            cold = process.is_new
            try:
                result = Invocation(await process.invoke(event, qualifier, request_id), cold)
            finally:
                self._release(process)
            is_error = False
            return result
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            self._observer.invocation_ended(self.function, qualifier, milliseconds, is_error)

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
        self._idle.clear()

    async def _acquire(self) -> "_Process":
        while self._idle:
            # The process used last has the warmest caches.
            process = self._idle.pop()
            if process.is_alive:
                return process
            self._discard(process)
        waiting: asyncio.Future[_Process] = asyncio.get_running_loop().create_future()
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
        process = _Process(self.function, self._settings, self._generation)
        self._processes.add(process)
        task = asyncio.create_task(self._start(process))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, process: "_Process") -> None:
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

    def _release(self, process: "_Process") -> None:
        if not process.is_alive or process.generation != self._generation:
            self._discard(process)
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._start_process)
        elif (waiting := self._next_waiting()) is not None:
            waiting.set_result(process)
        else:
            self._idle.append(process)

    def _next_waiting(self) -> "asyncio.Future[_Process] | None":
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                return waiting
        return None

    def _kill_idle(self) -> None:
        while self._idle:
            self._discard(self._idle.pop())

    def _discard(self, process: "_Process") -> None:
        process.kill()
        self._processes.discard(process)


class _Process:
    """An execution environment: a process that has imported the handler."""

    def __init__(self, function: Function, settings: FunctionSettings, generation: int) -> None:
        self.generation = generation
        self.is_new = True
        self._function = function
        self._settings = settings
        self._is_debugged = function.logical_id == settings.debugged
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._pipes: list[asyncio.ReadTransport] = []
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None and not self._reader.at_eof()

    async def start(self) -> None:
        """Start the process and wait until it has imported the handler.

        Raises:
            FunctionError: the import fails or takes too long.
            BuildError: the function's code or packages cannot be built.
        """
        function = self._function
        tools = (*(["coverage"] if _COVERAGE & os.environ.keys() else []), *(["debugpy"] if self._is_debugged else []))
        search_path = await self._settings.builder.find_search_path(function, tools)
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as outputs:
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                # Unbuffered, so that each line shows at once; without the script's own folder on the path, and without
                # this environment's packages.
                "-uPS",
                # A debugger cannot stop in frozen modules, and warns about them.
                *(("-X", "frozen_modules=off") if self._is_debugged else ()),
                str(_RUNTIME),
                str(theirs.fileno()),
                str(self._settings.lifeline),
                json.dumps({"folders": search_path.folders, "sources": search_path.sources}, default=str),
                *((str(self._settings.debug_port),) if self._is_debugged else ()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=await self._open_output(outputs),
                stderr=await self._open_output(outputs),
                cwd=search_path.task_root,
                env=_environment(
                    function, search_path.task_root, self._settings.endpoint, self._settings.lambda_endpoint
                ),
                pass_fds=(theirs.fileno(), self._settings.lifeline),
                # Its own process group: Ctrl-C reaches only the engine, and the function's children end with it.
                start_new_session=True,
            )
        self._tasks.append(asyncio.create_task(self._watch(self._process)))
        kind, payload = await self._receive(_INITIALIZATION_SECONDS + function.timeout, "Initialization")
        if kind != READY:
            raise _read_error("cannot be imported", payload)

    async def invoke(self, event: bytes, qualifier: str | None, request_id: str | None) -> bytes:
        """Give an event to the handler and return its result in JSON.

        Raises:
            FunctionError: as `FunctionPool.invoke`.
        """
        self.is_new = False
        seconds = _DEBUG_SECONDS if self._is_debugged else self._function.timeout
        deadline = (time.time() + seconds) * 1000
        details = {
            "requestId": request_id or str(uuid.uuid4()),
            "deadline": deadline,
            "arn": f"{self._function.arn}:{qualifier}" if qualifier else self._function.arn,
            "traceId": _make_trace_header(),
        }
        message = json.dumps(details)[:-1].encode() + b', "event": ' + event + b"}"
        self._writer.write(PREFIX.pack(len(message), INVOKE))
        self._writer.write(message)
        kind, payload = await self._receive(self._function.timeout, "Task")
        if kind == ERROR:
            raise _read_error("raised an error", payload)
        return payload

    def kill(self) -> None:
        """Kill the process and its children. Harmless if it has ended."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        self.kill()
        if self._process is not None:
            await self._process.wait()
        for task in self._tasks:
            task.cancel()
        for pipe in self._pipes:
            pipe.close()

    async def _receive(self, seconds: float, what: str) -> tuple[bytes, bytes]:
        """Read the process's next message. If it is late, the process ends, except under a debugger."""
        try:
            async with asyncio.timeout(None if self._is_debugged else seconds):
                size, kind = PREFIX.unpack(await self._reader.readexactly(PREFIX.size))
                return kind, await self._reader.readexactly(size)
        except TimeoutError:
            self.kill()
            message = f"{what} timed out after {seconds:.2f} seconds"
            raise FunctionError(f"{message}.", "Sandbox.Timedout", message) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            self.kill()
            status = await self._process.wait() if self._process is not None else 0
            end = _describe_end(status)
            raise FunctionError(f"The process {end}.", "Runtime.ExitError", f"Runtime {end}") from None

    async def _open_output(self, outputs: contextlib.ExitStack) -> int:
        """Return the writing end of a pipe whose lines are reported; `outputs` closes it.

        asyncio's own pipes would make `Process.wait` wait for all who hold them, such as a daemon of the function.
        """
        reading, writing = os.pipe()
        outputs.callback(os.close, writing)
        stream = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb", 0)
        )
        self._pipes.append(pipe)
        self._tasks.append(asyncio.create_task(self._copy_lines(stream)))
        return writing

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        # A child of the function may keep the socket open, so a closed socket is not enough.
        await process.wait()
        self.kill()
        self._writer.close()
        if not self._reader.at_eof():
            self._reader.feed_eof()

    async def _copy_lines(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._settings.observer.line_written(self._function, line.decode("utf-8", "replace"))
        if rest:
            self._settings.observer.line_written(self._function, rest.decode("utf-8", "replace"))


def _environment(
    function: Function, task_root: Path, endpoint: str | None, lambda_endpoint: str | None
) -> dict[str, str]:
    """Return the variables that Lambda sets ("Defined runtime environment variables") and those of the template."""
    environment = {
        **AWS_SETTINGS,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]{secrets.token_hex(16)}",
        "LAMBDA_TASK_ROOT": str(task_root),
        "LANG": "en_US.UTF-8",
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONUTF8": "1",
        "TZ": ":UTC",
        "_HANDLER": function.handler,
        **_developer_settings(os.environ),
        **function.environment,
    }
    if endpoint is not None:
        environment["AWS_ENDPOINT_URL"] = endpoint
    if lambda_endpoint is not None:
        environment["AWS_ENDPOINT_URL_LAMBDA"] = lambda_endpoint
    return environment


def _developer_settings(environment: Mapping[str, str]) -> dict[str, str]:
    # Coverage is measured in the functions' own processes, and a running X-Ray daemon gets their traces.
    return {name: environment[name] for name in (*_COVERAGE, X_RAY_DAEMON) if name in environment}


def _make_trace_header() -> str:
    """Return the tracing header of an invocation ("Tracing header"), sampled if an X-Ray daemon is set."""
    parent = secrets.token_hex(8)
    sampled = int(X_RAY_DAEMON in os.environ)
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={parent};Sampled={sampled}"


def _read_error(what: str, payload: bytes) -> FunctionError:
    error: dict[str, Any] = json.loads(payload)
    place = f" at {error['place'][0]}, line {error['place'][1]}" if error["place"] else ""
    sentence = f"The function {what}{place}: {error['errorType']}: {error['errorMessage']}"
    message = f"{sentence}\n{error['traceback'].rstrip()}"
    return FunctionError(message, error["errorType"], error["errorMessage"], error["stackTrace"])


def _describe_end(status: int) -> str:
    if status < 0:
        return f"was ended by signal {signal.Signals(-status).name}"
    return f"exited with status {status} before it answered"
