"""X-Ray subsegments: one for each call to the table or to another service.

Lambda records the function's own segment. Each call below it is one document, sent in one datagram to the X-Ray daemon
that Lambda runs beside the function. Nothing is awaited, buffered or sent again, and no request fails because of it.

Source: «AWS X-Ray segment documents» and «Sending trace data to AWS X-Ray», AWS X-Ray Developer Guide.
"""

import os
import socket
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from ipaddress import ip_address
from json.encoder import encode_basestring_ascii as _quote
from types import TracebackType
from typing import TYPE_CHECKING, Self

from serverless_api.environment import settings

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from urllib3 import BaseHTTPResponse

    type Response = HTTPResponse | BaseHTTPResponse

MAX_BYTES = 64_000
"""Largest document that is sent; X-Ray takes up to 64 kB."""

_PROTOCOL = '{"format": "json", "version": 1}\n'
_LONGEST_VALUE = 250  # far longer than a request ID; bounds what comes from outside

_daemon: socket.socket | None = None


class Subsegment(ABC):
    """One call, which lasts as long as a `with` block and is sent at its end if the invocation is sampled.

    An exception that leaves the block passes through. It is recorded as a fault unless a response explains it.

    Attributes:
        response: the HTTP response, for the block to set as soon as there is one.
        is_throttled: whether the call was throttled; status 429 says so by itself.
    """

    __slots__ = ("_started", "_trace", "is_throttled", "response")

    def __init__(self) -> None:
        self.response: Response | None = None
        self.is_throttled = False
        self._trace = _find_trace() if _address else ""
        self._started = time.time() if self._trace else 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None) -> None:
        if self._trace:
            _send(self._make_document(kind is not None))

    @abstractmethod
    def _describe(self) -> str:
        """Return the document's members that are specific to this kind of call, as JSON."""

    def _make_document(self, has_failed: bool) -> str:
        # Concatenated by hand: json's encoder takes twice the time.
        status = self.response.status if self.response else 0
        flags = ""
        if status >= 400 or has_failed:
            flags = ',"error":true' if 400 <= status < 500 else ',"fault":true'
            if self.is_throttled or status == 429:
                flags += ',"throttle":true'
        ended = max(time.time(), self._started)  # the clock may have been set back in between
        return (
            f'{{"id":"{os.urandom(8).hex()}",{self._trace},"type":"subsegment"'
            f',"start_time":{self._started!r},"end_time":{ended!r},{self._describe()}{flags}}}'
        )


class TableCall(Subsegment):
    """One attempt of a table operation.

    Args:
        operation: an operation of the «Amazon DynamoDB API Reference», such as `GetItem`.
        retries: the number of earlier attempts, in the field that the X-Ray SDKs use.
        table_name: the table; a transaction's items may lie in several.

    Example:
        >>> with TableCall("GetItem", retries=0) as subsegment:
        ...     answer = database.call("GetItem", request, timeout=1)
        ...     subsegment.response = answer.response
    """

    __slots__ = ("_operation", "_retries", "_table_name")
    _service = f'"name":"DynamoDB","namespace":"aws","aws":{{"region":{_quote(settings.REGION)}'

    def __init__(self, operation: str, retries: int, table_name: str = settings.TABLE_NAME) -> None:
        super().__init__()
        self._operation = operation
        self._retries = retries
        self._table_name = table_name

    def _describe(self) -> str:
        answer = ""
        if response := self.response:
            request_id = _quote(response.headers.get("x-amzn-RequestId", "")[:_LONGEST_VALUE])
            answer = f',"request_id":{request_id}}},"http":{{"response":{{"status":{response.status}}}'
        table = f'{self._service},"table_name":{_quote(self._table_name)}'
        return f'{table},"operation":"{self._operation}","retries":{self._retries}{answer}}}'


class HTTPCall(Subsegment):
    """A request to another service.

    The document leaves out path and query, which may hold a key or identify the caller.

    Args:
        method: the HTTP method.
        scheme: `https` or `http`.
        host: the host's name or address, with the port if the URL has one.
    """

    __slots__ = ("_method", "_name", "_url")

    def __init__(self, method: str, scheme: str, host: str) -> None:
        super().__init__()
        self._method = method
        self._url = f"{scheme}://{host}/"
        # X-Ray allows no brackets in a name; they surround an IPv6 address.
        self._name = host.replace("[", "").replace("]", "")

    def _describe(self) -> str:
        answer = f',"response":{{"status":{self.response.status}}}' if self.response else ""
        request = f'{{"method":"{self._method}","url":{_quote(self._url)}}}'
        return f'"name":{_quote(self._name)},"namespace":"remote","http":{{"request":{request}{answer}}}'


def reset() -> None:
    """Close the socket, because an environment restored from a snapshot needs its own."""
    global _daemon  # noqa: PLW0603 - one for the environment
    if _daemon:
        _daemon.close()
    _daemon = None


def _find_address() -> tuple[str, int] | None:
    """Return the daemon's address, or None if nothing is to be sent.

    Source: «Defined runtime environment variables», AWS Lambda Developer Guide.
    """
    host, _, port = settings.XRAY_DAEMON_ADDRESS.rpartition(":")
    host = host.strip("[]")
    # An address, not a name: a name would need a DNS lookup during a request.
    with suppress(ValueError):
        if settings.TRACES and ip_address(host) and 0 < int(port) < 65536:
            return host, int(port)
    return None


_address = _find_address()


def _find_trace() -> str:
    """Return the members that link a document to its trace, or nothing if the invocation is not sampled.

    Source: «Tracing header», AWS X-Ray Developer Guide.
    """
    header = os.environ.get("_X_AMZN_TRACE_ID", "")
    if "Sampled=1" not in header:
        return ""
    trace_id = header.partition("Root=")[2].partition(";")[0]
    parent_id = header.partition("Parent=")[2].partition(";")[0]
    return f'"trace_id":{_quote(trace_id)},"parent_id":{_quote(parent_id)}' if trace_id and parent_id else ""


def _send(document: str) -> None:
    global _daemon  # noqa: PLW0603 - one for the environment
    datagram = f"{_PROTOCOL}{document}".encode()
    try:
        if not _daemon and _address:
            _daemon = _connect(*_address)
        if _daemon and len(datagram) <= MAX_BYTES:
            _daemon.send(datagram)
    except OSError:
        # If the daemon is gone or busy, the subsegment is lost and the request goes on.
        return


def _connect(host: str, port: int) -> socket.socket:
    daemon = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        daemon.setblocking(False)
        daemon.connect((host, port))
    except OSError:
        daemon.close()
        raise
    return daemon
