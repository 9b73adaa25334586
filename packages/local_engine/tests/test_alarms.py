"""Alarms: the tables of CloudWatch's documentation, composite rules, and faults that trigger and clear alarms."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import aws_client

from local_engine.cloudwatch.alarm_rules import RuleError, parse_rule
from local_engine.cloudwatch.alarms import AlarmSet, MetricRule, Treatment, judge
from local_engine.cloudwatch.metric_queries import Query
from local_engine.cloudwatch.metrics import Metric, MetricStore
from local_engine.template.stack import Resource
from local_engine.testing import EngineProcess, poll

STACK = Path(__file__).parent / "stacks" / "monitored" / "template.yaml"
ALARM = "AWS::CloudWatch::Alarm"
COMPOSITE = "AWS::CloudWatch::CompositeAlarm"
KEPT = "(as it was)"


def _rule(needed: int, treatment: Treatment, periods: int = 3) -> MetricRule:
    query = Query(None, 60, Metric.of("Shop", "Errors", {}), "Sum")
    return MetricRule((query,), query, 60, periods, needed, 1.0, "GreaterThanThreshold", treatment)


@pytest.mark.parametrize(
    ("needed", "points", "missing", "ignored", "breaching", "not_breaching"),
    [
        # "How alarm state is evaluated when data is missing", first table: 3 of 3
        (3, "0 - X - X", "OK", "OK", "OK", "OK"),
        (3, "- - - - 0", "OK", "OK", "OK", "OK"),
        (3, "- - - - -", "INSUFFICIENT_DATA", KEPT, "ALARM", "OK"),
        (3, "0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
        (3, "- - X - -", "ALARM", KEPT, "ALARM", "OK"),
        # second table: 2 of 3
        (2, "0 - X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
        (2, "0 0 X 0 X", "ALARM", "ALARM", "ALARM", "ALARM"),
        (2, "0 - X - -", "OK", "OK", "ALARM", "OK"),
        (2, "- - - - 0", "OK", "OK", "ALARM", "OK"),
        (2, "- - - X -", "ALARM", KEPT, "ALARM", "OK"),
        # "Avoiding premature transitions to alarm state"
        (3, "- - - - X", "OK", KEPT, "ALARM", "OK"),
        (3, "- - - X -", "OK", KEPT, "ALARM", "OK"),
        (3, "- - - X 0", "OK", "OK", "OK", "OK"),
        # without missing data, only the last three count
        (3, "X X 0 X X", "OK", "OK", "OK", "OK"),
        (1, "X X 0 0 0", "OK", "OK", "OK", "OK"),
        (1, "- - - - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ],
)
@pytest.mark.parametrize("state", ["OK", "ALARM", "INSUFFICIENT_DATA"])
def test_missing_data(
    state: str, needed: int, points: str, missing: str, ignored: str, breaching: str, not_breaching: str
) -> None:
    values = [{"0": 0.0, "X": 5.0, "-": None}[point] for point in points.split()]
    expected: dict[Treatment, str] = {
        "missing": missing,
        "ignore": ignored,
        "breaching": breaching,
        "notBreaching": not_breaching,
    }
    for treatment, result in expected.items():
        assert judge(values, _rule(needed, treatment), state) == result.replace(KEPT, state), treatment


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000 * 60.0

    def __call__(self) -> float:
        return self.seconds


def _alarm(**changes: Any) -> Resource:
    properties = {
        "Namespace": "Shop",
        "MetricName": "Latency",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 10,
        "ComparisonOperator": "GreaterThanThreshold",
        **changes,
    }
    return Resource(ALARM, {name: value for name, value in properties.items() if value is not None})


def _evaluate(resources: dict[str, Resource], minutes: list[list[float]]) -> dict[str, tuple[str, str]]:
    """Adds values minute by minute and evaluates after each; returns states and reasons by alarm."""
    clock = Clock()
    store = MetricStore(60, clock)
    alarms = AlarmSet(store)
    alarms.declare(resources)
    for values in minutes:
        if values:
            store.add(Metric.of("Shop", "Latency", {}), values)
        clock.seconds += 60
        alarms.evaluate(store.minute_at(clock.seconds))
    return {alarm.name: (alarm.state, alarm.reason) for alarm in alarms}


@pytest.mark.parametrize(
    ("changes", "minutes", "state"),
    [
        ({}, [[5, 6]], "ALARM"),
        ({}, [[5, 5]], "OK"),
        ({"ComparisonOperator": "GreaterThanOrEqualToThreshold"}, [[5, 5]], "ALARM"),
        ({"ComparisonOperator": "LessThanThreshold"}, [[5, 5]], "OK"),
        ({"ComparisonOperator": "LessThanOrEqualToThreshold"}, [[5, 5]], "ALARM"),
        ({"Statistic": "Average"}, [[5, 20]], "ALARM"),
        ({"Statistic": "Minimum"}, [[5, 20]], "OK"),
        ({"Statistic": "Maximum"}, [[5, 20]], "ALARM"),
        ({"Statistic": "SampleCount", "Threshold": "1"}, [[0, 0]], "ALARM"),
        ({"Statistic": None, "ExtendedStatistic": "p90"}, [[1] * 9 + [99]], "OK"),
        ({"Statistic": None, "ExtendedStatistic": "p99"}, [[1] * 9 + [99]], "ALARM"),
        # a period slides with each minute
        ({"Period": 300}, [[4], [4], [4]], "ALARM"),
        ({"Period": 120}, [[4], [4], [4]], "OK"),
        ({"Period": 120}, [[0], [6], [6]], "ALARM"),
        ({"EvaluationPeriods": "2"}, [[20], [20]], "ALARM"),
        ({"EvaluationPeriods": 2}, [[20], [2]], "OK"),
        ({"EvaluationPeriods": 3, "DatapointsToAlarm": 2}, [[20], [2], [20]], "ALARM"),
        ({"EvaluationPeriods": 3, "DatapointsToAlarm": 2}, [[20], [2], [2]], "OK"),
        ({"Dimensions": [{"Name": "route", "Value": "read"}]}, [[20]], "INSUFFICIENT_DATA"),
        ({"TreatMissingData": "breaching"}, [[], [], []], "ALARM"),
        # alarms on DynamoDB's metrics ignore missing data unless they say otherwise
        ({"Namespace": "AWS/DynamoDB"}, [[]], "INSUFFICIENT_DATA"),
    ],
)
def test_metric_alarm(changes: dict[str, Any], minutes: list[list[float]], state: str) -> None:
    assert _evaluate({"A": _alarm(**changes)}, minutes)["A"][0] == state


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Threshold": "many"}, "Threshold is 'many'"),
        ({"Period": 0}, "Period is 0"),
        ({"Period": None}, "Period is None"),
        ({"EvaluationPeriods": 1.5}, "EvaluationPeriods is 1.5"),
        ({"Statistic": "Median"}, "no statistic 'Median'"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "ComparisonOperator"),
        ({"ThresholdMetricId": "band"}, "uses anomaly detection"),
        ({"MetricName": None}, "Namespace and MetricName"),
        ({"TreatMissingData": "forget"}, "TreatMissingData is 'forget'"),
        ({"DatapointsToAlarm": 2}, "more than EvaluationPeriods"),
        ({"Period": 604800}, "exceeds the 1440 minutes"),
        ({"Metrics": [{"Id": "a", "Expression": "1"}]}, "same Period"),
        (
            {"Metrics": [{"Id": "a", "Expression": "1"}, {"Id": "b", "Expression": "2"}]},
            "ReturnData must be true for exactly one",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_said(changes: dict[str, Any], sentence: str) -> None:
    state, reason = _evaluate({"A": _alarm(**changes)}, [[20]])["A"]
    assert state == "INSUFFICIENT_DATA"
    assert sentence in reason


def test_faulty_expression_is_said() -> None:
    stat = {"Period": 60, "Stat": "Sum", "Metric": {"Namespace": "Shop", "MetricName": "Latency"}}
    metrics = [{"Id": "m", "MetricStat": stat, "ReturnData": False}, {"Id": "e", "Expression": "m * absent"}]
    state, reason = _evaluate({"A": _alarm(Metrics=metrics)}, [[20]])["A"]
    assert (state, "'absent'" in reason) == ("INSUFFICIENT_DATA", True)


@pytest.mark.parametrize(
    ("requests", "failures", "state"),
    [([1, 1], [1, 1], "OK"), ([4], [4], "ALARM"), ([4], [1], "OK"), ([2, 4], [], "OK"), ([], [3], "INSUFFICIENT_DATA")],
)
def test_a_rate_needs_enough_requests(requests: list[float], failures: list[float], state: str) -> None:
    stat = {"Period": 60, "Stat": "Sum", "Metric": {"Namespace": "Shop", "MetricName": "Latency"}}
    failed = {**stat, "Metric": {"Namespace": "Shop", "MetricName": "Errors"}}
    metrics = [
        {"Id": "rate", "Expression": "IF(requests >= 2, 100 * FILL(failed, 0) / requests, 0)"},
        {"Id": "requests", "MetricStat": stat, "ReturnData": False},
        {"Id": "failed", "MetricStat": failed, "ReturnData": False},
    ]
    clock = Clock()
    store = MetricStore(60, clock)
    alarms = AlarmSet(store)
    alarms.declare({"A": _alarm(Metrics=metrics, Threshold=50)})
    for name, minutes in (("Latency", requests), ("Errors", failures)):
        for offset, value in enumerate(minutes):
            store.add(Metric.of("Shop", name, {}), [value], at=clock.seconds + offset * 60)
    clock.seconds += max(len(requests), len(failures)) * 60
    alarms.evaluate(store.minute_at(clock.seconds))
    assert next(iter(alarms)).state == state


def test_silence_is_insufficient_data() -> None:
    alarm = _alarm(Statistic="SampleCount", Threshold=1, ComparisonOperator="LessThanThreshold")
    assert _evaluate({"Silent": alarm}, [[3]])["Silent"][0] == "OK"
    assert _evaluate({"Silent": alarm}, [[3], [], [], []])["Silent"][0] == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ('ALARM("High")', "ALARM"),
        ("ALARM(High)", "ALARM"),
        ("ALARM('High')", "ALARM"),
        ('ALARM("arn:aws:cloudwatch:us-east-1:123456789012:alarm:High")', "ALARM"),
        ('OK("High")', "OK"),
        ('OK("Low")', "ALARM"),
        ('INSUFFICIENT_DATA("None yet")', "ALARM"),
        ('NOT ALARM("High")', "OK"),
        ('ALARM("High") AND ALARM("Low")', "OK"),
        ('ALARM("High") OR ALARM("Low")', "ALARM"),
        # AND binds closer than OR, NOT closer than both
        ('ALARM("High") OR ALARM("High") AND ALARM("Low")', "ALARM"),
        ('(ALARM("High") OR ALARM("High")) AND ALARM("Low")', "OK"),
        ('NOT ALARM("Low") AND NOT (ALARM("Low") OR\n  OK("High"))', "ALARM"),
        ("TRUE", "ALARM"),
        ("FALSE", "OK"),
        ('ALARM("High") AND FALSE', "OK"),
        ('ALARM("Inner")', "ALARM"),
        ('NOT OK("Inner")', "ALARM"),
    ],
)
def test_composite_rule(rule: str, state: str) -> None:
    resources = {
        # Declared before its children.
        "Outer": Resource(COMPOSITE, {"AlarmRule": rule}),
        "High": _alarm(),
        "Low": _alarm(Threshold=1000),
        "Other": _alarm(AlarmName="None yet", MetricName="absent"),
        "Inner": Resource(COMPOSITE, {"AlarmRule": 'ALARM("High")'}),
    }
    assert _evaluate(resources, [[20]])["Outer"][0] == state


def test_composite_alarm_of_a_nested_application() -> None:
    """Resources of nested applications have paths as logical IDs."""
    rule = 'ALARM("Operations/High") AND ALARM("arn:aws:cloudwatch:us-east-1:123456789012:alarm:Operations/High")'
    resources = {"Operations/High": _alarm(), "Operations/Page": Resource(COMPOSITE, {"AlarmRule": rule})}
    assert _evaluate(resources, [[20]])["Operations/Page"] == (
        "ALARM",
        "Operations/High is ALARM, Operations/High is ALARM",
    )


@pytest.mark.parametrize("rule", ["", 'ALARM("a"', "ALARM()", 'ALARM("a") ALARM("b")', 'BROKEN("a")', "((TRUE)", "AND"])
def test_faulty_rule_is_a_sentence(rule: str) -> None:
    with pytest.raises(RuleError, match="AlarmRule"):
        parse_rule(rule)
    state, reason = _evaluate({"A": Resource(COMPOSITE, {"AlarmRule": rule})}, [[20]])["A"]
    assert (state, "cannot evaluate this alarm" in reason) == ("INSUFFICIENT_DATA", True)


def test_rule_of_absent_alarms_or_of_itself_is_said() -> None:
    resources = {
        "Absent": Resource(COMPOSITE, {"AlarmRule": 'ALARM("nobody")'}),
        "First": Resource(COMPOSITE, {"AlarmRule": 'ALARM("Second")'}),
        "Second": Resource(COMPOSITE, {"AlarmRule": 'ALARM("First")'}),
    }
    found = _evaluate(resources, [[]])
    assert "'nobody'" in found["Absent"][1]
    assert "refers to itself" in found["Second"][1]


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACK, "--minute", "1") as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


def _alarms(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {alarm["name"]: alarm for alarm in client.get("/_local/alarms.json").json()["alarms"]}


def _reaches(client: httpx.Client, name: str, state: str) -> Callable[[], bool]:
    return lambda: bool(_alarms(client)[name]["state"] == state)


def test_a_fault_triggers_alarms_and_they_clear(engine: EngineProcess, client: httpx.Client) -> None:
    poll(_reaches(client, "local-server-errors", "OK"), "the alarm was not evaluated")
    poll(_reaches(client, "page", "OK"), "the composite alarm was not evaluated")
    assert client.get("/orders/1", params={"deed": "raise"}).status_code == 500
    poll(_reaches(client, "local-server-errors", "ALARM"), "the alarm was not triggered")
    poll(_reaches(client, "page", "ALARM"), "the composite alarm was not triggered")
    poll(_reaches(client, "RouteFailures", "ALARM"), "the alarm by route was not triggered")
    assert _alarms(client)["RouteFailures"]["reason"].endswith("time series evaluated to ALARM: GET /orders/{id}")
    alarm = _alarms(client)["local-server-errors"]
    assert "1 of the last 1 datapoints" in alarm["reason"]
    assert 1.0 in [point["value"] for point in alarm["datapoints"]]
    assert time.time() - alarm["since"] < 60
    engine.wait_for_line(r"ALARM local-server-errors: 1 of the last 1 datapoints \[1\] greater than or equal to")
    poll(_reaches(client, "local-server-errors", "OK"), "the alarm did not clear")
    engine.wait_for_line("OK local-server-errors: ")


def test_a_queue_that_fills_triggers_its_alarm(engine: EngineProcess, client: httpx.Client) -> None:
    sqs = aws_client("sqs", engine.services)
    url = sqs.get_queue_url(QueueName="work")["QueueUrl"]
    poll(_reaches(client, "Backlog", "OK"), "the queue was not polled")
    sqs.send_message(QueueUrl=url, MessageBody="one")
    poll(_reaches(client, "Backlog", "ALARM"), "the alarm was not triggered")
    sqs.purge_queue(QueueUrl=url)
    poll(_reaches(client, "Backlog", "OK"), "the alarm did not clear")


def test_an_alarm_that_is_not_evaluated_says_why(client: httpx.Client) -> None:
    alarm = _alarms(client)["Unusual"]
    assert (alarm["state"], alarm["rule"]) == ("INSUFFICIENT_DATA", "")
    assert "cannot evaluate" in alarm["reason"]
