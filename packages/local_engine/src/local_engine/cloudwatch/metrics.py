"""Metric store: data points by namespace, name, dimensions and minute, as CloudWatch keeps them.

Source: "Metrics concepts" and "CloudWatch statistics definitions" (CloudWatch User Guide). The engine sets the length
of a minute: if a minute lasts one second, a period of 300 seconds ends after five.
"""

import math
import re
import time
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Self

MINUTES_KEPT = 1440
"""Older minutes are dropped; CloudWatch keeps one-minute data points for 15 days."""
LARGEST_STORE = 10_000
"""Maximum number of metrics, so that a dimension with unique IDs cannot exhaust the memory."""
_EXACT_VALUES = 256
_CENTROIDS = 150
_MOST_KNOWN = 5000
_LARGEST_BATCH = 250
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
_RANK = re.compile(r"PR\((-?\d+(?:\.\d+)?)?:(-?\d+(?:\.\d+)?)?\)")


class UnknownStatistic(Exception):
    """The engine does not support the statistic; the message is a sentence."""


class Metric(NamedTuple):
    """Identity of a metric."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()
    """Pairs of name and value, sorted by name."""

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> Self:
        """Return the metric with these dimensions; their order does not matter."""
        return cls(namespace, name, tuple(sorted(dimensions.items())))


class Distribution:
    """A metric's values in one minute: exact sum, count and extremes, and percentiles in bounded memory.

    Percentiles are exact up to 256 distinct values. Beyond that, neighbours are merged into their mean, fewer at the
    ends than in the middle (Dunning and Ertl, "Computing Extremely Accurate Quantiles Using t-Digests").
    """

    __slots__ = ("count", "maximum", "minimum", "total", "values", "weights")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.values = array("d")
        """The values added, or means of neighbours if there are many."""
        self.weights = array("d")

    def add(self, values: Sequence[float]) -> None:
        """Add values; at least one."""
        minimum, maximum = min(values), max(values)
        self.count += len(values)
        self.total += sum(values)
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)
        if minimum < maximum:
            self.values.extend(values)
            self.weights.extend([1] * len(values))
        # Most metrics repeat a 1 or a 0.
        elif self.values and self.values[-1] == minimum:
            self.weights[-1] += len(values)
        else:
            self.values.append(minimum)
            self.weights.append(len(values))
        if len(self.values) > _EXACT_VALUES:
            self._merge_values()

    def statistic(self, name: str) -> float:
        """Return a statistic by CloudWatch's name, such as `Average` or `p99`; requires at least one value.

        Raises:
            UnknownStatistic: the engine does not support it.
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
    """A metric's data points."""

    __slots__ = ("_known", "_minutes", "count", "metric", "newest", "total", "unit")

    def __init__(self, metric: Metric, unit: str) -> None:
        self.metric = metric
        self.unit = unit
        self.count = 0
        self.total = 0.0
        self._minutes: dict[int, Distribution] = {}
        self.newest = -1
        """Number of the last minute with data."""
        self._known: dict[tuple[str, int, int], float | None] = {}

    def add(self, values: Sequence[float], minute: int) -> None:
        """Add values to a minute; at least one."""
        self.count += len(values)
        self.total += sum(values)
        if minute > self.newest:
            self.newest = minute
        elif minute < self.newest:
            self._known.clear()
        distribution = self._minutes.get(minute)
        if distribution is None:
            oldest = minute - MINUTES_KEPT
            for past in [past for past in self._minutes if past <= oldest]:
                del self._minutes[past]
            distribution = self._minutes[minute] = Distribution()
        distribution.add(values)

    def statistic(self, name: str, start: int, length: int) -> float | None:
        """Return a statistic of `length` minutes from `start`, or None without data.

        Raises:
            UnknownStatistic: the engine does not support it.
        """
        key = (name, start, length)
        if key in self._known:
            return self._known[key]
        found = self.distributions(start, length)
        value = statistic_of(found, name) if found else None
        # Graphs ask for past periods at each refresh.
        if start + length <= self.newest:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = value
        return value

    def distributions(self, start: int, length: int) -> list[Distribution]:
        """Return the data of `length` minutes from `start`; minutes without data are left out."""
        return [self._minutes[minute] for minute in range(start, start + length) if minute in self._minutes]


