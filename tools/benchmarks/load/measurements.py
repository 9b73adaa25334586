"""Times and failures of a run's requests, summed up by route, stage and time."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil


@dataclass(frozen=True)
class Figures:
    """Summary of some requests; times are in milliseconds, or None without requests."""

    requests: int
    errors: int
    median: float | None
    p90: float | None
    p99: float | None
    longest: float | None

    @property
    def error_share(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


@dataclass
class _Samples:
    # Arrays, because a day's soak has millions of requests.
    ends: array[float] = field(default_factory=lambda: array("d"))
    milliseconds: array[float] = field(default_factory=lambda: array("d"))
    failed_ends: array[float] = field(default_factory=lambda: array("d"))


class Measurements:
    """Records requests as they end; times are seconds since the first stage began."""

    def __init__(self) -> None:
        self.problems: Counter[str] = Counter()
        """Counts of failures by route and cause."""
        self._samples: dict[str, _Samples] = {}

    @property
    def routes(self) -> Sequence[str]:
        return sorted(self._samples)

    def add(self, route: str, end: float, milliseconds: float, problem: str | None) -> None:
        samples = self._samples.setdefault(route, _Samples())
        samples.ends.append(end)
        samples.milliseconds.append(milliseconds)
        if problem is not None:
            samples.failed_ends.append(end)
            self.problems[f"{route}: {problem}"] += 1

    def sum_up(self, route: str | None = None, start: float = 0, end: float = float("inf")) -> Figures:
        """Sum up the requests that ended from `start` until before `end`, for one route or all."""
        chosen = self._samples.values() if route is None else [self._samples[route]]
        times: list[float] = []
        errors = 0
        for samples in chosen:
            # In the order of their ends.
            times += samples.milliseconds[bisect_left(samples.ends, start) : bisect_left(samples.ends, end)]
            errors += bisect_left(samples.failed_ends, end) - bisect_left(samples.failed_ends, start)
        times.sort()
        return Figures(len(times), errors, *(_quantile(times, entry) for entry in (0.5, 0.9, 0.99, 1)))


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return a percentile by nearest rank."""
    if not ordered:
        return None
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
