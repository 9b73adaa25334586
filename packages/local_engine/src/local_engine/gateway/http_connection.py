"""HTTP/1.1 connections of the engine: uvicorn's, with the limits and error responses of API Gateway.

uvicorn itself waits for a request without end, drops a client that has shut down its writing side, and closes a
connection while the client still sends, which can cost the client the response (RFC 9112 section 9.6).
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, override

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 30.0
"""Longest time in which the head of a request arrives, and then its body."""
LINGER_SECONDS = 2.0
"""Longest time in which a client takes note of the end of its connection."""
_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
}
_RESET = struct.pack("ii", 1, 0)
# States in which the server waits for the rest of a request.
_INCOMPLETE = (h11.IDLE, h11.SEND_BODY)


class HttpConnection(H11Protocol):
    """The connection of one client."""

    request_seconds = REQUEST_SECONDS
    _next_event: Callable[[], Any]
    _timer: asyncio.TimerHandle | None = None
    _timed: object = None
    """What `_timer` waits for: the cycle of the request whose body is due, or that of the request before."""
    _has_ended = False
    """Whether the client has shut down its writing side."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn passes names in lower case, and REST APIs pass them on as the client wrote them.
        self.app_state = dict[str, Any](cut=self._cut)
        self._next_event = self.conn.next_event
        self.conn.next_event = self._record_event  # type: ignore[method-assign]
        self.transport = self._lingering = _LingeringTransport(transport)  # type: ignore[assignment]
        self._watch_arrival()

    @override
    def data_received(self, data: bytes) -> None:
        if self._lingering.is_closing():
            return
        super().data_received(data)
        self._watch_arrival()

    @override
    def eof_received(self) -> bool:  # type: ignore[override]
        self._has_ended = True
        self._finish_if_ended()
        # Open for the response to a complete request.
        return not self._lingering.is_closing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_arrival()
        self._finish_if_ended()

    @override
    def send_400_response(self, msg: str) -> None:
        # h11 suggests 431 for an endless head.
        self._reject(431 if getattr(sys.exception(), "error_status_hint", 0) == 431 else 400)

    @override
    def shutdown(self) -> None:
        # asyncio waits for every connection of a server that ends.
        self._lingering.abort()

    def _record_event(self) -> Any:
        event = self._next_event()
        if type(event) is h11.Request:
            self.app_state["sent_headers"] = event.headers
        return event

    def _cut(self) -> None:
        """End the connection within a response, so that the client knows that the response is not whole."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.their_http_version == b"1.1":
            # The last chunk is missing.
            self.transport.close()
        else:
            # Only a reset tells the end of a body without a length from its middle.
            self._lingering.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._lingering.abort()

    def _watch_arrival(self) -> None:
        state = self.conn.their_state
        is_first = self.cycle is None
        is_due = state is h11.SEND_BODY or (state is h11.IDLE and (is_first or bool(self.conn.trailing_data[0])))
        if not is_due or self._lingering.is_closing():
            self._stop_timer()
        elif self._timer is None or self._timed is not self.cycle:
            self._stop_timer()
            self._timed = self.cycle
            self._timer = self.loop.call_later(self.request_seconds, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        has_sent_nothing = self.cycle is None and not self.conn.trailing_data[0]
        if has_sent_nothing:
            self.transport.close()
        else:
            self._reject(408)

    def _finish_if_ended(self) -> None:
        if not self._has_ended or self._lingering.is_closing():
            return
        is_answered = self.cycle is None or self.cycle.response_complete
        if self.conn.their_state is h11.SEND_BODY or (is_answered and self.conn.trailing_data[0]):
            self._reject(400)
        elif is_answered:
            self.transport.close()

    def _reject(self, status: int) -> None:
        """Respond with an error if the client has no response yet, and close the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            phrase = _PHRASES[status]
            body = json.dumps({"message": phrase}, separators=(",", ":")).encode()
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            response = h11.Response(status_code=status, headers=headers, reason=phrase.encode())
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        self._stop_timer()
        self.transport.close()


class _LingeringTransport:
    """A transport that closes only after the client has seen the end of the response (RFC 9112 section 9.6)."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_closing = False
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        self._is_closing = True
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)
