"""Runs Lambda functions in processes of their own, as many at once as there are requests."""

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import signal
import socket
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_engine.cloudwatch.emf import FunctionLog
from local_engine.cloudwatch.publishers import FunctionMetrics
from local_engine.functions.runtime import ERROR, INVOKE, PREFIX, READY
from local_engine.template.intrinsics import REGION
from local_engine.template.stack import Function

_RUNTIME = Path(__file__).with_name("runtime.py")
_WATCHED_SUFFIXES = (".py", ".json", ".yaml", ".yml", ".toml", ".html", ".txt", ".sql")
# How long a request waits for a busy process to become free before another is started, in seconds. A start
# costs more than this, so a process that is about to answer is worth waiting for.
_PATIENCE = 0.05
# Lambda gives initialization ten seconds, and where they do not suffice does it again within the function's own time.
_INITIALIZATION_SECONDS = 10.0
_CHUNK = 64 * 1024
_DAEMON_ADDRESS = "AWS_XRAY_DAEMON_ADDRESS"


class FunctionError(Exception):
    """A function gave no result; the message is a sentence, with the traceback below it where there is one."""

    def __init__(
        self, message: str, error_type: str, error_message: str, stack_trace: Sequence[str] | None = None
    ) -> None:
        """Take beside the sentence what Lambda tells of an error; no stack trace where no code raised it."""
        super().__init__(message)
        self._type = error_type
        self._message = error_message
        self._stack_trace = stack_trace

    def describe(self, request_id: str) -> dict[str, Any]:
        """Return the payload that Lambda answers with ("Lambda function errors in Python")."""
        if self._stack_trace is None:
            return {"errorType": self._type, "errorMessage": f"RequestId: {request_id} Error: {self._message}"}
        return {
            "errorMessage": self._message,
            "errorType": self._type,
            "requestId": request_id,
            "stackTrace": list(self._stack_trace),
        }


class ConcurrencyExceeded(Exception):
    """All of a function's reserved concurrency is in use."""


@dataclass(frozen=True)
class FunctionSettings:
    """What all functions of a stack share."""

    log: FunctionLog
    lifeline: int
    """Reading end of a pipe that closes when the engine ends."""
    largest_pool: int
    """Processes of one function at most; further requests wait."""
    endpoint: str | None
    """URL of the AWS services; None leaves it to the template's own variables."""
    lambda_endpoint: str | None
    """URL of Lambda's API, which `endpoint` does not have; None as above."""
    metrics: FunctionMetrics


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a function returned."""

    payload: bytes
    cold: bool
    """Whether its process was started for this request."""


class FunctionPool:
    """The processes of one function. Each takes one request at a time and is used again."""

    def __init__(self, function: Function, settings: FunctionSettings) -> None:
        self.function = function
        self._settings = settings
        self._idle: list[_Process] = []
        self._processes: set[_Process] = set()
        self._waiting: deque[asyncio.Future[_Process]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._running = 0
        self._finished = asyncio.Event()
        self._source = _SourceWatch((function.code_directory, *function.layer_directories))
        self._generation = 0

    async def invoke(self, event: bytes, qualifier: str | None = None, request_id: str | None = None) -> Invocation:
        """Give an event to the function.

        Args:
            event: in JSON.
            qualifier: the version or alias that the caller names, as the context's ARN does.
            request_id: which the context shows; None for a new one.

        Raises:
            FunctionError: the function raised, crashed, returned what is no JSON or too much, or ran out of time.
            ConcurrencyExceeded: as many requests as the template reserves are running.
        """
        reserved = self.function.reserved_concurrency
        if reserved is not None and self._running >= reserved:
            self._settings.metrics.throttle(self.function.name, qualifier)
            raise ConcurrencyExceeded(
                f"{self.function.name} runs {self._running} requests, which is all that it reserves."
            )
        self._running += 1
        try:
            if self._source.has_changed():
                self._generation += 1
                self._kill_idle()
            with self._settings.metrics.invocation(self.function.name, qualifier, self._running) as timing:
                process = await self._acquire()
                cold = process.is_new
                timing.begin()
                try:
                    return Invocation(await process.invoke(event, qualifier, request_id), cold)
                finally:
                    self._release(process)
        finally:
            self._running -= 1
            self._finished.set()

    async def retire(self) -> None:
        """Let the requests that run end, then ends every process."""
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
            # The one used last has the warmest caches, and those used least can be let go.
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
        if len(self._starting) < waiting and len(self._processes) < self._settings.largest_pool:
            process = _Process(self.function, self._settings, self._generation)
            self._processes.add(process)
            task = asyncio.create_task(self._start(process))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _start(self, process: "_Process") -> None:
        try:
            await process.start()
        except (FunctionError, OSError) as error:
            self._discard(process)
            if (waiting := self._next_waiting()) is not None:
                # The system refuses where, for one, the function's folder is gone.
                waiting.set_exception(error if isinstance(error, FunctionError) else _unstartable(error))
            # Those who wait behind it would else wait for nobody.
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
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None and not self._reader.at_eof()

    async def start(self) -> None:
        """Start the process and waits until it has imported the handler.

        Raises:
            FunctionError: the import fails or takes too long.
        """
        function = self._function
        ours, theirs = socket.socketpair()
        with theirs:
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                # Unbuffered, so that a line is shown when it is written; without the script's own folder on the path.
                "-uP",
                str(_RUNTIME),
                str(theirs.fileno()),
                str(self._settings.lifeline),
                json.dumps([str(directory) for directory in _search_path(function)]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=function.code_directory,
                env=_environment(function, self._settings.endpoint, self._settings.lambda_endpoint),
                pass_fds=(theirs.fileno(), self._settings.lifeline),
                # A group of its own: Ctrl-C is the engine's, and what the function starts dies with it.
                start_new_session=True,
            )
        self._tasks = [
            asyncio.create_task(self._watch(self._process)),
            *(
                asyncio.create_task(self._copy_lines(stream))
                for stream in (self._process.stdout, self._process.stderr)
                if stream is not None
            ),
        ]
        kind, payload = await self._receive(_INITIALIZATION_SECONDS + function.timeout, "Initialization")
        if kind != READY:
            raise _read_error("cannot be imported", payload)

    async def invoke(self, event: bytes, qualifier: str | None, request_id: str | None) -> bytes:
        """Give an event to the handler and returns what it returned, in JSON.

        Raises:
            FunctionError: as `FunctionPool.invoke`.
        """
        self.is_new = False
        deadline = (time.time() + self._function.timeout) * 1000
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
        """Kill the process and what it has started; harmless if it has ended."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        self.kill()
        if self._process is not None:
            await self._process.wait()
        for task in self._tasks:
            task.cancel()

    async def _receive(self, seconds: float, what: str) -> tuple[bytes, bytes]:
        """Read the process's next message; one that comes late or not at all ends the process."""
        try:
            async with asyncio.timeout(seconds):
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

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        # A process that the function has started may keep the socket open, so its closing is not enough.
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
                self._settings.log.write_line(self._function.logical_id, line.decode("utf-8", "replace"))
        if rest:
            self._settings.log.write_line(self._function.logical_id, rest.decode("utf-8", "replace"))


