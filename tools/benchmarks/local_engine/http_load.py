"""Sends one request repeatedly from several clients, and measures each response time.

It uses one thread and plain sockets. A request takes about 30 µs of processor time, which leaves a small machine's
processors to the measured server.
"""

import http.client
import selectors
import socket
import time
from dataclasses import dataclass

ANSWER_SECONDS = 60
_CHUNK = 64 * 1024


class LoadError(Exception):
    """A request failed; the message is for the user."""


@dataclass(frozen=True)
class Request:
    """A GET request to a port of this machine, whose response is 200."""

    port: int
    path: str
    token: str | None = None

    def encode(self) -> bytes:
        lines = [f"GET {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Accept: application/json"]
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True)
class Load:
    """Measured times in seconds."""

    latencies: list[float]
    duration: float
    processor_time: float
    """Processor time of this process."""


def fetch_body(request: Request) -> bytes:
    """Send a request once and return the response's content.

    Raises:
        LoadError: there is no response with status 200 within a minute.
    """
    headers = {"Authorization": f"Bearer {request.token}"} if request.token else {}
    connection = http.client.HTTPConnection("127.0.0.1", request.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", request.path, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise LoadError(f"GET {request.path} is not answered: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise LoadError(
            f"GET {request.path} is answered with {answer.status}: {content[:500].decode(errors='replace')}"
        )
    return content


def send_load(request: Request, clients: int, count: int) -> Load:
    """Send a request `count` times; each client waits for a response before its next request.

    Args:
        request: what to send.
        clients: number of connections.
        count: number of requests of all clients.

    Raises:
        LoadError: a response is not 200, or there is none within a minute.
    """
    latencies: list[float] = []
    left = count
    with selectors.DefaultSelector() as selector:
        waiting = 0
        processor_time, started = time.process_time(), time.perf_counter()
        for _ in range(min(clients, count)):
            client = _Client(request, selector)
            client.send()
            left -= 1
            waiting += 1
        try:
            while waiting:
                ready = selector.select(ANSWER_SECONDS)
                if not ready:
                    raise LoadError(f"GET {request.path} was not answered within {ANSWER_SECONDS} seconds.")
                for key, _ in ready:
                    client = key.data
                    if not client.receive():
                        continue
                    latencies.append(client.latency)
                    if left:
                        left -= 1
                        client.send()
                    else:
                        waiting -= 1
                        client.close()
        finally:
            for key in list(selector.get_map().values()):
                key.data.close()
        return Load(latencies, time.perf_counter() - started, time.process_time() - processor_time)


class _Client:
    """A connection, kept open as long as the server allows."""

    def __init__(self, request: Request, selector: selectors.BaseSelector) -> None:
        self._request = request
        self._message = request.encode()
        self._selector = selector
        self._socket: socket.socket | None = None
        self._received = b""
        self._sent = 0.0
        self.latency = 0.0

    def send(self) -> None:
        self._sent = time.perf_counter()
        self._received = b""
        self._transmit()

    def receive(self) -> bool:
        """Read what has arrived, and return whether the response is complete."""
        assert self._socket
        try:
            chunk = self._socket.recv(_CHUNK)
        except ConnectionResetError:
            chunk = b""
        self._received += chunk
        head, separator, body = self._received.partition(b"\r\n\r\n")
        status, headers = _parse_head(head) if separator else (0, {})
        if not chunk and not self._received:
            # The server closed an idle connection just before this request.
            self.close()
            self._transmit()
            return False
        length = headers.get("content-length")
        is_complete = bool(separator) and (not chunk if length is None else len(body) >= int(length))
        if not is_complete:
            if not chunk:
                raise LoadError(f"GET {self._request.path} was answered in part only.")
            self._acknowledge()
            return False
        self.latency = time.perf_counter() - self._sent
        if status != 200:
            raise LoadError(
                f"GET {self._request.path} was answered with {status}: {body[:500].decode(errors='replace')}"
            )
        if headers.get("connection") == "close" or not chunk:
            self.close()
        return True

    def close(self) -> None:
        if self._socket:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _transmit(self) -> None:
        if not self._socket:
            self._socket = socket.create_connection(("127.0.0.1", self._request.port), ANSWER_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
        self._acknowledge()
        self._socket.sendall(self._message)

    def _acknowledge(self) -> None:
        # With Nagle's algorithm, a server that sends head and body separately waits for an acknowledgement, which Linux
        # delays by 40 ms. The client causes that delay, so it must not count against the server.
        if self._socket and hasattr(socket, "TCP_QUICKACK"):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.strip().lower(): value.strip().lower() for name, _, value in pairs}
