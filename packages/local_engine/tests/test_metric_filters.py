"""Metric filters: the examples of the CloudWatch Logs documentation, metric values, and the gateway's access log."""

import json
import time
from typing import Any

import pytest

from local_engine.cloudwatch.alarms import AlarmSet
from local_engine.cloudwatch.metric_filters import FilterError, MetricFilters, compile_pattern
from local_engine.cloudwatch.metrics import MetricStore
from local_engine.template.stack import Resource

# The events of "Filter pattern syntax for metric filters, …" in one.
EVENT: dict[str, Any] = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "ThisFlag": True,
    "user": {"id": 1, "email": "John.Stiles@example.com"},
    "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3, "email": "Jane.Doe@example.com"}],
    "actions": ["GET", "PUT", "DELETE"],
    "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
    "latency": 50,
    "ratio": 0.5,
    "status": "503",
    "Ev*ent": "Ev*ent",
    "quoted": 'say "hi"',
}


@pytest.mark.parametrize(
    ("pattern", "is_match"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ("{$.eventType=UpdateTrail}", True),
        ('{ $.eventType = "updatetrail" }', False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ("{ $.sourceIPAddress != 111.111.* }", False),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.ThisFlag[0] = "value" }', False),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.objectList[1].number = 2 }", False),
        ("{ $.objectList[9].id = 2 }", False),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.ThisFlag IS NULL }", False),
        ("{ $.Missing IS NULL }", False),
        ("{ $.ThisFlag IS TRUE }", True),
        ("{ $.ThisFlag IS FALSE }", False),
        ("{ $.Missing NOT EXISTS }", True),
        ("{ $.SomeObject NOT EXISTS }", False),
        # Precedence: parentheses, then &&, then ||
        ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', True),
        ('{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', False),
        (
            '{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nonmatch }',
            True,
        ),
        (
            '{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "x") && $.actions[2] = "nonmatch" }',
            False,
        ),
        # A selector of an array or object, or of nothing, matches neither way.
        ("{ $.users = 1 }", False),
        ("{ $.users != 1 }", False),
        ("{ $.Missing != 1 }", False),
        ("{ $.ThisFlag != 1 }", False),
        # Numbers
        ("{ $.latency >= 50 }", True),
        ("{ $.latency > +50 }", False),
        ("{ $.latency < 10e3 }", True),
        ("{ $.latency <= 5e-1 }", False),
        ("{ $.latency = 50.0 }", True),
        ("{ $.latency != 50 }", False),
        ("{ $.ratio = .5 }", True),
        ("{ $.latency = * }", True),
        ("{ $.latency = 5* }", True),
        ("{ $.coordinates[1][2] = 6 }", True),
        # Strings of digits are equal to a number, but have no order.
        ("{ $.status = 503 }", True),
        ("{ $.status >= 500 }", False),
        # Wildcards at the start and at the end only
        ('{ $.status = "5*" }', True),
        ('{ $.status = "4*" }', False),
        ('{ $.eventType = "*Trail" }', True),
        ('{ $.eventType = "*date*" }', True),
        ('{ $.eventType = "Up*Trail" }', False),
        ('{ $.eventType != "Up*" }', False),
        (r'{ $.quoted = "say \"hi\"" }', True),
        ("", True),
        ('" "', True),
    ],
)
def test_pattern(pattern: str, is_match: bool) -> None:
    assert compile_pattern(pattern)(EVENT) is is_match


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("ERROR", "not a pattern for JSON"),
        ("[ip, status = 4*]", "not a pattern for JSON"),
        ("{ $.a = 1", "not a pattern for JSON"),
        ("{ }", "lacks a term"),
        ("{ $.a }", "cannot be read from"),
        ("{ a = 1 }", "cannot be read from 'a = 1'"),
        ("{ $.a EXISTS }", "cannot be read from"),
        ("{ $.a = %x% }", "cannot be read from"),
        ("{ ($.a = 1 }", "lacks a closing parenthesis"),
        ("{ $.a = 1) }", "'\\)' where it should end"),
        ("{ $.a = 1 $.b = 2 }", "where it should end"),
        ("{ $.a = 1 && }", "lacks a term"),
        ("{ $.a > abc }", "takes a number"),
        ('{ $.a > "1" }', "takes a number"),
        ("{ " + "(" * 100 + "$.a = 1" + ")" * 100 + " }", "nested too deeply"),
    ],
)
def test_invalid_pattern_is_a_sentence(pattern: str, sentence: str) -> None:
    with pytest.raises(FilterError, match=sentence):
        compile_pattern(pattern)