class Batch:
    """Buffers values that are measured together until the store is read.

    Adding the two dozen values of a request to the store one by one would dominate the cost of metrics.
    """

    def __init__(self, store: "MetricStore", columns: Sequence[tuple[Sequence[Metric], str]]) -> None:
        self._store = store
        self._columns = columns
        self._rows: list[tuple[float | None, ...]] = []
        self._minute = 0

    def add(self, *row: float | None) -> None:
        """Buffer the current value of each metric; None if a metric has no value."""
        minute = self._store.minute_at(self._store.now())
        if minute != self._minute or len(self._rows) >= _LARGEST_BATCH:
            self.flush()
            self._minute = minute
        self._rows.append(row)

    def flush(self) -> None:
        """Move the buffered values into the store."""
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
    """All metrics of a run. Not thread-safe."""

    def __init__(self, minute_seconds: float = 60.0, clock: Callable[[], float] = time.time) -> None:
        """Create an empty store.

        Args:
            minute_seconds: length of a minute, in seconds.
            clock: returns the current time, in seconds since the epoch.
        """
        self.minute_seconds = minute_seconds
        self.now = clock
        self.started = clock()
        self.refused = 0
        """Number of values refused because the store was full."""
        self._series: dict[Metric, Series] = {}
        self._batches: dict[Hashable, Batch] = {}

    def __iter__(self) -> Iterator[Series]:
        self._flush()
        return iter(list(self._series.values()))

    def minute_at(self, seconds: float) -> int:
        """Return the number of the minute that contains a time, in seconds since the epoch."""
        return math.floor(seconds / self.minute_seconds)

    def start_of(self, minute: int) -> float:
        """Return the start of a minute, in seconds since the epoch."""
        return minute * self.minute_seconds

    def find(self, metric: Metric) -> Series | None:
        """Return a metric's data points, or None if there never were any."""
        self._flush()
        return self._series.get(metric)

    def add(self, metric: Metric, values: Sequence[float], unit: str = "None", at: float | None = None) -> None:
        """Add values of a metric.

        Args:
            metric: the metric.
            values: finite numbers; at least one.
            unit: CloudWatch's name of the unit, such as `Milliseconds`.
            at: time of measurement, in seconds since the epoch; None means now. Values older than `MINUTES_KEPT`, or
                more than two hours in the future, are dropped (CloudWatch's own limits are wider).
        """
        now = self.now()
        minute = self.minute_at(now if at is None else at)
        if not self.minute_at(now) - MINUTES_KEPT < minute <= self.minute_at(now + 7200):
            return
        self._open(metric, unit).add(values, minute)

    def batch(self, namespace: str, dimension_sets: Sequence[Mapping[str, str]], metrics: Mapping[str, str]) -> Batch:
        """Return the batch of metrics that are always measured together; the same one for the same arguments.

        Args:
            namespace: namespace of the metrics.
            dimension_sets: sets of dimensions; each value is stored under all of them.
            metrics: units by metric name.
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
        """Add a batch's columns: metrics that share values, their unit, and the values."""
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
    """Return a statistic of several distributions combined; at least one.

    Raises:
        UnknownStatistic: the engine does not support it.
    """
    match name:
        case "Sum":
            return sum(item.total for item in distributions)
        case "SampleCount":
            return sum(item.count for item in distributions)
        case "Average":
            return sum(item.total for item in distributions) / sum(item.count for item in distributions)
        case "Minimum":
            return min(item.minimum for item in distributions)
        case "Maximum":
            return max(item.maximum for item in distributions)
    count = sum(item.count for item in distributions)
    pairs = sorted(pair for item in distributions for pair in zip(item.values, item.weights, strict=True))
    if bounds := _read_rank(name):
        # The lower bound is exclusive ("CloudWatch statistics definitions", CloudWatch User Guide).
        return 100 * sum(weight for value, weight in pairs if bounds[0] < value <= bounds[1]) / count
    rank = count * _read_percentile(name) / 100
    reached = 0.0
    for value, weight in pairs:
        reached += weight
        # Sums of weights have rounding errors.
        if reached >= rank * (1 - 1e-12):
            return value
    return pairs[-1][0]


def minutes_of(period: float) -> int:
    """Return the length in minutes of a period given in the template's seconds; at least one minute."""
    return max(1, math.ceil(period / 60))


def check_statistic(name: str) -> None:
    """Check that the engine supports a statistic.

    Raises:
        UnknownStatistic: it does not.
    """
    if name not in ("Sum", "SampleCount", "Average", "Minimum", "Maximum") and not _read_rank(name):
        _read_percentile(name)


def _read_rank(name: str) -> tuple[float, float] | None:
    """Return the bounds of a percentile rank such as `PR(300:2000)`; None if it is another statistic."""
    match = _RANK.fullmatch(name)
    if match is None or match.groups() == (None, None):
        return None
    return float(match[1] or -math.inf), float(match[2] or math.inf)


def _read_percentile(name: str) -> float:
    match = _PERCENTILE.fullmatch(name)
    if match is None:
        raise UnknownStatistic(
            f"The local engine has no statistic {name!r}; "
            "it has Sum, Average, Minimum, Maximum, SampleCount, percentiles such as p99 and ranks such as PR(300:)."
        )
    return float(match[1])


def _merge_neighbours(
    pairs: Iterable[tuple[float, float]], is_mergeable: Callable[[float, float, bool], bool]
) -> list[tuple[float, float]]:
    """Merge neighbours into their weighted mean if a function of rank, weight and equality allows it."""
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
