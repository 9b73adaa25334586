"""Evaluates metric and composite alarms ("Alarm evaluation", CloudWatch User Guide).

Alarms are evaluated after each minute. Periods end with that minute, so a five-minute period slides. The evaluation
range has two more periods than `EvaluationPeriods`, to make up for missing data points.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from local_engine.cloudwatch.alarm_rules import Rule, RuleError, parse_rule
from local_engine.cloudwatch.metric_math import MathError, TimeSeries
from local_engine.cloudwatch.metric_queries import Queries, Query, Window
from local_engine.cloudwatch.metrics import (
    MINUTES_KEPT,
    Metric,
    MetricStore,
    UnknownStatistic,
    check_statistic,
    minutes_of,
)
from local_engine.cloudwatch.metrics_insights import (
    MINUTES_QUERIED,
    QueryError,
    is_insights_query,
    parse_insights_query,
)
from local_engine.template.intrinsics import resource_arn
from local_engine.template.stack import Resource

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
METRIC_ALARM, COMPOSITE_ALARM = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"
_EXTRA_PERIODS = 2
_SHOWN_VALUES = 5

type Treatment = Literal["missing", "ignore", "breaching", "notBreaching"]
_TREATMENTS: tuple[Treatment, ...] = ("missing", "ignore", "breaching", "notBreaching")
_COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (lambda value, threshold: value >= threshold, "greater than or equal to"),
    "GreaterThanThreshold": (lambda value, threshold: value > threshold, "greater than"),
    "LessThanThreshold": (lambda value, threshold: value < threshold, "less than"),
    "LessThanOrEqualToThreshold": (lambda value, threshold: value <= threshold, "less than or equal to"),
}


class AlarmError(Exception):
    """The engine cannot evaluate the alarm; the message is a sentence."""


@dataclass(frozen=True)
class MetricRule:
    """The settings of a metric alarm."""

    queries: tuple[Query, ...]
    watched: Query
    period: int
    """Seconds."""
    evaluation_periods: int
    datapoints_to_alarm: int
    threshold: float
    comparison: str
    treatment: Treatment
    has_contributors: bool = False
    """Whether each time series of the watched query is evaluated on its own."""

    def is_breaching(self, value: float) -> bool:
        """Return whether a value breaches the threshold."""
        return _COMPARISONS[self.comparison][0](value, self.threshold)

    def describe(self) -> str:
        """Return the rule in words."""
        return (
            f"{self.datapoints_to_alarm} of {self.evaluation_periods} periods of {self.period} s "
            f"{_COMPARISONS[self.comparison][1]} {self.threshold:g}; missing data: {self.treatment}"
        )


@dataclass(kw_only=True)
class AlarmState:
    """State of an alarm or of one of its contributors."""

    state: str = INSUFFICIENT_DATA
    reason: str = "Unchecked: Initial alarm creation"
    since: float = field(default_factory=time.time)
    """When the state was entered, in seconds since the epoch."""
    datapoints: list[tuple[float, float | None]] = field(default_factory=list)
    """The evaluated data points: start of the period, in seconds since the epoch, and value; None if missing."""

    def enter(self, state: str, reason: str, now: float) -> bool:
        """Set state and reason; return whether the state changed."""
        self.reason = reason
        if state == self.state:
            return False
        self.state, self.since = state, now
        return True

    def describe(self) -> dict[str, Any]:
        """Return the state for JSON."""
        return {
            "state": self.state,
            "reason": self.reason,
            "since": self.since,
            "datapoints": [{"time": start, "value": value} for start, value in self.datapoints],
        }


@dataclass
class Alarm(AlarmState):
    """An alarm of the template and its current state."""

    logical_id: str
    name: str
    arn: str
    description: str
    rule: MetricRule | Rule | None
    """None if the engine cannot evaluate it; the reason says why."""
    properties: Mapping[str, Any] = field(repr=False)
    contributors: dict[str, AlarmState] = field(default_factory=dict)
    """The time series of an alarm on a Metrics Insights query with GROUP BY, by label."""

    def describe(self) -> dict[str, Any]:
        """Return the alarm for JSON."""
        return {
            "logicalId": self.logical_id,
            "name": self.name,
            "arn": self.arn,
            "type": "CompositeAlarm" if "AlarmRule" in self.properties else "MetricAlarm",
            "description": self.description,
            "rule": "" if self.rule is None else self.rule.describe(),
            **super().describe(),
            "contributors": [{"name": name, **state.describe()} for name, state in self.contributors.items()],
        }


@dataclass(frozen=True)
class Transition:
    """A state change of an alarm."""

    alarm: Alarm
    before: str


class AlarmSet:
    """The alarms of a stack."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._alarms: dict[str, Alarm] = {}

    def __iter__(self) -> Iterator[Alarm]:
        return iter(self._alarms.values())

    def find(self, name_or_arn: str) -> Alarm | None:
        """Return the alarm with a name or ARN."""
        return self._alarms.get(name_or_arn.rpartition(":alarm:")[2])

    def declare(self, resources: Mapping[str, Resource]) -> None:
        """Replace all alarms by those among a template's resources; an unchanged alarm keeps its state."""
        before, self._alarms = self._alarms, {}
        for logical_id, resource in resources.items():
            if resource.type in (METRIC_ALARM, COMPOSITE_ALARM):
                name = str(resource.properties.get("AlarmName") or logical_id)
                kept = before.get(name)
                is_same = kept is not None and kept.properties == resource.properties
                self._alarms[name] = kept if kept and is_same else _read_alarm(logical_id, name, resource)

    def evaluate(self, end: int) -> list[Transition]:
        """Evaluate all alarms, composite alarms after their children.

        Args:
            end: number of the current minute, which is not evaluated.

        Returns:
            the state changes.
        """
        transitions: list[Transition] = []
        now = self._store.now()
        for alarm in self._alarms.values():
            if isinstance(alarm.rule, MetricRule):
                before = alarm.state
                if alarm.enter(*_evaluate_metric_alarm(alarm, alarm.rule, self._store, end), now):
                    transitions.append(Transition(alarm, before))
        done: set[str] = set()
        for alarm in self._alarms.values():
            self._evaluate_composite(alarm, done, (), transitions)
        return transitions

    def _evaluate_composite(
        self, alarm: Alarm, done: set[str], above: tuple[str, ...], transitions: list[Transition]
    ) -> None:
        if not isinstance(alarm.rule, Rule) or alarm.name in done:
            return
        before = alarm.state
        state, reason = INSUFFICIENT_DATA, ""
        children = [(name, self.find(name)) for name in alarm.rule.names]
        for name, child in children:
            if child is None:
                reason = f"The rule names the alarm {name!r}, which is not in the template."
            elif child.name in (*above, alarm.name):
                reason = f"The rule refers to itself through {child.name}."
            else:
                self._evaluate_composite(child, done, (*above, alarm.name), transitions)
        if not reason:
            states = {name: child.state for name, child in children if child is not None}
            state = ALARM if alarm.rule.holds(states) else OK
            reason = ", ".join(f"{child.name} is {child.state}" for _, child in children if child is not None)
        done.add(alarm.name)
        if alarm.enter(state, reason, self._store.now()):
            transitions.append(Transition(alarm, before))


