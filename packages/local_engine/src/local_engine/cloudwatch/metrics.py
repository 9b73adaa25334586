"""Data points as CloudWatch keeps them: by namespace, name and dimensions, minute by minute.

Source: "Metrics concepts" and "CloudWatch statistics definitions" (CloudWatch User Guide). How long a minute lasts
is the engine's to say: with minutes of a second, a period of 300 seconds is over after five.
"""

import math
import re
import time
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Self

MINUTES_KEPT = 360
"""Older minutes are forgotten; CloudWatch keeps 15 days of them."""
LARGEST_STORE = 10_000
"""Metrics at most, lest a dimension with an id in it eat the memory."""
_EXACT_VALUES = 256
_CENTROIDS = 150
_MOST_KNOWN = 5000
_LARGEST_BATCH = 250
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")


class UnknownStatistic(Exception):
    """A statistic that the engine does not have; the message is a sentence."""


class Metric(NamedTuple):
    """What makes a metric one metric."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()
    """Names with values, in the order of the names."""

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> Self:
        """Return the metric with these dimensions, in whatever order they come."""
        return cls(namespace, name, tuple(sorted(dimensions.items())))


class Distribution:
    """The values of a metric in some time: sum, count and extremes exact, the values themselves bounded.

    Percentiles are exact up to 256 different values. Where there are more, neighbours are merged into their mean, few
    at the ends and more in the middle (Dunning and Ertl, "Computing Extremely Accurate Quantiles Using t-Digests").
    """

    __slots__ = ("count", "maximum", "minimum", "total", "values", "weights")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.values = array("d")
        """Not those that were added, but means of neighbours, where there are many."""
        self.weights = array("d")

    def add(self, values: Sequence[float]) -> None:
        """Take values; there must be one at least."""
        minimum, maximum = min(values), max(values)
        self.count += len(values)
        self.total += sum(values)
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)
        if minimum < maximum:
            self.values.extend(values)
            self.weights.extend([1] * len(values))
        # Most metrics are a 1 or a 0 again and again.
        elif self.values and self.values[-1] == minimum:
            self.weights[-1] += len(values)
        else:
            self.values.append(minimum)
            self.weights.append(len(values))
        if len(self.values) > _EXACT_VALUES:
            self._merge_values()

    def statistic(self, name: str) -> float:
        """Return a statistic by CloudWatch's name, such as `Average` or `p99`; there must be a value.

        Raises:
            UnknownStatistic: the engine does not have it.
        """
        return statistic_of([self], name)

    def _merge_values(self) -> None:
        pairs = sorted(zip(self.values, self.weights, strict=True))
        merged = _merge_neighbours(pairs, lambda _rank, _weight, is_equal: is_equal)
        if len(merged) > _CENTROIDS:
            merged = _merge_neighbours(merged, self._is_mergeable)
        self.values = array("d", (value for value, _ in merged))
        self.weights = array("d", (weight for _, weight in merged))

    def _is_mergeable(self, rank: float, weight: float, _is_equal: bool) -> bool:
        quantile = min(max((rank + weight / 2) / self.count, 0.0), 1.0)
        return weight <= self.count * 2 * math.pi * math.sqrt(quantile * (1 - quantile)) / _CENTROIDS


class Series:
    """One metric with its minutes."""

    __slots__ = ("_known", "_minutes", "_newest", "count", "metric", "total", "unit")

    def __init__(self, metric: Metric, unit: str) -> None:
        self.metric = metric
        self.unit = unit
        self.count = 0
        self.total = 0.0
        self._minutes: dict[int, Distribution] = {}
        self._newest = -1
        self._known: dict[tuple[str, int, int], float | None] = {}

    def add(self, values: Sequence[float], minute: int) -> None:
        """Take values into a minute; there must be one at least."""
        self.count += len(values)
        self.total += sum(values)
        if minute > self._newest:
            self._newest = minute
        elif minute < self._newest:
            self._known.clear()
        distribution = self._minutes.get(minute)
        if distribution is None:
            oldest = minute - MINUTES_KEPT
            for past in [past for past in self._minutes if past <= oldest]:
                del self._minutes[past]
            distribution = self._minutes[minute] = Distribution()
        distribution.add(values)

    def statistic(self, name: str, start: int, length: int) -> float | None:
        """Return a statistic of `length` minutes from `start`; None where there is no value.

        Raises:
            UnknownStatistic: the engine does not have it.
        """
        key = (name, start, length)
        if key in self._known:
            return self._known[key]
        found = [self._minutes[minute] for minute in range(start, start + length) if minute in self._minutes]
        value = statistic_of(found, name) if found else None
        # What is over is asked for again and again by who looks at a graph.
        if start + length <= self._newest:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = value
        return value


class Batch:
    """Gathers values that are measured together, for the store to take in when somebody looks.

    One by one, the two dozen values of a request would take it longer than all else that the engine does about metrics.
    """

    def __init__(self, store: "MetricStore", columns: Sequence[tuple[Sequence[Metric], str]]) -> None:
        self._store = store
        self._columns = columns
        self._rows: list[tuple[float | None, ...]] = []
        self._minute = 0

    def add(self, *row: float | None) -> None:
        """Take a value for each metric, measured now; None where one has none."""
        minute = self._store.minute_at(self._store.now())
        if minute != self._minute or len(self._rows) >= _LARGEST_BATCH:
            self.flush()
            self._minute = minute
        self._rows.append(row)

    def flush(self) -> None:
        """Give to the store what was gathered."""
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        gathered = []
        for (metrics, unit), column in zip(self._columns, zip(*rows, strict=True), strict=True):
            values = [value for value in column if value is not None]
            if values:
                gathered.append((metrics, unit, values))
        self._store.take(gathered, self._minute)


class MetricStore:
    """All metrics of a run. Not for use by several threads."""

    def __init__(self, minute_seconds: float = 60.0, clock: Callable[[], float] = time.time) -> None:
        """Start empty.

        Args:
            minute_seconds: how long a minute lasts, in seconds.
            clock: gives the time, in seconds since the epoch.
        """
        self.minute_seconds = minute_seconds
        self.now = clock
        self.started = clock()
        self.refused = 0
        """How often there was no room for a metric."""
        self._series: dict[Metric, Series] = {}
        self._batches: dict[Hashable, Batch] = {}

    def __iter__(self) -> Iterator[Series]:
        self._flush()
        return iter(list(self._series.values()))

    def minute_at(self, seconds: float) -> int:
        """Return the number of the minute that a time lies in."""
        return math.floor(seconds / self.minute_seconds)

    def start_of(self, minute: int) -> float:
        """Return when a minute starts, in seconds since the epoch."""
        return minute * self.minute_seconds

    def find(self, metric: Metric) -> Series | None:
        """Return a metric's values; None where there never was one."""
        self._flush()
        return self._series.get(metric)

    def add(self, metric: Metric, values: Sequence[float], unit: str = "None", at: float | None = None) -> None:
        """Take values of a metric.

        Args:
            metric: whose they are.
            values: finite numbers, one at least.
            unit: as CloudWatch names it, such as `Milliseconds`.
            at: when they were measured, in seconds since the epoch; None for now. What is older than the minutes
                kept, or more than two hours in the future, is left out (CloudWatch's own limits are wider).
        """
        now = self.now()
        minute = self.minute_at(now if at is None else at)
        if not self.minute_at(now) - MINUTES_KEPT < minute <= self.minute_at(now + 7200):
            return
        self._open(metric, unit).add(values, minute)

    def batch(self, namespace: str, dimension_sets: Sequence[Mapping[str, str]], metrics: Mapping[str, str]) -> Batch:
        """Return a batch of metrics that are always measured together; the same one for the same arguments.

        Args:
            namespace: of the metrics.
            dimension_sets: under each of which the values are kept.
            metrics: their units by their names.
        """
        dimensions = tuple(tuple(sorted(entry.items())) for entry in dimension_sets)
        key = (namespace, dimensions, *metrics)
        if key not in self._batches:
            columns = [
                (tuple(Metric(namespace, name, entry) for entry in dimensions), unit) for name, unit in metrics.items()
            ]
            self._batches[key] = Batch(self, columns)
        return self._batches[key]

    def take(self, columns: Iterable[tuple[Sequence[Metric], str, Sequence[float]]], minute: int) -> None:
        """Take what a batch has gathered: metrics that share values, their unit, and the values."""
        for metrics, unit, values in columns:
            for metric in metrics:
                self._open(metric, unit).add(values, minute)

    def _flush(self) -> None:
        for batch in self._batches.values():
            batch.flush()

    def _open(self, metric: Metric, unit: str) -> Series:
        series = self._series.get(metric)
        if series is None:
            series = Series(metric, unit)
            if len(self._series) < LARGEST_STORE:
                self._series[metric] = series
            else:
                self.refused += 1
        return series


