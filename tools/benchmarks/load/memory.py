"""Memory of a local engine's processes under load."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import linear_regression

import psutil

KINDS = ("engine", "functions", "AWS services")
MEGABYTE = 2**20


@dataclass(frozen=True)
class MemoryFigures:
    """The memory of one kind of process.

    Attributes:
        processes: number at the start and at the end.
        start: average MB of a process at the start.
        end: average MB at the end.
        most: highest average MB.
        slope: average growth of a process in the second half of the run, in MB a minute.
    """

    processes: tuple[int, int]
    start: float
    end: float
    most: float
    slope: float


@dataclass
class MemorySamples:
    """Samples by kind of process, as average MB of one process.

    The engine starts more processes for concurrent requests, so the sum would grow without any process growing.
    """

    seconds: list[float] = field(default_factory=list)
    megabytes: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    processes: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def add(self, second: float, engine: psutil.Process) -> None:
        """Sample an engine's processes; does nothing if the engine has ended."""
        sizes: defaultdict[str, list[int]] = defaultdict(list)
        try:
            for process in (engine, *engine.children(recursive=True)):
                kind = "engine" if process == engine else _read_kind(process)
                sizes[kind].append(process.memory_info().rss)
        except psutil.Error:
            # A function's process may have ended meanwhile; the next sample will do.
            return
        self.seconds.append(second)
        for kind in KINDS:
            self.megabytes[kind].append(sum(sizes[kind]) / max(1, len(sizes[kind])) / MEGABYTE)
            self.processes[kind].append(len(sizes[kind]))

    def sum_up(self) -> Mapping[str, MemoryFigures]:
        """Return the figures of each kind; empty if there are too few samples for a slope."""
        half = len(self.seconds) // 2
        minutes = [second / 60 for second in self.seconds[half:]]
        if len(minutes) < 2:
            return {}
        return {
            kind: MemoryFigures(
                processes=(self.processes[kind][0], self.processes[kind][-1]),
                start=sizes[0],
                end=sizes[-1],
                most=max(sizes),
                slope=linear_regression(minutes, sizes[half:]).slope,
            )
            for kind, sizes in self.megabytes.items()
        }


def find_engine(port: int) -> psutil.Process | None:
    """Return the process of the local engine that serves a port, or None."""
    for process in psutil.process_iter(["cmdline"]):
        command: Sequence[str] = process.info["cmdline"] or ()
        if ("-m", "local_engine", "run") in zip(command, command[1:], command[2:], strict=False):
            ports = [after for option, after in pairwise(command) if option == "--port"]
            if (ports or ["3000"])[-1] == str(port):
                return process
    return None


def _read_kind(process: psutil.Process) -> str:
    return "AWS services" if "local_engine.services.moto_server" in process.cmdline() else "functions"