def judge(points: Sequence[float | None], rule: MetricRule, state: str) -> str:
    """Return the new state of an alarm or contributor.

    Source: "Configuring how CloudWatch alarms treat missing data" (CloudWatch User Guide).

    Args:
        points: values of the evaluation range, oldest first; None if missing.
        rule: the alarm's settings.
        state: the current state.

    Example:
        If three of three data points must breach the threshold and 5 does, `[None, None, 5, None, None]` gives ALARM
        with `missing` and `breaching`, OK with `notBreaching`, and keeps the state with `ignore`.
    """
    wanted, needed = rule.evaluation_periods, rule.datapoints_to_alarm
    real = [point for point in points if point is not None]
    breaching = sum(map(rule.is_breaching, real[-wanted:]))
    missing = max(0, wanted - len(real))
    if rule.treatment == "breaching":
        breaching += missing
    if breaching >= needed:
        return ALARM
    if not missing or rule.treatment in ("breaching", "notBreaching"):
        return OK
    if not real:
        return state if rule.treatment == "ignore" else INSUFFICIENT_DATA
    if breaching == len(real):
        if rule.treatment == "ignore":
            return state
        # "Avoiding premature transitions to alarm state": the oldest breaching data point must be old enough.
        oldest = next(index for index, point in enumerate(points) if point is not None)
        return ALARM if len(points) - oldest >= needed else OK
    return OK