FORMAT = (
    '{"requestId":"$context.requestId","route":"$context.routeKey","status":"$context.status",'
    '"latency":"$context.responseLatency","caller":"$context.authorizer.claims.sub","agent":"$context.identity.userAgent"}'
)
FAILED: dict[str, Any] = {"MetricNamespace": "Shop", "MetricName": "Failed", "MetricValue": "1"}


def _filter(pattern: str = '{ $.status = "5*" }', log_group: str = "AccessLog", **transformation: Any) -> Resource:
    properties = {
        "LogGroupName": log_group,
        "FilterPattern": pattern,
        "MetricTransformations": [{**FAILED, **transformation}],
    }
    return Resource("AWS::Logs::MetricFilter", properties)


def _resources(**filters: Resource) -> dict[str, Resource]:
    settings = {"DestinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:AccessLog:*", "Format": FORMAT}
    properties = {"ApiId": "Api", "StageName": "$default", "AccessLogSettings": settings}
    return {"Stage": Resource("AWS::ApiGatewayV2::Stage", properties), **filters}


def _publish(filters: dict[str, Resource], *requests: dict[str, str]) -> dict[tuple[str, ...], tuple[float, int]]:
    """Publishes requests; returns sum and count by metric name and dimension values."""
    store = MetricStore(60)
    metric_filters = MetricFilters(_resources(**filters), store)
    assert metric_filters.problems == []
    for request in requests:
        metric_filters.publish_request("Api", "$default", request)
    return {
        (series.metric.name, *(value for _, value in series.metric.dimensions)): (series.total, series.count)
        for series in store
    }


@pytest.mark.parametrize(
    ("transformation", "statuses", "values"),
    [
        ({}, ["200", "503", "500"], {("Failed",): (2, 2)}),
        ({}, ["200"], {}),
        ({"MetricValue": 2}, ["500"], {("Failed",): (2, 1)}),
        ({"DefaultValue": 0}, ["200", "503", "404"], {("Failed",): (1, 3)}),
        ({"DefaultValue": "0"}, ["200"], {("Failed",): (0, 1)}),
        ({"MetricValue": "$.latency"}, ["500", "502"], {("Failed",): (24, 2)}),
        # The value must be a number, and must be there.
        ({"MetricValue": "$.caller"}, ["500"], {}),
        ({"MetricValue": "$.absent"}, ["500"], {}),
        (
            {"Dimensions": [{"Key": "route", "Value": "$.route"}, {"Key": "status", "Value": "$.status"}]},
            ["500", "502", "500"],
            {("Failed", "GET /orders", "500"): (2, 2), ("Failed", "GET /orders", "502"): (1, 1)},
        ),
        ({"Dimensions": [{"Key": "absent", "Value": "$.absent"}]}, ["500"], {("Failed",): (1, 1)}),
    ],
)
def test_metric_values(
    transformation: dict[str, Any], statuses: list[str], values: dict[tuple[str, ...], tuple[float, int]]
) -> None:
    requests = [{"routeKey": "GET /orders", "responseLatency": "12", "status": status} for status in statuses]
    assert _publish({"Filter": _filter(**transformation)}, *requests) == values


@pytest.mark.parametrize(
    ("pattern", "is_match"),
    [
        # What a request does not have is a hyphen.
        ('{ $.caller = "-" }', True),
        ('{ $.requestId = "one" }', True),
        ('{ $.agent = "quo\\"te*" }', True),
        ("{ $.status = 200 }", True),
        ("{ $.injected NOT EXISTS }", True),
        ("{ $.path NOT EXISTS }", True),
    ],
)
def test_access_log_is_written_by_its_format(pattern: str, is_match: bool) -> None:
    request = {"requestId": "one", "status": "200", "identity.userAgent": 'quo"te","injected":"yes","status":"500'}
    assert bool(_publish({"Filter": _filter(pattern)}, request)) is is_match


