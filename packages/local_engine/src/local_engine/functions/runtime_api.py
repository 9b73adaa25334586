"""Lambda's Runtime API, for the runtime of one process ("Using the Lambda runtime API for custom runtimes").

A response may be streamed: `Lambda-Runtime-Function-Response-Mode: streaming`, a chunked body, and an error in the
trailers `Lambda-Runtime-Function-Error-Type` and `-Body` (base64).
"""

import asyncio
import base64
import binascii
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import h11

from local_engine.functions.invocation import FunctionError, ResponseTooLarge
from local_engine.functions.runtime import MAX_RESPONSE

MAX_STREAM = 200 * 1024 * 1024
"""Most bytes of a streamed result ("Lambda quotas")."""
_PREFIX = "/2018-06-01/runtime/"
_BUFFERED = 256 * 1024
"""Bytes that wait for a slow client, before the function has to wait."""
_CHUNK = 64 * 1024
# Seconds until a connection that breaks is known to be the end of the process.
_END_SECONDS = 1.0

type _Headers = Iterable[tuple[bytes, bytes]]


class ChunkPipe:
    """Chunks on their way from a function to a client. The writer waits for a slow reader."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._has_ended = False
        self._is_dropped = False
        self.error: FunctionError | None = None
        """Why the result is not whole."""
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()

    async def write(self, chunk: bytes) -> None:
        """Add a chunk, and wait until there is room for more."""
        self.put(chunk)
        while self._size > _BUFFERED and not (self._is_dropped or self._has_ended):
            self._drained.clear()
            await self._drained.wait()

    def put(self, chunk: bytes) -> None:
        """Add a chunk."""
        if not (self._is_dropped or self._has_ended):
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._changed.set()

    def end(self, error: FunctionError | None = None) -> None:
        """End the result, with an error if it is not whole. A second end counts for nothing."""
        if not self._has_ended:
            self._has_ended, self.error = True, error
            self._changed.set()
            self._drained.set()

    def drop(self) -> None:
        """Discard what nobody reads."""
        self._is_dropped = True
        self._chunks.clear()
        self._drained.set()

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the chunks; raise the error after the last one."""
        while True:
            if self._chunks:
                chunk = self._chunks.popleft()
                self._size -= len(chunk)
                if self._size <= _BUFFERED:
                    self._drained.set()
                yield chunk
            elif self._has_ended:
                if self.error is not None:
                    raise self.error
                return
            else:
                self._changed.clear()
                await self._changed.wait()


class Exchange:
    """One invocation, as the runtime takes and answers it."""

    def __init__(self, request_id: str, headers: Mapping[str, str], event: bytes) -> None:
        self.request_id = request_id
        self.headers = headers
        self.event = event
        self.pipe = ChunkPipe()
        self.started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """The content type of the response, when it starts."""
        self.is_answered = False
        """Whether the runtime has begun a response or reported an error."""
        self.settled = asyncio.Event()
        """Set when the runtime is ready for the next invocation, or has ended."""

    def start(self, content_type: str) -> None:
        """Note the start of the response."""
        if not self.started.done():
            self.started.set_result(content_type)

    def fail(self, error: FunctionError) -> None:
        """End the invocation with an error, before or within the response."""
        self.is_answered = True
        if not self.started.done():
            self.started.set_exception(error)
            # The caller may have gone.
            self.started.exception()
        self.pipe.end(error)