def _evaluate_metric_alarm(alarm: Alarm, rule: MetricRule, store: MetricStore, end: int) -> tuple[str, str]:
    length = minutes_of(rule.period)
    window = Window(end, length * (rule.evaluation_periods + _EXTRA_PERIODS), is_aligned=False)
    try:
        # The template's label would not tell contributors apart.
        watched = replace(rule.watched, label=None) if rule.has_contributors else rule.watched
        found = Queries(rule.queries, store, window, rule.period).evaluate(watched)
    except MathError as error:
        return INSUFFICIENT_DATA, str(error)
    if rule.has_contributors:
        return _evaluate_contributors(alarm, rule, found, store)
    if len(found) != 1:
        return INSUFFICIENT_DATA, f"An alarm watches one time series, and its expression returns {len(found)}."
    return _evaluate_series(alarm, rule, found[0], store)


def _evaluate_series(current: AlarmState, rule: MetricRule, series: TimeSeries, store: MetricStore) -> tuple[str, str]:
    points = [series.points.get(start) for start in series.times]
    current.datapoints = [(store.start_of(start), value) for start, value in zip(series.times, points, strict=True)]
    return judge(points, rule, current.state), _describe_points(points, rule)


def _evaluate_contributors(
    alarm: Alarm, rule: MetricRule, found: Sequence[TimeSeries], store: MetricStore
) -> tuple[str, str]:
    """Evaluate each time series on its own; the alarm is in ALARM if any contributor is.

    Source: "Alarm data queries", section "Metrics Insights", and "Limits" (CloudWatch User Guide).
    """
    now = store.now()
    before, alarm.contributors = alarm.contributors, {}
    for series in found:
        contributor = before.get(series.label) or AlarmState(since=now)
        contributor.enter(*_evaluate_series(contributor, rule, series, store), now)
        alarm.contributors[series.label] = contributor
    if not found:
        reason = f"No time series were returned by the query; missing data is treated as {rule.treatment}"
        return judge([], rule, alarm.state), reason
    names: dict[str, list[str]] = {ALARM: [], OK: [], INSUFFICIENT_DATA: []}
    for name, contributor in alarm.contributors.items():
        names[contributor.state].append(name)
    state = next(state for state in names if names[state])
    reason = f"{len(names[state])} out of {len(found)} time series evaluated to {state}"
    if state != ALARM:
        return state, reason
    more = ", …" if len(names[ALARM]) > _SHOWN_VALUES else ""
    return state, f"{reason}: {', '.join(names[ALARM][:_SHOWN_VALUES])}{more}"


def _describe_points(points: Sequence[float | None], rule: MetricRule) -> str:
    values = [point for point in points if point is not None][-rule.evaluation_periods :]
    missing = rule.evaluation_periods - len(values)
    breaching = sum(map(rule.is_breaching, values))
    words = _COMPARISONS[rule.comparison][1]
    shown = ", ".join(f"{value:g}" for value in values[-_SHOWN_VALUES:])
    parts = []
    if values:
        parts.append(
            f"{breaching} of the last {len(values)} datapoints [{shown}] {words} the threshold ({rule.threshold:g})"
        )
    if missing:
        parts.append(f"{missing} of {rule.evaluation_periods} datapoints missing, treated as {rule.treatment}")
    return "; ".join(parts)


def _read_alarm(logical_id: str, name: str, resource: Resource) -> Alarm:
    properties = resource.properties
    arn = resource_arn(resource.type, name)
    alarm = Alarm(logical_id, name, arn, str(properties.get("AlarmDescription") or ""), None, properties)
    try:
        if resource.type == COMPOSITE_ALARM:
            alarm.rule = parse_rule(str(properties.get("AlarmRule") or ""))
        else:
            alarm.rule = _read_metric_rule(properties)
    except (AlarmError, QueryError, RuleError, UnknownStatistic) as error:
        alarm.reason = f"The local engine cannot evaluate this alarm: {error}"
    return alarm


