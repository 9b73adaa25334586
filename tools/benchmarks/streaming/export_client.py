"""Reads exports: checks their last line, and goes on after a cut."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx


class BadExport(Exception):
    """An export is not what its last line says."""


@dataclass
class Export:
    """Reads an export to its end, over as many responses as it takes.

    Attributes:
        client: the HTTP client.
        url: the export's address.
        token: an access token.
        on_bytes: called with the number of bytes of a response so far.
        ids: the IDs of the items, in order.
        size: bytes of all whole lines.
        responses: how many responses it took.
        first_byte: seconds until the first byte of the body.
        seconds: seconds until the last byte.
    """

    client: httpx.Client
    url: str
    token: str
    on_bytes: Callable[[int], None] = lambda _: None
    ids: list[str] = field(default_factory=list)
    size: int = 0
    responses: int = 0
    first_byte: float = 0.0
    seconds: float = 0.0
    _position: str | None = None
    _started: float = 0.0

    def read(self) -> None:
        """Read the export.

        Raises:
            BadExport: a last line does not fit the lines before it.
        """
        self._started = time.perf_counter()
        while not self._read_response():
            pass
        self.seconds = time.perf_counter() - self._started

    def _read_response(self) -> bool:
        """Read one response, and return whether it has completed the export."""
        self.responses += 1
        digest = hashlib.sha256()
        for count, line in enumerate(self._read_lines()):
            document = json.loads(line)
            if end := document.get("end"):
                if end["checksum"] != f"sha256:{digest.hexdigest()}" or sum(end["counts"].values()) != count:
                    raise BadExport("the last line does not fit the lines before it")
                return bool(end["complete"])
            if "at" not in document:
                return False  # an error, after which nothing comes
            digest.update(line)
            self._position = document["at"]
            self.ids.append(document["resource"]["id"])
            self.size += len(line)
        return False

    def _read_lines(self) -> Iterator[bytes]:
        """Yield whole lines, until the response ends or is cut."""
        parameters = {} if self._position is None else {"from": self._position}
        headers = {"Authorization": f"Bearer {self.token}"}
        rest: list[bytes] = []
        received = 0
        with self.client.stream("GET", self.url, params=parameters, headers=headers) as response:
            response.raise_for_status()
            try:
                for chunk in response.iter_raw():
                    self.first_byte = self.first_byte or time.perf_counter() - self._started
                    received += len(chunk)
                    self.on_bytes(received)
                    *lines, last = chunk.split(b"\n")
                    for line in lines:
                        yield b"".join([*rest, line, b"\n"])
                        rest = []
                    rest.append(last)
            except httpx.RemoteProtocolError:
                return