class RuntimeApi:
    """An HTTP server on loopback, with one runtime as its client."""

    def __init__(self, read_error: Callable[[str, bytes], FunctionError]) -> None:
        """Take what makes an error of a phrase ("raised an error") and the payload that the runtime reports."""
        self._read_error = read_error
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: asyncio.Future[Exchange] | None = None
        self._exchange: Exchange | None = None
        self._ended = asyncio.Event()

    async def open(self) -> str:
        """Start to serve, and return host and port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def wait_ready(self) -> None:
        """Wait until the runtime asks for its first invocation.

        Raises:
            FunctionError: its initialization failed.
        """
        await asyncio.shield(self._ready)

    def invoke(self, exchange: Exchange) -> None:
        """Give the runtime, which must be ready, an invocation."""
        self._exchange = exchange
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(exchange)

    def end(self, error: FunctionError) -> None:
        """End what the runtime has not finished, since its process has ended."""
        self._ended.set()
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()
        if self._exchange is not None:
            self._exchange.fail(error)
            self._exchange.settled.set()
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._ended.is_set():
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._serve(_Connection(reader, writer))
        except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, connection: "_Connection") -> None:
        while (request := await connection.read_request()) is not None:
            await self._answer(connection, request)
            if not connection.is_kept():
                return

    async def _answer(self, connection: "_Connection", request: h11.Request) -> None:
        target = request.target.decode("latin-1").partition("?")[0].removeprefix(_PREFIX)
        match (request.method, target.split("/")):
            case (b"GET", ["invocation", "next"]):
                await self._give_next(connection)
            case (b"POST", ["init", "error"]):
                payload = b"".join([chunk async for chunk in connection.read_body()])
                if not self._ready.done():
                    self._ready.set_exception(self._read_error("cannot be started", payload))
                    self._ready.exception()
                await connection.respond(202, _OK)
            case (b"POST", ["invocation", request_id, "response" | "error" as kind]):
                exchange = self._exchange
                if exchange is None or exchange.request_id != request_id:
                    await connection.respond(400, _describe("Invalid request ID", "InvalidRequestID"))
                elif exchange.is_answered:
                    message = "State transition failed: the invocation already has its response"
                    await connection.respond(403, _describe(message, "InvalidStateTransition"))
                elif kind == "response":
                    await self._take_response(connection, request.headers, exchange)
                else:
                    payload = b"".join([chunk async for chunk in connection.read_body()])
                    exchange.fail(self._read_error("raised an error", payload))
                    await connection.respond(202, _OK)
            case _:
                await connection.respond(404, _describe("Not Found", "InvalidRequest"))

    async def _give_next(self, connection: "_Connection") -> None:
        if self._exchange is not None:
            if not self._exchange.is_answered:
                # Lambda waits for an answer that will not come.
                message = "The runtime asked for the next invocation before it answered this one"
                self._exchange.fail(FunctionError(f"{message}.", "Runtime.InvalidStateTransition", message))
            self._exchange.settled.set()
            self._exchange = None
        if self._waiting is not None:
            # An HTTP client that gave up the wait and asks again.
            self._waiting.cancel()
        self._waiting = asyncio.get_running_loop().create_future()
        if not self._ready.done():
            self._ready.set_result(None)
        exchange = await self._waiting
        await connection.respond(200, exchange.event, exchange.headers)

    async def _take_response(self, connection: "_Connection", headers: _Headers, exchange: Exchange) -> None:
        exchange.is_answered = True
        values = {name.lower(): value.decode("latin-1") for name, value in headers}
        is_streamed = values.get(b"lambda-runtime-function-response-mode", "").lower() == "streaming"
        content_type = values.get(b"content-type", "")
        try:
            if is_streamed:
                exchange.start(content_type)
                await self._copy(connection, exchange)
            else:
                payload = await connection.read_payload(MAX_RESPONSE)
                if payload is None:
                    exchange.fail(ResponseTooLarge(MAX_RESPONSE))
                    await connection.respond(413, _describe("Exceeded maximum response size", "RequestEntityTooLarge"))
                    return
                exchange.start(content_type)
                exchange.pipe.put(payload)
                exchange.pipe.end()
        except (ConnectionError, h11.RemoteProtocolError):
            # If the process is about to end, its end says more.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _END_SECONDS)
            message = "The runtime ended its response early"
            exchange.fail(FunctionError(f"{message}.", "Runtime.TruncatedResponse", message))
            raise
        await connection.respond(202, _OK)

    async def _copy(self, connection: "_Connection", exchange: Exchange) -> None:
        size = 0
        async for chunk in connection.read_body():
            size += len(chunk)
            if size > MAX_STREAM:
                exchange.pipe.end(ResponseTooLarge(MAX_STREAM))
            await exchange.pipe.write(chunk)
        exchange.pipe.end(connection.read_error_trailers())


class _Connection:
    """An HTTP/1.1 connection of a runtime."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.SERVER)
        self._trailers: _Headers = ()

    async def read_request(self) -> h11.Request | None:
        event = await self._read_event()
        return event if isinstance(event, h11.Request) else None

    async def read_body(self) -> AsyncIterator[bytes]:
        if self._protocol.they_are_waiting_for_100_continue:
            information = h11.InformationalResponse(status_code=100, headers=[])
            self._writer.write(self._protocol.send(information) or b"")
        while True:
            event = await self._read_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._trailers = event.headers
                return
            else:
                raise ConnectionResetError

    async def read_payload(self, limit: int) -> bytes | None:
        """Return the body, or None if it is larger than the limit."""
        chunks = []
        size = 0
        async for chunk in self.read_body():
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
        return None if size > limit else b"".join(chunks)

    def read_error_trailers(self) -> FunctionError | None:
        """Return the error that ended a streamed response."""
        values = {name: value.decode("latin-1") for name, value in self._trailers}
        error_type = values.get(b"lambda-runtime-function-error-type")
        if error_type is None:
            return None
        error: Any = {}
        with contextlib.suppress(binascii.Error, ValueError):
            error = json.loads(base64.b64decode(values.get(b"lambda-runtime-function-error-body", "")))
        error = error if isinstance(error, dict) else {}
        message = str(error.get("errorMessage", ""))
        trace = error.get("stackTrace")
        trace = [str(line) for line in trace] if isinstance(trace, list) else []
        sentence = f"The function failed within its response: {error_type}: {message}"
        return FunctionError("\n".join([sentence, *(line.rstrip("\n") for line in trace)]), error_type, message, trace)

    async def respond(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        if self._protocol.their_state is h11.SEND_BODY:
            async for _ in self.read_body():
                pass
        pairs = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *(headers or {}).items()]
        for event in (h11.Response(status_code=status, headers=pairs), h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._protocol.send(event) or b"")
        await self._writer.drain()

    def is_kept(self) -> bool:
        """Return whether the connection takes another request, and prepare for it."""
        if self._protocol.our_state is not h11.DONE or self._protocol.their_state is not h11.DONE:
            return False
        self._protocol.start_next_cycle()
        self._trailers = ()
        return True

    async def _read_event(self) -> Any:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(await self._reader.read(_CHUNK))
        return event


_OK = b'{"status":"OK"}\n'


def _describe(message: str, error_type: str) -> bytes:
    return json.dumps({"errorMessage": message, "errorType": error_type}).encode()
