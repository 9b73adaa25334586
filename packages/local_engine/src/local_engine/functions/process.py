"""Processes that run one function: their start, environment, output and end."""

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
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, override

from local_engine.building.search_paths import Builder, SearchPath
from local_engine.child_environment import AWS_SETTINGS, X_RAY_DAEMON
from local_engine.functions.invocation import FunctionError, Result
from local_engine.functions.runtime import ERROR, INVOKE, PREFIX, READY
from local_engine.observer import Observer
from local_engine.template.stack import Function

RUNTIME = Path(__file__).with_name("runtime.py")
# Lambda gives initialization ten seconds. If that is not enough, it starts again within the function's own timeout.
_INITIALIZATION_SECONDS = 10.0
# What a function under a debugger believes to have left.
_DEBUG_SECONDS = 24 * 60 * 60
_CHUNK = 64 * 1024
_COVERAGE = {"COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"}


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
    api_gateway_endpoint: str | None = None
    """URL of API Gateway's management API, if the stack has a stage with a cache. None as above."""
    debugged: str | None = None
    """Logical ID of the function that runs under a debugger."""
    debug_port: int = 0
    """Where a debugger can attach to it."""
    find_credentials: Callable[[Function], Mapping[str, str]] = lambda _: {}
    """Returns the environment variables with the keys of a function's execution role."""


