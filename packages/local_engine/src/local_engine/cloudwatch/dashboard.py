"""Evaluates dashboards ("Dashboard body structure and syntax", CloudWatch API Reference)."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from local_engine.cloudwatch.alarms import AlarmSet, MetricRule
from local_engine.cloudwatch.metric_math import MathError, TimeSeries
from local_engine.cloudwatch.metric_queries import Queries, Query, Window, label_differences
from local_engine.cloudwatch.metrics import Metric, MetricStore
from local_engine.template.stack import Resource

DASHBOARD = "AWS::CloudWatch::Dashboard"
PUBLISHED_METRICS = {
    "AWS/ApiGateway": {"Count", "4xx", "5xx", "4XXError", "5XXError", "Latency", "IntegrationLatency", "DataProcessed"},
    "AWS/DynamoDB": {
        "ConditionalCheckFailedRequests",
        "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits",
        "SuccessfulRequestLatency",
        "SystemErrors",
        "UserErrors",
    },
    "AWS/Lambda": {
        "ClaimedAccountConcurrency",
        "ConcurrentExecutions",
        "Duration",
        "Errors",
        "Invocations",
        "Throttles",
    },
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
    },
}
"""Metrics of AWS services that the engine publishes, by namespace."""
_DEFAULT_PERIOD = 300
_POSITION = ("x", "y", "width", "height")


@dataclass(frozen=True)
class Dashboard:
    """A dashboard of the template."""

    name: str
    widgets: Sequence[Mapping[str, Any]]
    problem: str | None
    """A sentence if its body is invalid."""


@dataclass(frozen=True)
class _Row:
    """An entry of a widget's `metrics`: a query and its rendering options."""

    query: Query
    options: Mapping[str, Any]

    @property
    def is_visible(self) -> bool:
        return self.options.get("visible", True) is not False


class _WidgetError(Exception):
    """The widget is invalid; the message is a sentence."""


def read_dashboards(resources: Mapping[str, Resource]) -> list[Dashboard]:
    """Return the dashboards among a template's resources."""
    return [
        _read_dashboard(str(resource.properties.get("DashboardName") or logical_id), resource)
        for logical_id, resource in resources.items()
        if resource.type == DASHBOARD
    ]


async def evaluate_dashboard(
    dashboard: Dashboard, store: MetricStore, alarms: AlarmSet, minutes: int
) -> dict[str, Any]:
    """Evaluate a dashboard's widgets; return it for JSON.

    Args:
        dashboard: the dashboard.
        store: the metrics.
        alarms: the alarms that widgets refer to.
        minutes: length of the time range, including the current minute.
    """
    end = store.minute_at(store.now()) + 1
    widgets = []
    for widget in dashboard.widgets:
        widgets.append(_evaluate_widget(widget, store, alarms, end, minutes))
        # Let the event loop serve requests between widgets.
        await asyncio.sleep(0)
    return {"name": dashboard.name, "problem": dashboard.problem, "widgets": widgets}


def _read_dashboard(name: str, resource: Resource) -> Dashboard:
    try:
        body = json.loads(resource.properties["DashboardBody"])
        widgets = body["widgets"]
        if not isinstance(widgets, list) or not all(isinstance(widget, dict) for widget in widgets):
            raise TypeError
    except (KeyError, TypeError):
        return Dashboard(name, [], "DashboardBody must be JSON with a list of widgets.")
    except (ValueError, RecursionError) as error:
        return Dashboard(name, [], f"DashboardBody is not JSON: {error}.")
    return Dashboard(name, widgets, None)