def statistic_of(distributions: Sequence[Distribution], name: str) -> float:
    """Return a statistic of several distributions together; there must be one at least.

    Raises:
        UnknownStatistic: the engine does not have it.
    """
    match name:
        case "Sum":
            return sum(one.total for one in distributions)
        case "SampleCount":
            return sum(one.count for one in distributions)
        case "Average":
            return sum(one.total for one in distributions) / sum(one.count for one in distributions)
        case "Minimum":
            return min(one.minimum for one in distributions)
        case "Maximum":
            return max(one.maximum for one in distributions)
    percent = _read_percentile(name)
    rank = sum(one.count for one in distributions) * percent / 100
    reached = 0.0
    pairs = sorted(pair for one in distributions for pair in zip(one.values, one.weights, strict=True))
    for value, weight in pairs:
        reached += weight
        # Sums of weights may be off by their last digit.
        if reached >= rank * (1 - 1e-12):
            return value
    return pairs[-1][0]


def minutes_of(period: float) -> int:
    """Return how many minutes a period has, given in seconds of a template; shorter ones count as one minute."""
    return max(1, math.ceil(period / 60))


def check_statistic(name: str) -> None:
    """Make sure that there is a statistic of this name.

    Raises:
        UnknownStatistic: the engine does not have it.
    """
    if name not in ("Sum", "SampleCount", "Average", "Minimum", "Maximum"):
        _read_percentile(name)


def _read_percentile(name: str) -> float:
    match = _PERCENTILE.fullmatch(name)
    if match is None:
        raise UnknownStatistic(
            f"The local engine has no statistic {name!r}; "
            "it has Sum, Average, Minimum, Maximum, SampleCount and percentiles such as p99."
        )
    return float(match[1])


def _merge_neighbours(
    pairs: Iterable[tuple[float, float]], is_mergeable: Callable[[float, float, bool], bool]
) -> list[tuple[float, float]]:
    """Merge values with weights into their means where a function of rank, weight and equality says so."""
    merged: list[tuple[float, float]] = []
    rank = 0.0
    for value, weight in pairs:
        if merged:
            mean, before = merged[-1]
            together = before + weight
            if is_mergeable(rank, together, value == mean):
                merged[-1] = (mean + (value - mean) * weight / together, together)
                continue
            rank += before
        merged.append((value, weight))
    return merged
