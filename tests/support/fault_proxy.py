"""A proxy between the functions and the services they call that injects faults: late, truncated and lost answers.

No maintained tool on PyPI does this. mitmproxy could, but it needs other versions of cryptography and click than the
rest of the project. Toxiproxy is a Go program. Like `faulty` and `vaurien`, it knows bytes rather than requests, so it
can neither answer like a throttled DynamoDB nor lose the answer to a request that was carried out.

The seed and the number of the request decide its fault, so a run repeats the same faults in the same order. The proxy
never forwards a request whose client has hung up, so an abandoned request is not carried out later.
"""

import asyncio
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Self
from urllib.parse import urlsplit

DELAY_SECONDS = 0.05
DRIP_SECONDS = 0.3
# Zero seconds of lingering: closing sends RST and not FIN.
_RESET = struct.pack("ii", 1, 0)


class Fault(StrEnum):
    DELAY = "delayed"
    THROTTLED = "ThrottlingException"
    OVER_CAPACITY = "ProvisionedThroughputExceededException"
    ERROR = "status 500"
    UNAVAILABLE = "status 503"
    RESET_BEFORE = "reset, not carried out"
    RESET_AFTER = "reset, carried out"
    TRUNCATED = "truncated answer"
    SILENT = "no answer"
    DRIPPING = "a byte at a time"


type FaultPlan = Callable[[int], Fault | None]
"""The fault of a request by its number, from 0; None for no fault."""


def no_faults(_number: int) -> Fault | None:
    return None


MOST_REPEATS = 3


def always(fault: Fault) -> FaultPlan:
    return lambda _number: fault


def draw_faults(seed: int, rate: float, faults: Sequence[Fault]) -> FaultPlan:
    """Each request meets one of the faults with a probability."""

    def draw(number: int) -> Fault | None:
        numbers = random.Random(f"{seed}/{number}")
        return numbers.choice(faults) if numbers.random() < rate else None

    return draw


@dataclass(frozen=True)
class _Message:
    """An HTTP request or response: its first line with the headers, and its body."""

    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return ""


class FaultProxy:
    """An HTTP proxy on a free port of the loopback interface, in a separate thread.

    Attributes:
        plan: the faults; a new plan takes effect with the next request.
        service: start of `X-Amz-Target` of the requests that meet faults, such as `AWSEvents.`; empty for all.
        met: how often each fault occurred.
        requests: the number of requests.
        repeats: the number of requests of the service with the operation and body of an earlier one; of one body no
            more than `MOST_REPEATS`, because no call is repeated more often: others are other calls.
    """

    def __init__(self, upstream: str) -> None:
        target = urlsplit(upstream)
        self._upstream = target.hostname, target.port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._connections: set[asyncio.Task[None]] = set()
        self._seen: Counter[bytes] = Counter()
        self.plan: FaultPlan = no_faults
        self.service = ""
        self.url = ""
        self.forget()

    def forget(self) -> None:
        """Reset the counters."""
        self._seen.clear()
        self.met: Counter[Fault] = Counter()
        self.requests = 0
        self.repeats = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _stop(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        connection = _Connection(reader, writer, self._upstream)
        try:
            while request := await _read_message(reader):
                await self._serve(connection, request)
                if request.header("connection") == "close":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            connection.close()
            self._connections.discard(task)

    async def _serve(self, connection: "_Connection", request: _Message) -> None:
        # The engine itself reads the services' metrics and streams.
        target = request.header("x-amz-target")
        is_engines = request.head.startswith(b"GET ") or target.startswith("LocalEngine.")
        fault = None if is_engines or not target.startswith(self.service) else self._count(request)
        match fault:
            case Fault.RESET_BEFORE:
                connection.reset()
            case Fault.SILENT:
                await connection.wait_until_gone(None)
            case Fault.THROTTLED | Fault.OVER_CAPACITY:
                error = {"__type": f"com.amazonaws.dynamodb.v20120810#{fault}", "message": "Rate exceeded"}
                await connection.answer(400, error)
            case Fault.ERROR:
                error = {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "Internal error"}
                await connection.answer(500, error)
            case Fault.UNAVAILABLE:
                await connection.answer(503, {"message": "Service Unavailable"})
            case _:
                await self._forward(connection, request, fault)

    async def _forward(self, connection: "_Connection", request: _Message, fault: Fault | None) -> None:
        if fault is Fault.DELAY:
            await connection.wait_until_gone(DELAY_SECONDS)
        answer = await connection.forward(request)
        content = answer.head + answer.body
        match fault:
            case Fault.RESET_AFTER:
                connection.reset()
            case Fault.TRUNCATED:
                await connection.send(answer.head + answer.body[: len(answer.body) // 2])
                raise ConnectionAbortedError
            case Fault.DRIPPING:
                for byte in content:
                    await connection.send(bytes([byte]))
                    await connection.wait_until_gone(DRIP_SECONDS)
            case _:
                await connection.send(content)

    def _count(self, request: _Message) -> Fault | None:
        # The target names DynamoDB's operation.
        digest = sha256(request.header("x-amz-target").encode() + request.body).digest()
        if request.header("x-amz-target").startswith(self.service):
            self.repeats += 0 < self._seen[digest] <= MOST_REPEATS
            self._seen[digest] += 1
        fault = self.plan(self.requests)
        self.requests += 1
        if fault is not None:
            self.met[fault] += 1
        return fault


class _Connection:
    """A client's connection, and the connection to the service over which its requests are forwarded."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: tuple[str | None, int | None]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._address = upstream
        self._upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def wait_until_gone(self, seconds: float | None) -> None:
        """Wait; raise `ConnectionAbortedError` as soon as the client hangs up."""
        try:
            # A client that waits for its answer sends nothing, so anything readable is the end.
            await asyncio.wait_for(self._reader.read(1), seconds)
        except TimeoutError:
            return
        raise ConnectionAbortedError

    async def forward(self, request: _Message) -> _Message:
        """Forward the request and return the answer."""
        if self._upstream is None:
            self._upstream = await asyncio.open_connection(*self._address)
        if self._reader.at_eof() or self._writer.is_closing():
            raise ConnectionAbortedError
        reader, writer = self._upstream
        writer.write(request.head + request.body)
        answer = await _read_message(reader)
        if answer is None:
            raise ConnectionAbortedError
        return answer

    async def answer(self, status: int, document: dict[str, str]) -> None:
        body = json.dumps(document).encode()
        head = (
            f"HTTP/1.1 {status} Fault\r\nContent-Type: application/x-amz-json-1.0\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        await self.send(head.encode() + body)

    async def send(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()

    def reset(self) -> None:
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()
        raise ConnectionAbortedError

    def close(self) -> None:
        self._writer.close()
        if self._upstream is not None:
            self._upstream[1].close()


async def _read_message(reader: asyncio.StreamReader) -> _Message | None:
    """Return the next request or response, or None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    message = _Message(head, b"")
    if message.header("transfer-encoding") == "chunked":
        return _Message(head, b"".join([chunk async for chunk in _read_chunks(reader)]))
    return _Message(head, await reader.readexactly(int(message.header("content-length") or 0)))


async def _read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the chunks of a body as they are encoded."""
    size = -1
    while size != 0:
        line = await reader.readline()
        size = int(line, 16)
        # The last chunk is empty, and trailers are not in use.
        yield line + await reader.readexactly(size + len(b"\r\n"))
