"""Reads exports: checks their last line, and goes on after a cut."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Export:
    """What has arrived of an export, over one or more responses.

    Attributes:
        ids: the IDs of the items, in order.
        size: bytes of all whole lines.
        responses: how many responses it took.
        first_byte: seconds until the first byte of the body.
        seconds: seconds until the last byte.
    """

    ids: list[str] = field(default_factory=list)
    size: int = 0
    responses: int = 0
    first_byte: float = 0.0
    seconds: float = 0.0


class BadExport(Exception):
    """An export is not what its last line says."""


def read_export(
    client: httpx.Client, url: str, token: str, on_bytes: Callable[[int], None] = lambda _: None
) -> Export:
    """Read an export to its end.

    Args:
        client: an HTTP client.
        url: the address of the export.
        token: an access token.
        on_bytes: called with the number of bytes so far.

    Raises:
        BadExport: a last line does not fit the lines before it.
    """
    export = Export()
    started = time.perf_counter()
    position: str | None = None
    while True:
        end, position = _read_response(client, url, token, position, export, on_bytes, started)
        export.seconds = time.perf_counter() - started
        if end and end["complete"]:
            return export


def _read_response(
    client: httpx.Client,
    url: str,
    token: str,
    position: str | None,
    export: Export,
    on_bytes: Callable[[int], None],
    started: float,
) -> tuple[dict[str, Any] | None, str | None]:
    """Read one response, and return its last line, if there is one, and the position to go on after."""
    export.responses += 1
    parameters = {} if position is None else {"from": position}
    digest, count = hashlib.sha256(), 0
    with client.stream("GET", url, params=parameters, headers={"Authorization": f"Bearer {token}"}) as response:
        response.raise_for_status()
        for line in _read_lines(response, export, on_bytes, started):
            document = json.loads(line)
            if end := document.get("end"):
                if end["checksum"] != f"sha256:{digest.hexdigest()}" or sum(end["counts"].values()) != count:
                    raise BadExport("the last line does not fit the lines before it")
                return end, position
            if "at" not in document:
                break  # an error, after which nothing comes
            digest.update(line)
            count += 1
            position = document["at"]
            export.ids.append(document["resource"]["id"])
            export.size += len(line)
    return None, position


def _read_lines(
    response: httpx.Response, export: Export, on_bytes: Callable[[int], None], started: float
) -> Iterator[bytes]:
    """Yield whole lines, until the response ends or is cut."""
    rest: list[bytes] = []
    received = 0
    try:
        for chunk in response.iter_raw():
            export.first_byte = export.first_byte or time.perf_counter() - started
            received += len(chunk)
            on_bytes(received)
            *lines, last = chunk.split(b"\n")
            for line in lines:
                yield b"".join([*rest, line, b"\n"])
                rest = []
            rest.append(last)
    except httpx.RemoteProtocolError:
        return
