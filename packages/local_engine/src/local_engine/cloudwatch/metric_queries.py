"""Queries of graphs and alarms: metrics, metric math, searches and Metrics Insights, evaluated to time series."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from local_engine.cloudwatch import metric_math
from local_engine.cloudwatch.metric_math import MathError, TimeSeries
from local_engine.cloudwatch.metric_search import SearchError, find_metrics
from local_engine.cloudwatch.metrics import Metric, MetricStore, Series, UnknownStatistic, minutes_of, statistic_of
from local_engine.cloudwatch.metrics_insights import (
    MINUTES_QUERIED,
    MOST_SERIES,
    InsightsQuery,
    QueryError,
    is_insights_query,
    parse_insights_query,
)

_DYNAMIC = re.compile(r"\$\{(LABEL|AVG|MAX|MIN|SUM|FIRST|LAST|PROP\(\s*'([^']*)'\s*\))\}")


@dataclass(frozen=True)
class Query:
    """A metric with a statistic, or an expression."""

    id: str | None
    period: int
    """Seconds."""
    metric: Metric | None = None
    statistic: str = "Average"
    expression: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Window:
    """The time range of a graph or alarm."""

    end: int
    """Number of the minute after the range."""
    minutes: int
    is_aligned: bool = True
    """Whether periods start at their multiples, as in graphs, or end with the window, as in alarms."""

    def starts(self, period: int) -> list[int]:
        """Return the first minute of each period; `period` in seconds."""
        length = minutes_of(period)
        if self.is_aligned:
            return list(range((self.end - self.minutes) // length * length, self.end, length))
        return list(range(self.end - self.minutes // length * length, self.end, length))


class Queries:
    """The queries of one graph or alarm in a window; resolves the IDs in their expressions."""

    def __init__(self, queries: Sequence[Query], store: MetricStore, window: Window, period: int) -> None:
        """Take all queries, including hidden ones; `period` is the default of searches, in seconds."""
        self._queries = queries
        self._by_id = {query.id: query for query in queries if query.id}
        self._store = store
        self._window = window
        self._period = period
        self._known: dict[str, TimeSeries | list[TimeSeries]] = {}
        self._pending: list[str] = []

    def evaluate(self, query: Query) -> list[TimeSeries]:
        """Return the time series of a query: one for a metric, any number for an expression.

        Raises:
            MathError: the query cannot be evaluated.
        """
        found = self._evaluate(query)
        if isinstance(found, TimeSeries):
            return [_label(found, query.label or found.label)]
        if len(found) > MOST_SERIES:
            raise MathError(
                f"A graph may have at most {MOST_SERIES} metrics, and this expression returns {len(found)}."
            )
        labels = [entry.label for entry in found]
        return [
            _label(entry, _expression_label(query.label, label)) for entry, label in zip(found, labels, strict=True)
        ]

    def find(self, identifier: str) -> TimeSeries | list[TimeSeries]:
        """Return the metric or expression with an ID."""
        if identifier in self._known:
            return self._known[identifier]
        query = self._by_id.get(identifier)
        if query is None:
            raise MathError(f"There is no metric or expression with the ID {identifier!r}.")
        if identifier in self._pending:
            raise MathError(f"The expression {identifier!r} refers to itself.")
        self._pending.append(identifier)
        try:
            found = self._known[identifier] = self._evaluate(query)
        finally:
            self._pending.pop()
        if isinstance(found, TimeSeries) and query.label:
            found = replace(found, label=query.label)
        return found

    def metrics(self, part: str) -> list[TimeSeries]:
        """Return the metrics, without expressions, whose ID contains `part`."""
        chosen = [query for query in self._queries if query.metric is not None and part in (query.id or "")]
        return [_label(self._read(query), query.label or "") for query in chosen]

    def search(self, query: str, statistic: str, period: float | None) -> list[TimeSeries]:
        """Return the metrics that match a search, labelled by their differences."""
        seconds = int(period or self._period)
        try:
            found = find_metrics(query, (series.metric for series in self._store))
        except SearchError as error:
            raise MathError(str(error)) from error
        labels = label_differences(found)
        return [
            self._read(Query(None, seconds, metric, statistic, label=label))
            for metric, label in zip(found, labels, strict=True)
        ]

    def _evaluate(self, query: Query) -> TimeSeries | list[TimeSeries]:
        if query.expression is None:
            return self._read(query)
        if is_insights_query(query.expression):
            return self._select(query.expression, query.period)
        found = metric_math.evaluate(query.expression, self)
        return replace(found, label=query.expression) if isinstance(found, TimeSeries) else found

    def _select(self, expression: str, period: int) -> TimeSeries | list[TimeSeries]:
        """Run a Metrics Insights query; with GROUP BY, each group is a time series."""
        try:
            query = parse_insights_query(expression)
        except QueryError as error:
            raise MathError(str(error)) from error
        since = self._window.end - max(self._window.minutes, MINUTES_QUERIED)
        groups: dict[tuple[str, ...], list[Series]] = {}
        for series in self._store:
            if series.newest >= since and query.matches(series.metric):
                groups.setdefault(query.group_of(series.metric), []).append(series)
        if not query.group_by:
            return self._aggregate(query, query.metric_name, groups.get((), []), period)
        found = [self._aggregate(query, " ".join(group), groups[group], period) for group in sorted(groups)]
        return sorted(found, key=lambda series: query.rank(list(series.points.values())))[: query.limit]

    def _aggregate(self, query: InsightsQuery, label: str, group: Sequence[Series], period: int) -> TimeSeries:
        starts, length = self._window.starts(period), minutes_of(period)
        points = {}
        for start in starts:
            found = [distribution for series in group for distribution in series.distributions(start, length)]
            if found:
                points[start] = statistic_of(found, query.statistic)
        return TimeSeries(label, period, starts, points)

    def _read(self, query: Query) -> TimeSeries:
        if query.metric is None:
            raise MathError("A query needs a metric or an expression.")
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


def label_differences(metrics: Sequence[Metric]) -> list[str]:
    """Return a label for each metric: the dimension values that differ, after the name if names differ."""
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
    """Label a series; fills in dynamic labels ("Using dynamic labels", CloudWatch User Guide)."""

    def fill_in(match: re.Match[str]) -> str:
        variable, attribute = match.groups()
        if variable == "LABEL":
            return series.label
        if attribute is not None:
            return _property(series.metric, attribute)
        numbers = [series.points[time] for time in sorted(series.points)]
        if not numbers:
            return "-"
        average = sum(numbers) / len(numbers)
        values = {"AVG": average, "MAX": max(numbers), "MIN": min(numbers), "SUM": sum(numbers), "FIRST": numbers[0]}
        return f"{values.get(variable, numbers[-1]):.4g}"

    return replace(series, label=_DYNAMIC.sub(fill_in, label) or series.label)


def _property(metric: Metric | None, attribute: str) -> str:
    if metric is None:
        return ""
    known = {"MetricName": metric.name, "Namespace": metric.namespace}
    known |= {f"Dim.{name}": value for name, value in metric.dimensions}
    return known.get(attribute, "")
