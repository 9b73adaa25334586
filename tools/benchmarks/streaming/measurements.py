"""Measures exports through the local engine, with the function's memory, and with a kill in the middle."""

import json
import os
import secrets
import signal
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local_engine.issuer import AUDIENCE
from local_engine.testing import EngineProcess, processes_below
from tools.benchmarks.machine import BenchmarkError
from tools.benchmarks.streaming.export_client import Export

STACK = Path(__file__).with_name("stack") / "template.yaml"
RUNTIME = b"serverless_api.streaming_runtime"
ROUNDS = 5
ATTEMPTS = 5
BATCH = 25
"""Items that one call stores (BatchWriteItem)."""
SMALL = 5_000_000
"""Bytes of the export that a buffered answer can just hold."""
FLAT_FROM = 10_000_000
"""Size from which memory must not grow."""
ITEM_BYTES, LARGE_ITEM_BYTES = 1_000, 100_000


@dataclass(frozen=True)
class Measurements:
    """What a run has measured: bytes, seconds, and bytes a second."""

    large: int
    large_seconds: float
    memory_flat: int
    memory_large: int
    resumed_responses: int
    streamed_first: float
    buffered_first: float
    streamed_rate: float
    paged_rate: float

    def to_texts(self) -> dict[str, str]:
        """Return the values for the report."""
        return {
            "large": f"{self.large / 1e6:.0f} MB",
            "large_seconds": f"{self.large_seconds:.0f} s",
            "large_rate": f"{self.large / self.large_seconds / 1e6:.1f} MB/s",
            "memory_flat": f"{self.memory_flat / 1e6:.0f} MB",
            "memory_large": f"{self.memory_large / 1e6:.0f} MB",
            "resumed_responses": str(self.resumed_responses),
            "streamed_first": f"{self.streamed_first * 1000:.0f} ms",
            "buffered_first": f"{self.buffered_first * 1000:.0f} ms",
            "streamed_rate": f"{self.streamed_rate / 1e6:.1f} MB/s",
            "paged_rate": f"{self.paged_rate / 1e6:.1f} MB/s",
        }


def measure(size: int, *, small: int = SMALL, flat_from: int = FLAT_FROM, rounds: int = ROUNDS) -> Measurements:
    """Measure, and check that no export loses or repeats an item.

    Args:
        size: bytes of the largest export.
        small: bytes of the export that is compared with buffered answers.
        flat_from: bytes of the export whose memory the largest one's is compared with.
        rounds: how often the first byte is measured.

    Raises:
        BenchmarkError: an export is not whole.
    """
    parameters = {"Issuer": "{issuer}", "Audience": AUDIENCE}
    with EngineProcess(STACK, parameters=parameters) as engine, engine.client() as client:
        dynamodb = engine.aws_client("dynamodb")
        stored = {
            "small": _store(dynamodb, "small", small, ITEM_BYTES),
            "flat": _store(dynamodb, "flat", flat_from, LARGE_ITEM_BYTES),
            "large": _store(dynamodb, "large", size, LARGE_ITEM_BYTES),
        }
        stand = _Stand(engine, client, stored)
        stand.export("flat")  # the cold start
        memory_flat = stand.read_peak_memory()
        large = stand.export("large")
        memory_large = stand.read_peak_memory()
        resumed = stand.export("large", kill_at=size // 2)
        if resumed.responses < 2:
            raise BenchmarkError("The kill has not cut the export.")
        streamed = [stand.export("small") for _ in range(rounds)]
        buffered = [stand.read_buffered("small") for _ in range(rounds)]
        paged_rate = stand.page("small")
        return Measurements(
            large=large.size,
            large_seconds=large.seconds,
            memory_flat=memory_flat,
            memory_large=memory_large,
            resumed_responses=resumed.responses,
            streamed_first=statistics.median(export.first_byte for export in streamed),
            buffered_first=statistics.median(buffered),
            streamed_rate=statistics.median(export.size / export.seconds for export in streamed),
            paged_rate=paged_rate,
        )


class _Stand:
    def __init__(self, engine: EngineProcess, client: httpx.Client, stored: dict[str, list[str]]) -> None:
        self._engine = engine
        self._client = client
        self._stored = stored
        self._url = f"http://127.0.0.1:{engine.port + 1}/live/api/v1/export"

    def export(self, user: str, kill_at: int | None = None) -> Export:
        """Export everything of a user, and kill the function once when so many bytes have arrived."""
        runtimes = [] if kill_at is None else self._find_runtimes()

        def kill(received: int) -> None:
            if runtimes and received >= (kill_at or 0):
                os.kill(runtimes.pop(), signal.SIGKILL)

        export = Export(self._client, self._url, self._mint(user), kill)
        export.read()
        if export.ids != self._stored[user]:
            raise BenchmarkError(f"The export of {user} has lost or repeated items.")
        return export

    def read_buffered(self, user: str) -> float:
        """Return the seconds until the first byte of the same content in one answer."""
        headers = {"Authorization": f"Bearer {self._mint(user)}"}
        for _ in range(ATTEMPTS):
            started = time.perf_counter()
            with self._client.stream("GET", "/api/v1/buffered", headers=headers) as response:
                if response.status_code != 503:
                    response.raise_for_status()
                    next(response.iter_raw())
                    return time.perf_counter() - started
        raise BenchmarkError("This machine is too busy: the table does not answer within the functions' time limit.")

    def page(self, user: str) -> float:
        """Return the bytes a second of reading the same content in pages of 100."""
        headers = {"Authorization": f"Bearer {self._mint(user)}"}
        parameters = {"limit": "100"}
        started, size = time.perf_counter(), 0
        while True:
            page = self._client.get("/api/v1/resources", params=parameters, headers=headers).raise_for_status()
            size += len(page.content)
            token = page.json().get("nextToken")
            if token is None:
                return size / (time.perf_counter() - started)
            parameters["nextToken"] = token

    def read_peak_memory(self) -> int:
        """Return the peak memory of the function that exports, in bytes."""
        (runtime,) = self._find_runtimes()
        status = Path(f"/proc/{runtime}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def _find_runtimes(self) -> list[int]:
        processes = processes_below(self._engine.process.pid)
        return [pid for pid in processes if RUNTIME in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def _mint(self, user: str) -> str:
        return self._engine.mint_token("read:resources", subject=user)


def _store(dynamodb: Any, user: str, size: int, item_bytes: int) -> list[str]:
    """Store a user's items, about so many bytes in all, and return their IDs as an export has them, newest first."""
    started = time.time_ns() // 1_000_000
    ids: list[str] = []
    requests: list[Any] = []
    for number in range(max(size // item_bytes, 1)):
        bits = (started + number << 80) | (0x7 << 76) | (0b10 << 62) | secrets.randbits(62)
        digits = f"{bits:032x}"
        ids.append("-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))
        stamp = "2026-11-27T00:00:00.000Z"
        item = {
            "pk": f"user#{user}",
            "sk": f"resource#{ids[-1]}",
            "name": "benchmark",
            "type": "A",
            # 200 characters are the rest of a line.
            "metadata": json.dumps({"text": secrets.token_hex((item_bytes - 250) // 2)}),
            "createdAt": stamp,
            "updatedAt": stamp,
            "version": secrets.token_hex(8),
        }
        requests.append({"PutRequest": {"Item": {name: {"S": value} for name, value in item.items()}}})
        if len(requests) == BATCH:
            dynamodb.batch_write_item(RequestItems={"Table": requests})
            requests = []
    if requests:
        dynamodb.batch_write_item(RequestItems={"Table": requests})
    return ids[::-1]