def _evaluate_widget(
    widget: Mapping[str, Any], store: MetricStore, alarms: AlarmSet, end: int, minutes: int
) -> dict[str, Any]:
    properties = widget.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    evaluated: dict[str, Any] = {
        "type": widget.get("type"),
        **{name: widget[name] for name in _POSITION if isinstance(widget.get(name), int)},
        "title": str(properties.get("title") or ""),
        "problems": [],
        "notes": [],
    }
    try:
        match widget.get("type"):
            case "metric":
                evaluated |= _MetricWidget(properties, store, alarms, end, minutes).evaluate()
            case "text":
                evaluated["markdown"] = str(properties.get("markdown") or "")
            case "alarm":
                evaluated["alarms"], evaluated["problems"] = _list_alarms(properties.get("alarms"), alarms)
            case other:
                raise _WidgetError(f"The local engine does not support widgets of type {other!r}.")
    except (_WidgetError, TypeError, ValueError, AttributeError, KeyError) as error:
        sentence = str(error) if isinstance(error, _WidgetError) else f"The widget is invalid ({error!r})."
        evaluated["problems"] = [sentence]
    return evaluated


def _list_alarms(names: Any, alarms: AlarmSet) -> tuple[list[str], list[str]]:
    wanted = [str(name) for name in names or ()]
    found = {name: alarms.find(name) for name in wanted}
    problems = [f"The template has no alarm {name}." for name, alarm in found.items() if alarm is None]
    return [alarm.name for alarm in found.values() if alarm is not None], problems


