"""Stand-in for the X-Ray daemon: a UDP port that takes documents."""

import json
import re
import socket
from typing import Any, Self

import pytest

HEADER = b'{"format": "json", "version": 1}\n'
MAX_DOCUMENT = 64 * 1024

# «AWS X-Ray segment documents», AWS X-Ray Developer Guide: the fields of a subsegment that is sent separately, and the
# longest values of text fields. `retries` is not listed there, but the X-Ray SDKs send it.
REQUIRED = {"id", "name", "start_time", "end_time", "trace_id", "parent_id", "type"}
OPTIONAL = {"namespace", "http", "aws", "error", "throttle", "fault"}
AWS = {"operation", "region", "request_id", "table_name", "retries"}
REQUEST, RESPONSE = {"method", "url"}, {"status"}


class Daemon:
    """Takes datagrams on a free port of the loopback interface."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def take(self, number: int) -> list[dict[str, Any]]:
        """Return the next documents, each one checked."""
        self._socket.settimeout(10)
        return [check(self._socket.recv(65_536)) for _ in range(number)]

    def take_all(self) -> list[dict[str, Any]]:
        """Return the documents that have arrived, each one checked."""
        return [check(datagram) for datagram in self.take_datagrams()]

    def take_datagrams(self) -> list[bytes]:
        """Return what has arrived, unchecked."""
        self._socket.setblocking(False)
        datagrams = []
        while True:
            try:
                datagrams.append(self._socket.recv(65_536))
            except BlockingIOError:
                return datagrams


def check(datagram: bytes) -> dict[str, Any]:
    """Return the document of a datagram, after checking it."""
    assert datagram.startswith(HEADER)
    assert len(datagram) <= MAX_DOCUMENT
    document: dict[str, Any] = json.loads(datagram.removeprefix(HEADER))
    assert document.keys() >= REQUIRED
    assert document.keys() <= REQUIRED | OPTIONAL
    assert re.fullmatch("[0-9a-f]{16}", document["id"])
    assert re.fullmatch("[0-9a-f]{16}", document["parent_id"])
    assert re.fullmatch("1-[0-9a-f]{8}-[0-9a-f]{24}", document["trace_id"])
    assert document["type"] == "subsegment"
    assert re.fullmatch(r"[\w\s.:/%&#=+\\\-@]{1,200}", document["name"])
    assert isinstance(document["start_time"], float)
    assert isinstance(document["end_time"], float)
    assert 1_600_000_000 < document["start_time"] <= document["end_time"] < 4_000_000_000
    assert all(document[flag] is True for flag in ("error", "throttle", "fault") if flag in document)
    if document["namespace"] == "aws":
        assert document["aws"].keys() <= AWS
    else:
        assert document["namespace"] == "remote"
        assert document["http"]["request"].keys() == REQUEST
    if "response" in document.get("http", {}):
        assert document["http"]["response"].keys() == RESPONSE
        assert isinstance(document["http"]["response"]["status"], int)
    texts = [value for value in document.get("aws", {}).values() if isinstance(value, str)]
    texts += document.get("http", {}).get("request", {}).values()
    assert all(len(text) <= 250 for text in texts)
    return document


def sample(environment: pytest.MonkeyPatch, header: str) -> None:
    """Give the next invocations a tracing header, as the runtime does."""
    environment.setenv("_X_AMZN_TRACE_ID", header)
