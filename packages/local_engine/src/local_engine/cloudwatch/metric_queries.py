"""Turns metrics and expressions over them, as graphs and alarms name them, into values over time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from local_engine.cloudwatch import metric_math
from local_engine.cloudwatch.metric_math import MathError, TimeSeries
from local_engine.cloudwatch.metric_search import SearchError, find_metrics
from local_engine.cloudwatch.metrics import Metric, MetricStore, Series, UnknownStatistic, minutes_of

MOST_SERIES = 500
"""Of one graph, as in CloudWatch."""
_DYNAMIC = re.compile(r"\$\{(LABEL|AVG|MAX|MIN|SUM|FIRST|LAST|PROP\(\s*'([^']*)'\s*\))\}")


@dataclass(frozen=True)
class Query:
    """A metric with a statistic, or an expression over others."""

    id: str | None
    period: int
    """Seconds."""
    metric: Metric | None = None
    statistic: str = "Average"
    expression: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Window:
    """The time that is looked at."""

    end: int
    """Number of the minute after the last one."""
    minutes: int
    is_aligned: bool = True
    """Whether periods start at their multiples, as in graphs, or end at the window's end, as in alarms."""

    def starts(self, period: int) -> list[int]:
        """Return the numbers of the minutes at which periods of so many seconds start."""
        length = minutes_of(period)
        if self.is_aligned:
            return list(range((self.end - self.minutes) // length * length, self.end, length))
        return list(range(self.end - self.minutes // length * length, self.end, length))


class Queries:
    """The queries of one graph or alarm, evaluated in a window; the environment of their expressions."""

    def __init__(self, queries: Sequence[Query], store: MetricStore, window: Window, period: int) -> None:
        """Take all queries, also those that are not shown; `period` in seconds is for searches that name none."""
        self._queries = queries
        self._by_id = {query.id: query for query in queries if query.id}
        self._store = store
        self._window = window
        self._period = period
        self._known: dict[str, TimeSeries | list[TimeSeries]] = {}
        self._pending: list[str] = []

    def evaluate(self, query: Query) -> list[TimeSeries]:
        """Return the values of a query; none or several only where it is an expression.

        Raises:
            MathError: it cannot be evaluated.
        """
        found = self._evaluate(query)
        if isinstance(found, TimeSeries):
            return [_label(found, query.label or found.label)]
        if len(found) > MOST_SERIES:
            raise MathError(f"A graph has at most {MOST_SERIES} metrics, and this expression gives {len(found)}.")
        labels = [entry.label for entry in found]
        return [
            _label(entry, _expression_label(query.label, label)) for entry, label in zip(found, labels, strict=True)
        ]

    def find(self, identifier: str) -> TimeSeries | list[TimeSeries]:
        """Return what has an id."""
        if identifier in self._known:
            return self._known[identifier]
        query = self._by_id.get(identifier)
        if query is None:
            raise MathError(f"There is no metric or expression with the id {identifier!r}.")
        if identifier in self._pending:
            raise MathError(f"The expression {identifier!r} is made from itself.")
        self._pending.append(identifier)
        try:
            found = self._known[identifier] = self._evaluate(query)
        finally:
            self._pending.pop()
        if isinstance(found, TimeSeries) and query.label:
            found = replace(found, label=query.label)
        return found

    def metrics(self, part: str) -> list[TimeSeries]:
        """Return the metrics, expressions not included, whose id contains `part`."""
        chosen = [query for query in self._queries if query.metric is not None and part in (query.id or "")]
        return [_label(self._read(query), query.label or "") for query in chosen]

    def search(self, query: str, statistic: str, period: float | None) -> list[TimeSeries]:
        """Return the metrics that a search finds, named by what tells them apart."""
        seconds = int(period or self._period)
        try:
            found = find_metrics(query, (series.metric for series in self._store))
        except SearchError as error:
            raise MathError(str(error)) from error
        labels = tell_apart(found)
        return [
            self._read(Query(None, seconds, metric, statistic, label=label))
            for metric, label in zip(found, labels, strict=True)
        ]

    def _evaluate(self, query: Query) -> TimeSeries | list[TimeSeries]:
        if query.expression is None:
            return self._read(query)
        found = metric_math.evaluate(query.expression, self)
        return replace(found, label=query.expression) if isinstance(found, TimeSeries) else found

    def _read(self, query: Query) -> TimeSeries:
        if query.metric is None:
            raise MathError("There is neither a metric nor an expression.")
        starts = self._window.starts(query.period)
        series = self._store.find(query.metric)
        points = {} if series is None else self._read_points(series, query, starts)
        return TimeSeries(query.label or query.metric.name, query.period, starts, points, query.metric)

    def _read_points(self, series: Series, query: Query, starts: Sequence[int]) -> dict[int, float]:
        length = minutes_of(query.period)
        try:
            values = ((start, series.statistic(query.statistic, start, length)) for start in starts)
            return {start: value for start, value in values if value is not None}
        except UnknownStatistic as error:
            raise MathError(str(error)) from error


def tell_apart(metrics: Sequence[Metric]) -> list[str]:
    """Return a label for each metric: its name where names differ, and the dimensions that differ."""
    names = {metric.name for metric in metrics}
    values: dict[str, set[str]] = {}
    for metric in metrics:
        for name, value in metric.dimensions:
            values.setdefault(name, set()).add(value)
    labels = []
    for metric in metrics:
        parts = [value for name, value in metric.dimensions if len(values[name]) > 1]
        labels.append(" ".join([*([metric.name] if len(names) > 1 or not parts else []), *parts]))
    return labels


def _expression_label(label: str | None, series_label: str) -> str:
    if label is None:
        return series_label
    return label if "${" in label else f"{label} {series_label}".strip()


def _label(series: TimeSeries, label: str) -> TimeSeries:
    """Name a series; a label may have parts that its values make ("Using dynamic labels", CloudWatch User Guide)."""

    def fill_in(match: re.Match[str]) -> str:
        what, attribute = match.groups()
        if what == "LABEL":
            return series.label
        if attribute is not None:
            return _property(series.metric, attribute)
        numbers = [series.points[time] for time in sorted(series.points)]
        if not numbers:
            return "-"
        average = sum(numbers) / len(numbers)
        of = {"AVG": average, "MAX": max(numbers), "MIN": min(numbers), "SUM": sum(numbers), "FIRST": numbers[0]}
        return f"{of.get(what, numbers[-1]):.4g}"

    return replace(series, label=_DYNAMIC.sub(fill_in, label) or series.label)


def _property(metric: Metric | None, attribute: str) -> str:
    if metric is None:
        return ""
    known = {"MetricName": metric.name, "Namespace": metric.namespace}
    known |= {f"Dim.{name}": value for name, value in metric.dimensions}
    return known.get(attribute, "")