class Process(ABC):
    """An execution environment: a process that has imported the handler and takes one event at a time."""

    def __init__(self, function: Function, settings: FunctionSettings, generation: int) -> None:
        self.generation = generation
        self.is_new = True
        self._function = function
        self._settings = settings
        self._is_debugged = function.logical_id == settings.debugged
        self._process: asyncio.subprocess.Process | None = None
        self._is_killed = False
        self._tasks: list[asyncio.Task[None]] = []
        self._pipes: list[asyncio.ReadTransport] = []

    @property
    def is_alive(self) -> bool:
        """Whether the process can take an event."""
        return self._process is not None and self._process.returncode is None and not self._is_killed

    @property
    def is_settled(self) -> bool:
        """Whether the process has finished the last event, or has ended."""
        return True

    @abstractmethod
    async def start(self) -> None:
        """Start the process and wait until it has imported the handler.

        Raises:
            FunctionError: the import fails or takes too long.
            BuildError: the function's code or packages cannot be built.
        """

    @abstractmethod
    async def invoke(self, event: bytes, qualifier: str | None, request_id: str | None) -> Result:
        """Give an event to the handler and return its result when that starts to arrive.

        Raises:
            FunctionError: as `FunctionPool.invoke`.
        """

    async def settle(self) -> FunctionError | None:
        """Wait until `is_settled`, drop the rest of the result, and return the error that ended it."""
        return None

    def kill(self) -> None:
        """Kill the process and its children. Harmless if it has ended."""
        self._is_killed = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Kill the process and wait for its end."""
        self.kill()
        if self._process is not None:
            # The task that would do it may be cancelled before.
            self._disconnect(await self._process.wait())
        for task in self._tasks:
            task.cancel()
        for pipe in self._pipes:
            pipe.close()

    async def _find_search_path(self) -> SearchPath:
        tools = (*(["coverage"] if _COVERAGE & os.environ.keys() else []), *(["debugpy"] if self._is_debugged else []))
        return await self._settings.builder.find_search_path(self._function, tools)

    async def _launch(
        self,
        *command: str,
        task_root: Path,
        descriptors: Sequence[int] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start a command in a function's environment.

        Args:
            command: the program and its arguments.
            task_root: the folder with the function's code.
            descriptors: file descriptors that it inherits.
            variables: set in addition to those of every function.
        """
        environment = _environment(self._function, task_root, self._settings)
        with contextlib.ExitStack() as outputs:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=await self._open_output(outputs),
                stderr=await self._open_output(outputs),
                cwd=task_root,
                env={**environment, **(variables or {})},
                pass_fds=descriptors,
                # Its own process group: Ctrl-C reaches only the engine, and the function's children end with it.
                start_new_session=True,
            )
        self._tasks.append(asyncio.create_task(self._watch(self._process)))

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        # A child of the function may keep its connection open, so a closed connection is not enough.
        status = await process.wait()
        self.kill()
        self._disconnect(status)

    @abstractmethod
    def _disconnect(self, status: int) -> None:
        """Close the connection to a process that has ended."""

    def _describe_invocation(self, qualifier: str | None, request_id: str | None) -> dict[str, Any]:
        self.is_new = False
        return {
            "requestId": request_id or str(uuid.uuid4()),
            "deadline": (time.time() + (_DEBUG_SECONDS if self._is_debugged else self._function.timeout)) * 1000,
            "arn": f"{self._function.arn}:{qualifier}" if qualifier else self._function.arn,
            "traceId": _make_trace_header(self._function.is_traced),
        }

    @property
    def _initialization_seconds(self) -> float | None:
        return None if self._is_debugged else _INITIALIZATION_SECONDS + self._function.timeout

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

    async def _copy_lines(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._settings.observer.line_written(self._function, line.decode("utf-8", "replace"))
        if rest:
            self._settings.observer.line_written(self._function, rest.decode("utf-8", "replace"))


class SocketProcess(Process):
    """A process that runs the engine's own loop, connected by a socket."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _prefix: tuple[int, bytes] | None = None
    """Length and kind of the message that is arriving."""
    _is_busy = False
    _deadline = 0.0

    @property
    @override
    def is_alive(self) -> bool:
        return super().is_alive and not self._reader.at_eof()

    @override
    async def start(self) -> None:
        search_path = await self._find_search_path()
        ours, theirs = socket.socketpair()
        with theirs:
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
            await self._launch(
                sys.executable,
                # Unbuffered, so that each line shows at once; without the script's own folder on the path, and without
                # this environment's packages.
                "-uPS",
                # A debugger cannot stop in frozen modules, and warns about them.
                *(("-X", "frozen_modules=off") if self._is_debugged else ()),
                str(RUNTIME),
                str(theirs.fileno()),
                str(self._settings.lifeline),
                json.dumps({"folders": search_path.folders, "sources": search_path.sources}, default=str),
                *((str(self._settings.debug_port),) if self._is_debugged else ()),
                task_root=search_path.task_root,
                descriptors=(theirs.fileno(), self._settings.lifeline),
            )
        kind, payload = await self._receive(self._initialization_seconds, "Initialization")
        if kind != READY:
            raise read_error("cannot be imported", payload)

    @override
    async def invoke(self, event: bytes, qualifier: str | None, request_id: str | None) -> Result:
        is_cold = self.is_new
        details = self._describe_invocation(qualifier, request_id)
        message = json.dumps(details)[:-1].encode() + b', "event": ' + event + b"}"
        self._writer.write(PREFIX.pack(len(message), INVOKE))
        self._writer.write(message)
        self._deadline = time.monotonic() + self._function.timeout
        self._is_busy = True
        payload = await self._receive_result()
        return Result("application/json", payload, cold=is_cold)

    @property
    @override
    def is_settled(self) -> bool:
        return not self._is_busy

    @override
    async def settle(self) -> FunctionError | None:
        # The caller was cancelled, and the function goes on.
        if self._is_busy:
            try:
                await self._receive_result()
            except FunctionError as error:
                return error
        return None

    async def _receive_result(self) -> bytes:
        seconds = None if self._is_debugged else max(0.0, self._deadline - time.monotonic())
        try:
            kind, payload = await self._receive(seconds, "Task")
        except FunctionError:
            self._is_busy = False
            raise
        self._is_busy = False
        if kind == ERROR:
            raise read_error("raised an error", payload)
        return payload

    @override
    def _disconnect(self, status: int) -> None:
        self._writer.close()
        if not self._reader.at_eof():
            self._reader.feed_eof()

    async def _receive(self, seconds: float | None, what: str) -> tuple[bytes, bytes]:
        """Read the process's next message. If it is late, the process ends."""
        try:
            async with asyncio.timeout(seconds):
                if self._prefix is None:
                    self._prefix = PREFIX.unpack(await self._reader.readexactly(PREFIX.size))
                size, kind = self._prefix
                payload = await self._reader.readexactly(size)
                self._prefix = None
                return kind, payload
        except TimeoutError:
            self.kill()
            raise time_out(what, self._function.timeout if what == "Task" else seconds or 0) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            self.kill()
            status = await self._process.wait() if self._process is not None else 0
            raise describe_end(status) from None


def _environment(function: Function, task_root: Path, settings: FunctionSettings) -> dict[str, str]:
    """Return the variables that Lambda sets ("Defined runtime environment variables") and those of the template."""
    environment = {
        **AWS_SETTINGS,
        **settings.find_credentials(function),
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
    if settings.endpoint is not None:
        environment["AWS_ENDPOINT_URL"] = settings.endpoint
    if settings.lambda_endpoint is not None:
        environment["AWS_ENDPOINT_URL_LAMBDA"] = settings.lambda_endpoint
    if settings.api_gateway_endpoint is not None:
        environment["AWS_ENDPOINT_URL_API_GATEWAY"] = settings.api_gateway_endpoint
    return environment


def _developer_settings(environment: Mapping[str, str]) -> dict[str, str]:
    # Coverage is measured in the functions' own processes, and a running X-Ray daemon gets their traces.
    return {name: environment[name] for name in (*_COVERAGE, X_RAY_DAEMON) if name in environment}


def _make_trace_header(is_traced: bool) -> str:
    """Return the tracing header of an invocation ("Tracing header"), sampled if there is an X-Ray daemon for it."""
    parent = secrets.token_hex(8)
    sampled = int(is_traced and X_RAY_DAEMON in os.environ)
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={parent};Sampled={sampled}"


def read_error(what: str, payload: bytes) -> FunctionError:
    """Return the error that a runtime reports.

    Args:
        what: such as "raised an error".
        payload: JSON with `errorType`, `errorMessage` and `stackTrace`; the engine's own runtime adds more.
    """
    try:
        error: Any = json.loads(payload)
    except ValueError:
        error = None
    if not isinstance(error, dict):
        error = {}
    kind, text = str(error.get("errorType", "Unhandled")), str(error.get("errorMessage", ""))
    stack_trace = error.get("stackTrace")
    stack_trace = [str(line) for line in stack_trace] if isinstance(stack_trace, list) else []
    place = f" at {error['place'][0]}, line {error['place'][1]}" if error.get("place") else ""
    sentence = f"The function {what}{place}: {kind}: {text}"
    traceback = error.get("traceback", "\n".join(line.rstrip("\n") for line in stack_trace))
    return FunctionError(f"{sentence}\n{traceback.rstrip()}".rstrip(), kind, text, stack_trace)


def time_out(what: str, seconds: float) -> FunctionError:
    """Return the error of a task, or an initialization, that took too long."""
    message = f"{what} timed out after {seconds:.2f} seconds"
    return FunctionError(f"{message}.", "Sandbox.Timedout", message)


def describe_end(status: int) -> FunctionError:
    """Return the error of a process that ended with a status before it answered."""
    if status < 0:
        end = f"was ended by signal {signal.Signals(-status).name}"
    else:
        end = f"exited with status {status} before it answered"
    return FunctionError(f"The process {end}.", "Runtime.ExitError", f"Runtime {end}")