def _read_metric_rule(properties: Mapping[str, Any]) -> MetricRule:
    if "ThresholdMetricId" in properties:
        raise AlarmError("It uses anomaly detection.")
    comparison = properties.get("ComparisonOperator")
    if not isinstance(comparison, str) or comparison not in _COMPARISONS:
        raise AlarmError(f"ComparisonOperator is {comparison!r}.")
    queries, watched = _read_queries(properties)
    wanted = _read_count(properties, "EvaluationPeriods")
    needed = _read_count(properties, "DatapointsToAlarm", wanted)
    is_query = watched.expression is not None and is_insights_query(watched.expression)
    periods = {query.period for query in queries if query.metric is not None} | (
        {watched.period} if is_query else set()
    )
    if len(periods) != 1:
        raise AlarmError("Its metrics must all have the same Period.")
    (period,) = periods
    if wanted * minutes_of(period) > MINUTES_KEPT:
        raise AlarmError(f"Its evaluation range exceeds the {MINUTES_KEPT} minutes that the local engine keeps.")
    if is_query and wanted * minutes_of(period) > MINUTES_QUERIED:
        raise AlarmError(
            f"Its evaluation range exceeds the {MINUTES_QUERIED} minutes that a Metrics Insights query has."
        )
    if needed > wanted:
        raise AlarmError("DatapointsToAlarm is more than EvaluationPeriods.")
    return MetricRule(
        queries=tuple(queries),
        watched=watched,
        period=period,
        evaluation_periods=wanted,
        datapoints_to_alarm=needed,
        threshold=_read_number(properties, "Threshold"),
        comparison=comparison,
        treatment=_read_treatment(properties, queries),
        has_contributors=is_query and _has_groups(str(watched.expression)),
    )


def _has_groups(expression: str) -> bool:
    query = parse_insights_query(expression)
    if query.group_by and query.order_by is None:
        # "Alarm data queries": a query of several time series must include GROUP BY and ORDER BY.
        raise AlarmError("Its Metrics Insights query has GROUP BY, so it needs ORDER BY as well.")
    return bool(query.group_by)


def _read_treatment(properties: Mapping[str, Any], queries: Sequence[Query]) -> Treatment:
    # Alarms on DynamoDB metrics ignore missing data by default.
    is_dynamodb = any(query.metric is not None and query.metric.namespace == "AWS/DynamoDB" for query in queries)
    chosen = properties.get("TreatMissingData") or ("ignore" if is_dynamodb else "missing")
    for treatment in _TREATMENTS:
        if treatment == chosen:
            return treatment
    raise AlarmError(f"TreatMissingData is {chosen!r}; it must be one of {', '.join(_TREATMENTS)}.")


def _read_queries(properties: Mapping[str, Any]) -> tuple[list[Query], Query]:
    entries = properties.get("Metrics")
    if entries is None:
        query = _read_metric(None, properties, properties, "Statistic", properties.get("ExtendedStatistic"))
        return [query], query
    periods = [_read_count(entry["MetricStat"], "Period") for entry in entries if "MetricStat" in entry]
    queries = []
    watched = []
    for entry in entries:
        if "MetricStat" in entry:
            query = _read_metric(str(entry.get("Id")), entry["MetricStat"], entry["MetricStat"].get("Metric"), "Stat")
        else:
            period = _read_count(entry, "Period", periods[0] if periods else 60)
            query = Query(str(entry.get("Id")), period, expression=str(entry.get("Expression")))
        if "Label" in entry:
            query = replace(query, label=str(entry["Label"]))
        queries.append(query)
        if str(entry.get("ReturnData", True)).lower() == "true":
            watched.append(query)
    if len(watched) != 1:
        raise AlarmError(f"ReturnData must be true for exactly one of its Metrics, and is for {len(watched)}.")
    return queries, watched[0]


def _read_metric(
    identifier: str | None, settings: Mapping[str, Any], metric: Any, statistic: str, extended: Any = None
) -> Query:
    match metric:
        case {"Namespace": str(namespace), "MetricName": str(name)}:
            dimensions = {str(entry["Name"]): str(entry["Value"]) for entry in metric.get("Dimensions") or ()}
        case _:
            raise AlarmError("It lacks Namespace and MetricName.")
    chosen = str(settings.get(statistic) or extended)
    check_statistic(chosen)
    period = _read_count(settings, "Period")
    return Query(identifier, period, Metric.of(namespace, name, dimensions), chosen)


def _read_count(properties: Mapping[str, Any], name: str, default: int | None = None) -> int:
    if name not in properties and default is not None:
        return default
    number = _read_number(properties, name)
    if number < 1 or number != int(number):
        raise AlarmError(f"{name} is {properties[name]!r}; it must be a whole number from 1.")
    return int(number)


def _read_number(properties: Mapping[str, Any], name: str) -> float:
    # Template parameters are text.
    try:
        number = float(properties[name])
    except (KeyError, TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise AlarmError(f"{name} is {properties.get(name)!r}, which is not a number.")
    return number
