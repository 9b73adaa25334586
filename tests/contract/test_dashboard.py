"""Each metric on a dashboard or in an alarm is one that the functions or AWS write, with the dimensions that it has."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from tests.support.gateway import import_functions
from tests.support.permissions import translate_stack
from tests.support.stack import list_routes

SERVICE = {"service": "resources-api"}
STACK = translate_stack(ColdStart="warm", ListResourcesReserved="5", MonthlyBudget="100")
ROUTES = [route.key for route in list_routes()]

# What AWS writes, of what is used here.
AWS = {
    # «Monitor CloudWatch metrics for HTTP APIs in API Gateway», Amazon API Gateway Developer Guide.
    "AWS/ApiGateway": (
        {"4xx", "5xx", "Count", "DataProcessed", "IntegrationLatency", "Latency"},
        [{"ApiId"}, {"ApiId", "Stage"}, {"ApiId", "Method", "Resource", "Stage"}],
    ),
    # «Types of metrics for Lambda functions» and «Viewing metrics», AWS Lambda Developer Guide.
    "AWS/Lambda": (
        {"ClaimedAccountConcurrency", "ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"},
        [set(), {"FunctionName"}, {"FunctionName", "Resource"}],
    ),
    # «DynamoDB metrics and dimensions», Amazon DynamoDB Developer Guide.
    "AWS/DynamoDB": (
        {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"},
        [{"TableName"}],
    ),
    # «Available CloudWatch metrics for Amazon SQS», Amazon SQS Developer Guide.
    "AWS/SQS": ({"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"}, [{"QueueName"}]),
}
RESOURCES = {"ApiId": "AWS::ApiGatewayV2::Api", "FunctionName": "AWS::Lambda::Function"} | {
    "TableName": "AWS::DynamoDB::Table",
    "QueueName": "AWS::SQS::Queue",
}


class Reference(NamedTuple):
    """A metric, as a panel or an alarm names it; a search leaves the values of some dimensions open."""

    place: str
    namespace: str
    name: str
    dimensions: Mapping[str, str | None]


def find_references() -> Iterator[Reference]:
    for logical_id, of in STACK.resources.items():
        match of.type:
            case "AWS::CloudWatch::Dashboard":
                yield from read_dashboard(json.loads(of.properties["DashboardBody"]))
            case "AWS::CloudWatch::Alarm":
                yield from read_alarm(logical_id, of.properties)


def read_dashboard(body: Mapping[str, Any]) -> Iterator[Reference]:
    for widget in body["widgets"]:
        place = widget["properties"]["title"]
        for metric in widget["properties"].get("metrics", ()):
            options = metric[-1] if isinstance(metric[-1], dict) else {}
            if "expression" in options:
                yield read_search(place, options["expression"])
                continue
            namespace, name, *dimensions = [part for part in metric if isinstance(part, str)]
            yield Reference(place, namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True)))


def read_search(place: str, expression: str) -> Reference:
    found = re.fullmatch(r"SEARCH\('\{([^}]+)\} (.+)', '(?:Sum|p50|p90|p99)', 60\)", expression)
    assert found, f"{place} has an expression that nobody checks: {expression}"
    namespace, *names = found[1].split(",")
    # A namespace with other characters than AWS's own have must be quoted («CloudWatch search expression syntax»), and
    # the name of a stack may have a hyphen.
    assert re.fullmatch(r'AWS/\w+|"[^"]+"', namespace), f"{place}: quote the namespace {namespace}"
    namespace = namespace.strip('"')
    terms = dict(re.findall(r'(\w+)="([^"]+)"', found[2]))
    return Reference(place, namespace, terms.pop("MetricName"), {name: terms.get(name) for name in names})


def read_alarm(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Reference]:
    metrics = [of["MetricStat"]["Metric"] for of in properties.get("Metrics", ()) if "MetricStat" in of]
    for metric in metrics or [properties]:
        dimensions = {of["Name"]: of["Value"] for of in metric.get("Dimensions", ())}
        yield Reference(logical_id, metric["Namespace"], metric["MetricName"], dimensions)


REFERENCES = list(find_references())
PANELS = {of.place for of in REFERENCES} - STACK.resources.keys()


@pytest.fixture(scope="module")
def own_metrics() -> set[str]:
    with import_functions():
        from serverless_api.telemetry.observability import Metric

        return {str(metric) for metric in Metric}


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda of: f"{of.place}: {of.name}")
def test_a_metric_is_one_that_is_written(reference: Reference, own_metrics: set[str]) -> None:
    if reference.namespace == "ServerlessApi/local":
        assert reference.name in own_metrics
        assert set(reference.dimensions) in ({"service"}, {"service", "route"})
        assert reference.dimensions["service"] in (None, SERVICE["service"])
        assert reference.dimensions.get("route") in (None, *ROUTES)
        return
    names, dimension_sets = AWS[reference.namespace]
    assert reference.name in names
    assert set(reference.dimensions) in dimension_sets
    for name, value in reference.dimensions.items():
        if value is not None and name in RESOURCES:
            assert STACK.resources[value].type == RESOURCES[name], f"{value} is not of this stack"


def test_each_metric_of_the_functions_is_on_the_dashboard(own_metrics: set[str]) -> None:
    shown = {of.name for of in REFERENCES if of.namespace == "ServerlessApi/local" and of.place in PANELS}
    # A 5xx of the functions is one of two kinds, which are shown.
    assert own_metrics - shown == {"ServerErrors"}


def test_the_dashboard_shows_each_alarm_that_is_always_there() -> None:
    (body,) = [of.properties["DashboardBody"] for of in STACK.resources.values() if "DashboardBody" in of.properties]
    (widget,) = [of for of in json.loads(body)["widgets"] if of["type"] == "alarm"]
    shown = {arn.rpartition(":")[2] for arn in widget["properties"]["alarms"]}
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    always = translate_stack(Issuer="https://issuer.example.com/", Audience="api").resources
    assert shown == {name for name, of in always.items() if of.type in kinds}


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_the_dashboard_shows_each_routes_function(route: Any) -> None:
    for name in ("ConcurrentExecutions", "Throttles", "Errors"):
        assert [of for of in REFERENCES if of.name == name and of.dimensions.get("FunctionName") == route.function], (
            f"{route.function} is in no panel with {name}"
        )


@pytest.mark.parametrize("reserved", [{}, {"GetResource": 3}, {route.function: 7 for route in list_routes()}], ids=len)
def test_the_dashboard_shows_what_functions_have_reserved(reserved: Mapping[str, int]) -> None:
    stack = translate_stack(**{f"{name}Reserved": str(number) for name, number in reserved.items()})
    widgets = json.loads(stack.resources["Dashboard"].properties["DashboardBody"])["widgets"]
    (lines,) = [of["properties"]["annotations"]["horizontal"] for of in widgets if "annotations" in of["properties"]]
    assert {of["label"]: of["value"] for of in lines} == {f"{name} has": number for name, number in reserved.items()}
