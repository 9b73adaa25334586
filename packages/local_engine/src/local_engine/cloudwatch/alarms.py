"""Evaluates alarms by their own declared rules ("Alarm evaluation", CloudWatch User Guide).

An alarm is looked at after each minute. Its periods end with that minute, so that a period of five minutes slides;
to make up for missing data points, two more periods are looked at than the alarm wants.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from local_engine.cloudwatch.alarm_rules import Rule, RuleError, parse_rule
from local_engine.cloudwatch.metric_math import MathError
from local_engine.cloudwatch.metric_queries import Queries, Query, Window
from local_engine.cloudwatch.metrics import (
    MINUTES_KEPT,
    Metric,
    MetricStore,
    UnknownStatistic,
    check_statistic,
    minutes_of,
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
    """An alarm that the engine cannot evaluate; the message is a sentence."""


@dataclass(frozen=True)
class MetricRule:
    """What a metric alarm declares."""

    queries: tuple[Query, ...]
    watched: Query
    period: int
    """Seconds."""
    evaluation_periods: int
    datapoints_to_alarm: int
    threshold: float
    comparison: str
    treatment: Treatment

    def is_breaching(self, value: float) -> bool:
        """Whether a value is beyond the threshold."""
        return _COMPARISONS[self.comparison][0](value, self.threshold)

    def describe(self) -> str:
        """Return the rule in words."""
        return (
            f"{self.datapoints_to_alarm} of {self.evaluation_periods} periods of {self.period} s "
            f"{_COMPARISONS[self.comparison][1]} {self.threshold:g}; missing data: {self.treatment}"
        )


@dataclass
class Alarm:
    """An alarm of the template and the state it is in."""

    logical_id: str
    name: str
    arn: str
    description: str
    rule: MetricRule | Rule | None
    """None where the engine cannot evaluate it; the reason says why."""
    properties: Mapping[str, Any] = field(repr=False)
    state: str = INSUFFICIENT_DATA
    reason: str = "Unchecked: Initial alarm creation"
    since: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    datapoints: list[tuple[float, float | None]] = field(default_factory=list)
    """What was looked at last: starts of periods in seconds since the epoch, and values; None is missing."""

    def enter(self, state: str, reason: str, now: float) -> bool:
        """Take a state; returns whether it is another than before."""
        self.reason = reason
        if state == self.state:
            return False
        self.state, self.since = state, now
        return True

    def describe(self) -> dict[str, Any]:
        """Return the alarm for JSON."""
        return {
            "logicalId": self.logical_id,
            "name": self.name,
            "arn": self.arn,
            "type": "CompositeAlarm" if "AlarmRule" in self.properties else "MetricAlarm",
            "description": self.description,
            "rule": "" if self.rule is None else self.rule.describe(),
            "state": self.state,
            "reason": self.reason,
            "since": self.since,
            "datapoints": [{"time": start, "value": value} for start, value in self.datapoints],
        }


@dataclass(frozen=True)
class Transition:
    """A change of an alarm's state."""

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
        """Return the alarm with this name or ARN."""
        return self._alarms.get(name_or_arn.rpartition(":alarm:")[2])

    def declare(self, resources: Mapping[str, Resource]) -> None:
        """Take the alarms among a template's resources, by their logical ids; one that is as before keeps its state."""
        before, self._alarms = self._alarms, {}
        for logical_id, resource in resources.items():
            if resource.type in (METRIC_ALARM, COMPOSITE_ALARM):
                name = str(resource.properties.get("AlarmName") or logical_id)
                kept = before.get(name)
                is_same = kept is not None and kept.properties == resource.properties
                self._alarms[name] = kept if kept and is_same else _read_alarm(logical_id, name, resource)

    def evaluate(self, end: int) -> list[Transition]:
        """Evaluate every alarm, those that others are made of first.

        Args:
            end: number of the minute after the last one that is over.

        Returns:
            what has changed.
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
                reason = f"The rule names the alarm {name!r}, which the template does not have."
            elif child.name in (*above, alarm.name):
                reason = f"The rule is made from itself, by way of {child.name}."
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
    """Return the state that data points lead to, as "Configuring how CloudWatch alarms treat missing data" says.

    Args:
        points: all that is looked at, oldest first; None is missing.
        rule: what the alarm declares.
        state: in which the alarm is.

    Example:
        With three of three data points to alarm and the threshold 1 exceeded by 5, `[None, None, 5, None, None]` is
        an ALARM where missing data is `missing` or `breaching`, OK where it is `notBreaching`, and leaves the state
        as it is where it is to be ignored.
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
        # Breaching since long enough, with nothing since then that says otherwise ("premature alarm state").
        oldest = next(index for index, point in enumerate(points) if point is not None)
        return ALARM if len(points) - oldest >= needed else OK
    return OK


