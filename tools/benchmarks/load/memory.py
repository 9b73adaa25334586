"""How much memory a local engine's processes take while it is under load."""

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
        processes: at the start and at the end.
        start: MB of one, on average.
        end: likewise.
        most: likewise.
        slope: MB a minute of one, on average, over the second half of the run.
    """

    processes: tuple[int, int]
    start: float
    end: float
    most: float
    slope: float


@dataclass
class MemorySamples:
    """What was seen, by kind of process; memory as MB of one process, on average.

    The engine starts more processes of a function as requests meet, so that the sum grows where no process does.
    """

    seconds: list[float] = field(default_factory=list)
    megabytes: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    processes: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def add(self, second: float, engine: psutil.Process) -> None:
        """Look at an engine's processes now; where it has ended, nothing is added."""
        sizes: defaultdict[str, list[int]] = defaultdict(list)
        try:
            for process in (engine, *engine.children(recursive=True)):
                kind = "engine" if process == engine else _read_kind(process)
                sizes[kind].append(process.memory_info().rss)
        except psutil.Error:
            # A function's process may end meanwhile; the next look is as good.
            return
        self.seconds.append(second)
        for kind in KINDS:
            self.megabytes[kind].append(sum(sizes[kind]) / max(1, len(sizes[kind])) / MEGABYTE)
            self.processes[kind].append(len(sizes[kind]))

    def sum_up(self) -> Mapping[str, MemoryFigures]:
        """Return the figures of each kind; nothing where there are too few samples for a slope."""
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
    """Return the process of the local engine that serves a port of this machine, or None where there is none."""
    for process in psutil.process_iter(["cmdline"]):
        command: Sequence[str] = process.info["cmdline"] or ()
        if ("-m", "local_engine", "run") in zip(command, command[1:], command[2:], strict=False):
            ports = [after for option, after in pairwise(command) if option == "--port"]
            if (ports or ["3000"])[-1] == str(port):
                return process
    return None


def _read_kind(process: psutil.Process) -> str:
    return "AWS services" if "local_engine.services.moto_server" in process.cmdline() else "functions"