class _MetricWidget:
    """A metric widget: a graph or numbers."""

    def __init__(
        self, properties: Mapping[str, Any], store: MetricStore, alarms: AlarmSet, end: int, minutes: int
    ) -> None:
        self._properties = properties
        self._store = store
        self._alarms = alarms
        self._view = str(properties.get("view") or "timeSeries")
        self._is_whole = properties.get("setPeriodToTimeRange") is True and self._view != "timeSeries"
        self._period = minutes * 60 if self._is_whole else _read_period(properties, _DEFAULT_PERIOD)
        self._window = Window(end, minutes, is_aligned=not self._is_whole)
        self._problems: list[str] = []
        self._notes: list[str] = []

    def evaluate(self) -> dict[str, Any]:
        annotations = self._properties.get("annotations") or {}
        lines = [
            {"label": str(entry.get("label") or ""), "value": float(entry["value"]), "color": entry.get("color")}
            for entry in _flatten(annotations.get("horizontal"))
        ]
        rows = _name_rows(list(self._read_rows(self._properties.get("metrics") or ())))
        queries = Queries([row.query for row in rows], self._store, self._window, self._period)
        series = [described for row in rows if row.is_visible for described in self._evaluate_row(row, queries)]
        for name in annotations.get("alarms") or ():
            drawn, line = self._evaluate_alarm(str(name))
            series += drawn
            lines += line
        if not rows and not annotations.get("alarms"):
            self._problems.append("The widget has no metrics.")
        if self._view not in ("timeSeries", "singleValue"):
            self._notes.append(f"Shown as numbers: the local engine does not support the view {self._view!r}.")
        return {
            "view": "timeSeries" if self._view == "timeSeries" else "singleValue",
            "stacked": self._properties.get("stacked") is True,
            "yAxis": self._properties.get("yAxis") or {},
            "start": self._store.start_of(self._window.end - self._window.minutes),
            "end": self._store.start_of(self._window.end),
            "lines": lines,
            "series": series,
            "problems": self._problems,
            "notes": self._notes,
        }

    def _read_rows(self, entries: Sequence[Any]) -> Iterator[_Row]:
        previous: list[str] = []
        for entry in entries:
            if not isinstance(entry, list):
                raise _WidgetError(f"Each entry of metrics must be a list; one is {entry!r}.")
            options = entry[-1] if entry and isinstance(entry[-1], dict) else {}
            names = [str(name) for name in entry if not isinstance(name, dict)]
            identifier = str(options["id"]) if "id" in options else None
            label = str(options["label"]) if "label" in options else None
            period = self._period if self._is_whole else _read_period(options, self._period)
            if "expression" in options:
                yield _Row(Query(identifier, period, expression=str(options["expression"]), label=label), options)
                continue
            previous = _expand(names, previous)
            statistic = str(options.get("stat") or self._properties.get("stat") or "Average")
            yield _Row(Query(identifier, period, _read_metric(previous), statistic, label=label), options)

    def _evaluate_row(self, row: _Row, queries: Queries) -> list[dict[str, Any]]:
        try:
            found = queries.evaluate(row.query)
        except MathError as error:
            self._problems.append(str(error))
            return []
        if not found:
            self._notes.append(f"{row.query.expression} matches no metric yet.")
        metric = row.query.metric
        if metric is not None and metric.namespace.startswith("AWS/"):
            published = PUBLISHED_METRICS.get(metric.namespace, set())
            if metric.name not in published:
                self._notes.append(f"The local engine does not publish {metric.namespace} {metric.name}.")
        return [
            self._describe(series, row.options.get("color") if len(found) == 1 else None, row.options.get("yAxis"))
            for series in found
        ]

    def _evaluate_alarm(self, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        alarm = self._alarms.find(name)
        if alarm is None or not isinstance(alarm.rule, MetricRule):
            self._problems.append(
                f"The template has no alarm {name}."
                if alarm is None
                else f"{alarm.name} cannot be drawn: {alarm.reason}"
            )
            return [], []
        queries = Queries(alarm.rule.queries, self._store, self._window, alarm.rule.period)
        try:
            found = queries.evaluate(alarm.rule.watched)
        except MathError as error:
            self._problems.append(str(error))
            found = []
        # Without data, an alarm has nothing to say beside its threshold.
        label = alarm.name if alarm.state == "INSUFFICIENT_DATA" else f"{alarm.name} ({alarm.state})"
        line = {"label": label, "value": alarm.rule.threshold, "color": None}
        return [self._describe(series, None, None) for series in found], [line]

    def _describe(self, series: TimeSeries, color: Any, axis: Any) -> dict[str, Any]:
        return {
            "label": series.label,
            "color": color if isinstance(color, str) else None,
            "axis": "right" if axis == "right" else "left",
            "period": self._store.minute_seconds * series.period / 60,
            "points": [[self._store.start_of(time), series.points[time]] for time in sorted(series.points)],
        }


def _name_rows(rows: list[_Row]) -> list[_Row]:
    """Label the metrics without a label by their differences."""
    unnamed = [row for row in rows if row.query.metric is not None and row.query.label is None]
    labels = label_differences([row.query.metric for row in unnamed if row.query.metric is not None])
    if len(set(labels)) < len(labels):
        labels = [f"{label} {row.query.statistic}" for label, row in zip(labels, unnamed, strict=True)]
    named = iter(labels)
    return [_Row(replace(row.query, label=next(named)), row.options) if row in unnamed else row for row in rows]


def _read_period(settings: Mapping[str, Any], default: int) -> int:
    period = settings.get("period", default)
    if not isinstance(period, int) or period < 1:
        raise _WidgetError(f"The period is {period!r}; it must be a number of seconds.")
    return period


def _expand(names: list[str], previous: list[str]) -> list[str]:
    """Expand the shorthand of a metric: `.` repeats one word of the previous metric, `...` all that fit."""
    if "..." in names:
        place = names.index("...")
        after = names[place + 1 :]
        names = [*names[:place], *previous[place : len(previous) - len(after)], *after]
    if any(name == "." and place >= len(previous) for place, name in enumerate(names)):
        raise _WidgetError(f"The metric {names} repeats a word that the previous metric lacks.")
    return [previous[place] if name == "." else name for place, name in enumerate(names)]


def _read_metric(names: Sequence[str]) -> Metric:
    if len(names) < 2 or len(names) % 2:
        raise _WidgetError(f"A metric is a namespace, a name, and pairs of dimension name and value, not {names}.")
    return Metric.of(names[0], names[1], dict(zip(names[2::2], names[3::2], strict=True)))


def _flatten(entries: Any) -> Iterator[Mapping[str, Any]]:
    for entry in entries or ():
        # A list of two lines is a band.
        yield from entry if isinstance(entry, list) else [entry]