def test_filters_apply_to_their_own_log_group() -> None:
    filters = {
        "Other": _filter(log_group="Other"),
        "Nested/Own": _filter(MetricName="Own"),
        "All": _filter("", "Other"),
    }
    assert _publish(filters, {"status": "500"}) == {("Own",): (1, 1)}


def test_requests_of_other_stages_are_not_logged() -> None:
    store = MetricStore(60)
    filters = MetricFilters(_resources(Filter=_filter()), store)
    filters.publish_request("Api", "other", {"status": "500"})
    filters.publish_request("Other", "$default", {"status": "500"})
    assert list(store) == []


@pytest.mark.parametrize("message", ["not JSON", "[]", "5", "[" * 100_000, '{"status": 500', ""])
def test_event_that_is_not_a_json_object_does_not_match(message: str) -> None:
    store = MetricStore(60)
    MetricFilters({"Filter": _filter("{ $.status = * }")}, store).publish_event("AccessLog", message)
    assert list(store) == []
    MetricFilters({"Filter": _filter("")}, store).publish_event("AccessLog", message)
    assert [series.total for series in store] == [1]


@pytest.mark.parametrize(
    ("resource", "sentence"),
    [
        (_filter("ERROR"), "not a pattern for JSON"),
        (_filter(MetricName=None), "lacks MetricNamespace and MetricName"),
        (_filter(MetricValue="one"), "MetricValue is 'one'"),
        (_filter(MetricValue="$latency"), "does not select a property"),
        (_filter(DefaultValue="none"), "DefaultValue is 'none'"),
        (_filter(Dimensions=[{"Key": "a", "Value": "b"}]), "'b' does not select a property"),
        (_filter(DefaultValue=0, Dimensions=[{"Key": "a", "Value": "$.b"}]), "cannot have a DefaultValue"),
        (_filter(Dimensions=[{"Key": name, "Value": "$.b"} for name in "abcd"]), "at most 3 Dimensions"),
        (Resource("AWS::Logs::MetricFilter", {"FilterPattern": ""}), "lacks MetricTransformations"),
    ],
)
def test_what_cannot_be_applied_is_said(resource: Resource, sentence: str) -> None:
    filters = MetricFilters({"Operations/Broken": resource, "Filter": _filter()}, MetricStore(60))
    (problem,) = filters.problems
    assert problem.startswith("The local engine cannot apply the metric filter Operations/Broken: ")
    assert sentence in problem
    filters.publish_event("AccessLog", json.dumps({"status": "500"}))


def test_alarm_on_a_filters_metric() -> None:
    seconds = [1_000_000 * 60.0]
    store = MetricStore(60, lambda: seconds[0])
    filters = MetricFilters(_resources(Filter=_filter(DefaultValue=0)), store)
    alarm = {
        "Namespace": "Shop",
        "MetricName": "Failed",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }
    alarms = AlarmSet(store)
    alarms.declare({"FunctionsDegraded": Resource("AWS::CloudWatch::Alarm", alarm)})
    states = []
    for status in ("200", "500", "200"):
        filters.publish_request("Api", "$default", {"status": status})
        seconds[0] += 60
        alarms.evaluate(store.minute_at(seconds[0]))
        states.append(next(iter(alarms)).state)
    assert states == ["OK", "ALARM", "OK"]


def test_a_request_costs_little() -> None:
    filters = MetricFilters(_resources(Filter=_filter(), Latency=_filter(MetricValue="$.latency")), MetricStore(60))
    request = {"routeKey": "GET /orders", "responseLatency": "12", "status": "500", "requestId": "one"}
    started = time.process_time()
    for _ in range(1000):
        filters.publish_request("Api", "$default", request)
    assert time.process_time() - started < 0.5
