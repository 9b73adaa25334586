"""HTTP server on the loopback interface that sends the bytes that a test gives it, or misbehaves."""

import contextlib
import json
import socket
import ssl
import struct
import threading
from binascii import crc32
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.client import parse_headers
from io import BufferedReader
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    connection: int
    method: str
    target: str
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Reply:
    """Bytes to send, and what follows: the connection stays, is closed, is reset, or hangs."""

    content: bytes
    then: str = "stay"


type Answer = Callable[[Request], Reply]


def make_reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None, then: str = "stay") -> Reply:
    """Return a complete response with DynamoDB's checksum; `content` is bytes or a JSON value."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    all_headers = {"Content-Length": str(len(body)), "x-amz-crc32": str(crc32(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    return Reply(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body, then)


@dataclass
class Server:
    """Records each request and passes it to `answer`; each connection has a thread."""

    answer: Answer
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.closed = threading.Event()
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        # A waiting accept() ends when its socket is shut down, not when it is closed.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(connection)
            self.connections += 1
            self._start(self._serve, connection, self.connections)

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with contextlib.suppress(OSError):
                if self.tls:
                    connection = self.tls.wrap_socket(connection, server_side=True)
                    with self._lock:
                        self._open.append(connection)
                with connection.makefile("rb") as stream:
                    while self._serve_request(connection, stream, number):
                        pass
        finally:
            connection.close()
            self.closed.set()

    def _serve_request(self, connection: socket.socket, stream: BufferedReader, number: int) -> bool:
        words = stream.readline().decode("latin-1").split()
        if len(words) != 3:
            return False
        headers = parse_headers(stream)
        length = int(headers.get("Content-Length", 0))
        request = Request(number, words[0], words[1], headers, stream.read(length))
        if len(request.body) < length or "Host" not in headers:
            return False  # the client gave up halfway
        self.requests.append(request)
        reply = self.answer(request)
        connection.sendall(reply.content)
        if reply.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return reply.then == "stay"
