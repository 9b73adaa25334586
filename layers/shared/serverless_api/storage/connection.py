"""HTTP connection to one server, kept between requests, with a timeout per request."""

import ipaddress
import select
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from serverless_api.storage.authorities import Authorities
from serverless_api.storage.fetch import MAX_ANSWER_BYTES, fetch
from serverless_api.storage.name_resolution import resolve

# Seconds, as in the AWS SDK for Java. A frozen environment does not notice that the other side closed the connection.
_LONGEST_IDLE = 60


class AddressRefused(Exception):
    """The server's address is not one that may be called. Retrying does not help."""


class KeptConnection:
    """A connection for one request at a time, as a Lambda environment serves them. Each thread needs its own.

    Attributes:
        host: the value of the `Host` header.
        target: the URL's path and query.
    """

    def __init__(self, url: str, *, is_aws: bool = False, local_http: bool = False) -> None:
        """Read the URL without connecting.

        Args:
            url: the server's URL, with the path and query of its requests.
            is_aws: whether the server is one of AWS, whose certificates are signed by Amazon's own authorities.
            local_http: whether plain http is limited to loopback, private and link-local addresses.

        Raises:
            ValueError: `url` is not a usable URL.
        """
        parts = urlsplit(url)
        hostname = parts.hostname or ""
        is_url = parts.scheme in ("http", "https") and parts.username is None and _is_host(hostname)
        # http.client rejects other characters, and would do so at each request.
        if not (is_url and url.isascii() and url.isprintable() and " " not in url):
            raise ValueError(
                "must be a URL that starts with https:// or http://, with a host, without credentials, and in visible"
                " ASCII characters"
            )
        self._address = hostname, parts.port
        name = f"[{hostname}]" if ":" in hostname else hostname
        is_default = parts.port in (None, 443 if parts.scheme == "https" else 80)
        self.host = name if is_default else f"{name}:{parts.port}"
        self.scheme = parts.scheme
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._is_limited = local_http and parts.scheme == "http"
        # Created once: reading the certificates takes longer than a handshake.
        self._authorities = Authorities(is_aws=is_aws) if parts.scheme == "https" else None
        self._kept: HTTPConnection | None = None
        self._last_used = 0.0

    def fetch(
        self, method: str, headers: Mapping[str, str], body: bytes, timeout: float, most: int = MAX_ANSWER_BYTES
    ) -> tuple[HTTPResponse, bytes]:
        """Send a request and return the response with its body, whatever the status.

        Args:
            method: the HTTP method.
            headers: the request's headers, including `host`.
            body: the request's body.
            timeout: seconds for name resolution, for connecting and for each wait on the socket.
            most: the most bytes that the body may have.

        Raises:
            AnswerTooLarge: the body is larger.
            AddressRefused: the address is not one that may be called; nothing was sent.
            OSError: no complete response arrived. The request may have been performed.
        """
        # Detached from the client while in use, and kept again after a complete response. Whatever interrupts the call,
        # including a signal handler, no later call can read the response to this one.
        connection, self._kept = self._connect(timeout), None
        is_complete = False
        try:
            answer = fetch(connection, method, self.target, headers, body, most=most)
            is_complete = True
        finally:
            if not is_complete:
                connection.close()
        self._kept, self._last_used = connection, time.time()
        return answer

    def send(self, method: str, headers: Mapping[str, str], body: bytes, timeout: float) -> HTTPConnection:
        """Send a request on a new connection and return it before the response. It is the caller's to close.

        Args:
            method: the HTTP method.
            headers: the request's headers, including `host`.
            body: the request's body.
            timeout: seconds for name resolution, for connecting and for each wait on the socket.

        Raises:
            OSError: the request could not be sent.
        """
        connection = self._open(timeout)
        try:
            connection.request(method, self.target, body, dict(headers))
        except BaseException:
            connection.close()
            raise
        return connection

    def dry_run(self, timeout: float) -> None:
        """Connect and disconnect.

        Args:
            timeout: seconds for connecting.

        Raises:
            OSError: the connection failed.
        """
        connection = self._connect(timeout)
        try:
            connection.connect()
        finally:
            connection.close()

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        connection, self._kept = self._kept, None
        if connection:
            connection.close()

    def _connect(self, timeout: float) -> HTTPConnection:
        """Return the kept connection if it is still usable, otherwise one that opens on use."""
        kept = self._kept
        # Wall-clock time: other clocks may stand still while the environment is frozen.
        if kept and kept.sock and 0 <= time.time() - self._last_used < _LONGEST_IDLE:
            # Between two calls only the connection's end can have arrived. Check before sending the request: afterwards
            # it would be unknown whether the request was performed.
            arrived = select.poll()
            arrived.register(kept.sock, select.POLLIN)
            if not arrived.poll(0):
                kept.sock.settimeout(timeout)
                return kept
        if kept:
            kept.close()
        return self._open(timeout)

    def _open(self, timeout: float) -> HTTPConnection:
        """Return a connection that opens on use."""
        host, port = self._address
        if self._authorities:
            return _TLSConnection(host, port, timeout, self._authorities)
        connection = _Connection(host, port, timeout=timeout)
        connection.is_limited = self._is_limited
        return connection


class _Connection(HTTPConnection):
    """A connection whose timeout includes name resolution, and that sends each request at once."""

    is_limited = False
    _unsent: bytearray | None = None

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request, in one TLS record: http.client writes head and body apart, which doubles the cost."""
        self._unsent = unsent = bytearray()
        try:
            super().request(*args, **options)
        finally:
            self._unsent = None
        self.send(unsent)

    def send(self, data: Any) -> None:
        if self._unsent is None:
            super().send(data)
        else:
            self._unsent += data

    def connect(self) -> None:
        self.sock = self._open()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _open(self) -> socket.socket:
        failure = OSError(f"{self.host} has no address")
        timeout = self.timeout or 0.0
        for address in resolve(self.host, timeout):
            if self.is_limited and not _is_local(address):
                raise AddressRefused("plain http is for loopback, private and link-local addresses; use https")
            try:
                return socket.create_connection((address, self.port), timeout)
            except OSError as error:
                failure = error
        raise failure


class _TLSConnection(HTTPSConnection, _Connection):
    """The same with TLS: `HTTPSConnection.connect` encrypts what the next class in line has opened."""

    def __init__(self, host: str, port: int | None, timeout: float, authorities: Authorities) -> None:
        super().__init__(host, port, timeout=timeout, context=authorities.context)
        self._authorities = authorities

    def connect(self) -> None:
        try:
            super().connect()
        except ssl.SSLCertVerificationError:
            if not self._authorities.widen():
                raise
            self._context = self._authorities.context
            super().connect()


def _is_host(name: str) -> bool:
    """Return whether a name can be looked up: no label is empty or too long (RFC 1035, section 2.3.4)."""
    return all(0 < len(label) < 64 for label in name.removesuffix(".").split("."))


def _is_local(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_private or parsed.is_link_local