def _evaluate_metric_alarm(alarm: Alarm, rule: MetricRule, store: MetricStore, end: int) -> tuple[str, str]:
    length = minutes_of(rule.period)
    window = Window(end, length * (rule.evaluation_periods + _EXTRA_PERIODS), is_aligned=False)
    try:
        found = Queries(rule.queries, store, window, rule.period).evaluate(rule.watched)
    except MathError as error:
        return INSUFFICIENT_DATA, str(error)
    if len(found) != 1:
        return INSUFFICIENT_DATA, f"An alarm watches one time series, and its expression gives {len(found)}."
    (series,) = found
    starts = window.starts(rule.period)
    points = [series.points.get(start) for start in starts]
    alarm.datapoints = [(store.start_of(start), value) for start, value in zip(starts, points, strict=True)]
    state = judge(points, rule, alarm.state)
    return state, _describe_points(points, rule)


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
    except (AlarmError, RuleError, UnknownStatistic) as error:
        alarm.reason = f"The local engine cannot evaluate this alarm: {error}"
    return alarm


def _read_metric_rule(properties: Mapping[str, Any]) -> MetricRule:
    if "ThresholdMetricId" in properties:
        raise AlarmError("It watches a band of anomalies.")
    comparison = properties.get("ComparisonOperator")
    if not isinstance(comparison, str) or comparison not in _COMPARISONS:
        raise AlarmError(f"ComparisonOperator is {comparison!r}.")
    queries, watched = _read_queries(properties)
    wanted = _read_count(properties, "EvaluationPeriods")
    needed = _read_count(properties, "DatapointsToAlarm", wanted)
    periods = {query.period for query in queries if query.metric is not None}
    if len(periods) != 1:
        raise AlarmError("Its metrics must all have the same Period.")
    (period,) = periods
    if wanted * minutes_of(period) > MINUTES_KEPT:
        raise AlarmError(f"It looks back further than the {MINUTES_KEPT} minutes that the local engine keeps.")
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
    )


def _read_treatment(properties: Mapping[str, Any], queries: Sequence[Query]) -> Treatment:
    # Alarms on metrics of DynamoDB ignore missing data unless they say otherwise.
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
        elif str(entry.get("Expression", "")).lstrip().upper().startswith("SELECT"):
            raise AlarmError("It queries Metrics Insights.")
        else:
            period = _read_count(entry, "Period", periods[0] if periods else 60)
            query = Query(str(entry.get("Id")), period, expression=str(entry.get("Expression")))
        if "Label" in entry:
            query = replace(query, label=str(entry["Label"]))
        queries.append(query)
        if str(entry.get("ReturnData", True)).lower() == "true":
            watched.append(query)
    if len(watched) != 1:
        raise AlarmError(f"ReturnData must be true for one of its Metrics, and is for {len(watched)}.")
    return queries, watched[0]


def _read_metric(
    identifier: str | None, settings: Mapping[str, Any], metric: Any, statistic: str, extended: Any = None
) -> Query:
    match metric:
        case {"Namespace": str(namespace), "MetricName": str(name)}:
            dimensions = {str(entry["Name"]): str(entry["Value"]) for entry in metric.get("Dimensions") or ()}
        case _:
            raise AlarmError("It names no Namespace and MetricName.")
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
    # Parameters of a template are text, whatever they are used for.
    try:
        number = float(properties[name])
    except (KeyError, TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise AlarmError(f"{name} is {properties.get(name)!r}, which is no number.")
    return number
