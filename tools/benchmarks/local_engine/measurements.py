"""Figures of the rounds, summed up as Markdown."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.benchmarks.local_engine.http_load import Load

ENGINE, SAM_LOCAL = "local engine", "sam local"


@dataclass
class Measurement:
    """One request with a number of clients, on both servers."""

    request: str
    clients: int
    least_ratio: float | None
    """Multiple of `sam local`'s throughput that the engine must reach, or None."""
    rounds: dict[str, list[Load]] = field(default_factory=lambda: {ENGINE: [], SAM_LOCAL: []})

    @property
    def ratio(self) -> float:
        return self.throughput(ENGINE) / self.throughput(SAM_LOCAL)

    @property
    def is_reached(self) -> bool:
        return self.least_ratio is None or self.ratio >= self.least_ratio

    def throughput(self, server: str) -> float:
        """Return requests per second, as the median of the rounds."""
        return statistics.median(_throughput(load) for load in self.rounds[server])

    def percentile(self, server: str, share: float) -> float:
        """Return a percentile of all response times in milliseconds, by nearest rank."""
        latencies = sorted(latency for load in self.rounds[server] for latency in load.latencies)
        return latencies[max(0, math.ceil(share * len(latencies)) - 1)] * 1000


def format_table(measurements: Sequence[Measurement]) -> str:
    lines = [
        "| request | clients | server | median, ms | p99, ms | requests/s | rounds, requests/s | ratio | asked |",
        "|---|---:|---|---:|---:|---:|---|---:|---:|",
    ]
    for measured in measurements:
        for server in (ENGINE, SAM_LOCAL):
            rates = [_throughput(load) for load in measured.rounds[server]]
            ratio = asked = ""
            if server == ENGINE:
                ratio = f"**{measured.ratio:.1f}**"
                asked = "" if measured.least_ratio is None else f"≥ {measured.least_ratio:g}"
            lines.append(
                f"| {measured.request} | {measured.clients} | {server} | {measured.percentile(server, 0.5):.1f}"
                f" | {measured.percentile(server, 0.99):.1f} | {measured.throughput(server):.0f}"
                f" | {min(rates):.0f} to {max(rates):.0f} | {ratio} | {asked} |"
            )
    return "\n".join(lines)


def client_share(measurements: Sequence[Measurement]) -> float:
    """Return the largest share of a processor that this process used in a round."""
    loads = (load for measured in measurements for loads in measured.rounds.values() for load in loads)
    return max(load.processor_time / load.duration for load in loads)


def _throughput(load: Load) -> float:
    return len(load.latencies) / load.duration
