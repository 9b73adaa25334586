"""Figures of the rounds, summed up as ratios and as Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools.benchmarks.cold_start.peers import FASTAPI, FLOOR, PROJECT, RESOLVER
from tools.benchmarks.cost.durations import Duration


@dataclass
class Round:
    """One peer's figures of one round, in seconds by request (`list` and `create`)."""

    cold: dict[str, float] = field(default_factory=dict)
    """From the emulator's start to the first response."""
    cold_processor: dict[str, float] = field(default_factory=dict)
    """Processor time of the function's process within `cold`."""
    warm_processor: dict[str, float] = field(default_factory=dict)
    """Processor time of the function's process for one invocation."""


@dataclass
class Figures:
    """One peer's figures.

    Attributes:
        zipped_bytes: size of its artifact and layer.
        modules: modules imported by the first response to a list.
        peak_memory: bytes, after the last round.
        rounds: the rounds in order.
    """

    zipped_bytes: int
    modules: int = 0
    peak_memory: int = 0
    rounds: list[Round] = field(default_factory=list)

    def seconds(self, figure: str, request: str) -> list[float]:
        """Return `cold`, `cold_processor` or `warm_processor` of a request in every round."""
        return [getattr(entry, figure)[request] for entry in self.rounds]

    def median(self, figure: str, request: str) -> float:
        """Return the median of `seconds` in milliseconds."""
        return statistics.median(self.seconds(figure, request)) * 1000

    def measure_duration(self, request: str) -> Duration:
        """Return the processor time of a request and of a start, as `make cost` takes it."""
        warm, cold = (statistics.median(self.seconds(f"{kind}_processor", request)) for kind in ("warm", "cold"))
        return Duration(warm, max(0.0, cold - warm))


@dataclass
class Growth:
    """Cost of one list request by how many items the user has, as DynamoDB counts it."""

    items: int
    queries: int
    examined: int
    units: float


@dataclass
class Ratio:
    """A figure with a limit.

    Attributes:
        name: description of the figure.
        values: dividends and divisors of the rounds.
        most: limit.
        aim: target, or None.
    """

    name: str
    values: tuple[Sequence[float], Sequence[float]]
    most: float
    aim: float | None

    @property
    def reached(self) -> float:
        """The ratio of the medians."""
        return statistics.median(self.values[0]) / statistics.median(self.values[1])

    @property
    def is_reached(self) -> bool:
        return self.reached <= self.most

    def spread(self) -> tuple[float, float]:
        """Return the lowest and the highest ratio of a round."""
        ratios = [dividend / divisor for dividend, divisor in zip(*self.values, strict=True)]
        return min(ratios), max(ratios)


def find_ratios(figures: Mapping[str, Figures], imports: Mapping[str, Sequence[float]]) -> list[Ratio]:
    """Return this project's figures divided by its peers'."""

    def pair(figure: str, peer: str) -> tuple[Sequence[float], Sequence[float]]:
        return figures[PROJECT].seconds(figure, "list"), figures[peer].seconds(figure, "list")

    without = (imports["with"], imports["without"])
    return [
        Ratio(f"cold, against {FLOOR}", pair("cold", FLOOR), 1.05, 0.6),
        Ratio(f"cold, against {FASTAPI}", pair("cold", FASTAPI), 0.6, 0.35),
        Ratio(f"cold, against {RESOLVER}", pair("cold", RESOLVER), 0.75, 0.45),
        Ratio(f"warm processor time of a list, against {FLOOR}", pair("warm_processor", FLOOR), 1.15, 0.5),
        Ratio("importing the layer, with against without its bytecode", without, 0.5, None),
    ]


def format_ratios(ratios: Sequence[Ratio]) -> str:
    lines = ["| figure | reached | rounds | at most | aim |", "|---|---:|---|---:|---:|"]
    for ratio in ratios:
        least, greatest = ratio.spread()
        aim = "" if ratio.aim is None else f"{ratio.aim:g}"
        lines.append(
            f"| {ratio.name} | **{ratio.reached:.2f}** | {least:.2f} to {greatest:.2f} | {ratio.most:g} | {aim} |"
        )
    return "\n".join(lines)


def format_peers(figures: Mapping[str, Figures]) -> str:
    """Return the table of all peers, with the ratio to the bare boto3 handler in brackets."""
    lines = [
        "| | cold, ms | (processor) | warm list, ms | warm create, ms | memory, MB | zip, KB | modules |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    floor = figures[FLOOR]
    for name, entry in figures.items():
        cells = [
            _relate(entry.median(*which), floor.median(*which), digits)
            for which, digits in (
                (("cold", "list"), 0),
                (("cold_processor", "list"), 0),
                (("warm_processor", "list"), 2),
                (("warm_processor", "create"), 2),
            )
        ]
        cells.append(_relate(entry.peak_memory / 2**20, floor.peak_memory / 2**20, 0))
        cells.append(f"{entry.zipped_bytes / 1024:,.0f}")
        cells.append(_relate(entry.modules, floor.modules, 0))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def format_growth(growth: Sequence[Growth]) -> str:
    lines = [
        "| items of the user | queries | items examined | read units |",
        "|---:|---:|---:|---:|",
    ]
    lines += [f"| {entry.items:,} | {entry.queries} | {entry.examined} | {entry.units:g} |" for entry in growth]
    return "\n".join(lines)


def _relate(value: float, floor: float, digits: int) -> str:
    return f"{value:.{digits}f} ({value / floor:.2f})"