class _SourceWatch:
    """Notices edits of source files by their times and sizes."""

    def __init__(self, directories: tuple[Path, ...]) -> None:
        self._directories = directories
        self._next_look = 0.0
        self._seen = self._look()

    def has_changed(self) -> bool:
        """Whether a file was edited, made or removed since the last call."""
        started = time.monotonic()
        if started < self._next_look:
            return False
        seen, self._seen = self._seen, self._look()
        for path, _, _ in self._seen - seen:
            # Python tells an edit by the second and the size, which a quick edit can leave as they are.
            Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)
        # Looking takes a tenth of the time at most, however many files there are and requests come.
        ended = time.monotonic()
        self._next_look = ended + 9 * (ended - started)
        return seen != self._seen

    def _look(self) -> set[tuple[str, int, int]]:
        return {entry for directory in self._directories for entry in _list_files(str(directory))}


def _list_files(directory: str) -> Iterator[tuple[str, int, int]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith((".", "__pycache__")):
                    continue
                if entry.is_dir():
                    yield from _list_files(entry.path)
                elif entry.name.endswith(_WATCHED_SUFFIXES):
                    status = entry.stat()
                    yield entry.path, status.st_mtime_ns, status.st_size
    except FileNotFoundError:
        # Editors replace files: gone now means changed, and the next look sees what came instead.
        yield directory, 0, 0


def _search_path(function: Function) -> list[Path]:
    layers = [
        directory / "python" if (directory / "python").is_dir() else directory
        for directory in function.layer_directories
    ]
    return [function.code_directory, *layers]


def _environment(function: Function, endpoint: str | None, lambda_endpoint: str | None) -> dict[str, str]:
    """Return what Lambda sets ("Defined runtime environment variables") and the template's variables."""
    environment = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]{secrets.token_hex(16)}",
        "LAMBDA_TASK_ROOT": str(function.code_directory),
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
    # Coverage of functions is measured in their own processes; and whoever runs an X-Ray daemon gets their traces.
    names = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", _DAEMON_ADDRESS)
    return {name: environment[name] for name in names if name in environment}


def _make_trace_header() -> str:
    """Return the tracing header of an invocation ("Tracing header"), sampled where a daemon takes what is traced."""
    parent = secrets.token_hex(8)
    sampled = int(_DAEMON_ADDRESS in os.environ)
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={parent};Sampled={sampled}"


def _unstartable(error: OSError) -> FunctionError:
    return FunctionError(f"{error}.", "Runtime.InvalidEntrypoint", str(error))


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
