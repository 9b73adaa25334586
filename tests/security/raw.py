"""Bytes over a socket, for requests that no HTTP library would send."""

import re
import socket
from collections.abc import Sequence

SECONDS = 60
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


def exchange(port: int, content: bytes) -> Sequence[int]:
    """Send bytes to a port of loopback, and return the status of each answer until the server hangs up.

    A good end makes the server hang up: a request with `Connection: close`, or one that it refuses to read on from.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(content)
        while chunk := connection.recv(65536):
            received += chunk
    return [int(status) for status in _STATUS.findall(received)]
