"""What the gateway takes: the head of a request, its size, and the error responses to others.

Source: "Quotas for configuring and running an HTTP API" (API Gateway Developer Guide).
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import Any

from local_engine.gateway.events import Headers, Request, Response
from local_engine.services.host_names import read_host_name

MAX_HEADERS = 10_240
"""Most bytes of the request line and the header values together."""
MAX_BODY = 10 * 1024 * 1024
"""Most bytes that the gateway accepts."""
CLOSE = (b"connection", b"close")
"""Ends the connection after a response to a request whose body is not read to its end."""
_JSON = (b"content-type", b"application/json")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]


class Rejection(Exception):
    """The gateway responds with its own error."""

    def __init__(
        self, status: int, message: str, headers: Headers | None = None, *, response_type: str = "", detail: str = ""
    ) -> None:
        """Take the response.

        Args:
            status: its status.
            message: its message.
            headers: further headers.
            response_type: the type of a REST API's gateway response, such as `ACCESS_DENIED`.
            detail: what a request validator found, `$context.error.validationErrorString`.
        """
        super().__init__(message)
        self.headers = headers or []
        self.response_type = response_type
        self.detail = detail
        body = json.dumps({"message": message}, separators=(",", ":")).encode()
        self.response = Response(status, [_JSON, *(headers or [])], body)

    def end_connection(self, scope: Scope) -> None:
        """Close the connection behind the response if the client waits for `100 Continue` (RFC 9110 section 10.1.1).

        It may send its body or not, so the next request starts nowhere.
        """
        if find_header(scope["headers"], b"expect") is not None:
            for headers in (self.headers, self.response.headers):
                if CLOSE not in headers:
                    headers.append(CLOSE)


class AccessRefused(Rejection):
    """An authorizer rejects the request."""

    def __init__(
        self,
        status: int,
        message: str | None,
        response_type: str = "",
        headers: Headers | None = None,
        *,
        error_type: str = "",
        reason: str = "",
        key: str = "message",
    ) -> None:
        """Take the response.

        Args:
            status: its status.
            message: its message. None for `null`.
            response_type: the type of a REST API's gateway response, such as `ACCESS_DENIED`.
            headers: further headers.
            error_type: the value of `x-amzn-errortype`, which REST APIs send.
            reason: for the access log.
            key: the message's name in the body.
        """
        error_headers = [(b"x-amzn-errortype", error_type.encode())] if error_type else []
        super().__init__(status, message or "", [*(headers or []), *error_headers], response_type=response_type)
        self.response = replace(self.response, body=json.dumps({key: message}, separators=(",", ":")).encode())
        self.reason = reason or message or ""


def check_head(request: Request) -> None:
    """Check a request before its body is read.

    Raises:
        Rejection: its head is too long or malformed, or announces too large a body.
    """
    line = len(request.method) + len(request.raw_path) + len(request.query) + len(" ? HTTP/1.1\r\n")
    if line + sum(len(value) for _, value in request.headers) > MAX_HEADERS:
        raise Rejection(431, "Request Header Fields Too Large")
    names = {name for name, _ in request.headers}
    # Request smuggling gives one body two lengths, so the rest of the connection is not trusted (RFC 9112 section 6.3).
    if b"content-length" in names and b"transfer-encoding" in names:
        raise Rejection(400, "Bad Request", [CLOSE])
    if read_host_name(request.host) is None or not (request.raw_path.startswith("/") or request.raw_path == "*"):
        raise Rejection(400, "Bad Request", [CLOSE])
    if _declared_length(request.headers) > MAX_BODY:
        raise Rejection(413, "Request Entity Too Large", [CLOSE])


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes | None:
    """Return the body, or None as soon as it is known to be larger than the limit.

    Raises:
        Rejection: the client disconnected.
    """
    if _declared_length(headers) > limit:
        return None
    chunks: list[bytes] = []
    size = 0
    while size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Rejection(400, "Bad Request")
        chunk = message.get("body", b"")
        size += len(chunk)
        chunks.append(chunk)
        if size <= limit and not message.get("more_body", False):
            return b"".join(chunks)
    return None


def _declared_length(headers: Headers) -> int:
    # h11 accepts a length of at most 20 digits.
    return int(find_header(headers, b"content-length") or 0)


def find_header(headers: Headers, name: bytes) -> str | None:
    """Return the value of the first header with a name in lower case."""
    for candidate, value in headers:
        if candidate == name:
            return value.decode("latin-1")
    return None
