"""The functions or AWS write each metric on the dashboard and in the alarms, with the same dimensions."""

import fnmatch
import json
import re
from typing import Any

import pytest

from tests.support.gateway import import_functions
from tests.support.metric_references import Reference, list_references
from tests.support.permissions import find_translated, list_functions, translate_stack
from tests.support.stack import ROOT, list_routes

STACK = translate_stack(ColdStart="warm", MonthlyBudget="100", Intelligence="on")
NAMESPACE = "ServerlessApi/local"
ROUTES = [route.key for route in list_routes()]
REFERENCES = list_references(STACK)
SERVICES = {function.environment["POWERTOOLS_SERVICE_NAME"] for function in STACK.functions.values()}
PANELS = {reference.place for reference in REFERENCES} - STACK.resources.keys()

# The metrics and dimensions of AWS that the dashboard and the alarms use.
AWS = {
    # «Monitor CloudWatch metrics for HTTP APIs in API Gateway», and for REST APIs («Amazon API Gateway dimensions and
    # metrics») by `ApiName`, Amazon API Gateway Developer Guide.
    "AWS/ApiGateway": (
        {"4xx", "5xx", "4XXError", "5XXError", "Count", "DataProcessed", "IntegrationLatency", "Latency"},
        [{"ApiId"}, {"ApiId", "Stage"}, {"ApiId", "Method", "Resource", "Stage"}, {"ApiName"}],
    ),
    # «Types of metrics for Lambda functions» and «Viewing metrics», AWS Lambda Developer Guide.
    "AWS/Lambda": (
        {
            "ClaimedAccountConcurrency",
            "ConcurrentExecutions",
            "Duration",
            "Errors",
            "Invocations",
            "IteratorAge",
            "Throttles",
        },
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


def list_names() -> dict[str, set[str]]:
    """The values that a dimension of AWS's metrics has in this stack."""
    return {
        "ApiId": set(find_translated("AWS::ApiGatewayV2::Api")),
        "ApiName": {api["Name"] for api in find_translated("AWS::ApiGateway::RestApi").values()},
        "TableName": set(find_translated("AWS::DynamoDB::Table")),
        "QueueName": {name.replace("/", "-") for name in find_translated("AWS::SQS::Queue", Intelligence="on")},
        "FunctionName": {function.name for function in STACK.functions.values()},
    }


def list_filter_metrics() -> set[str]:
    """The metrics that metric filters of the stack write."""
    return {
        transformation["MetricName"]
        for metric_filter in find_translated("AWS::Logs::MetricFilter").values()
        for transformation in metric_filter["MetricTransformations"]
    }


@pytest.fixture(scope="module")
def own_metrics() -> set[str]:
    # With the metrics of an optional dependency.
    with import_functions({"ENRICHMENT_URL": "https://enrichment.example.com/"}):
        # Those of a dependency that no route of the HTTP API has.
        import intelligence.conversation
        from serverless_api import Metric

        assert intelligence.conversation
        imported = {str(metric) for metric in Metric.declared}
    # Background functions, and what they alone import, declare theirs by name.
    paths = [*ROOT.glob("functions/*/*.py"), *ROOT.glob("layers/shared/*/*.py")]
    return imported.union(*(re.findall(r'= Metric\("(\w+)"\)', path.read_text()) for path in paths))


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: f"{reference.place}: {reference.name}")
def test_a_metric_is_one_that_is_written(reference: Reference, own_metrics: set[str]) -> None:
    if reference.namespace == NAMESPACE:
        if reference.name in list_filter_metrics():
            assert not reference.dimensions
            return
        assert fnmatch.filter(own_metrics, reference.name)
        assert set(reference.dimensions) in ({"service"}, {"service", "route"})
        assert reference.dimensions["service"] in (None, *SERVICES)
        assert reference.dimensions.get("route") in (None, *ROUTES)
        return
    names, dimension_sets = AWS[reference.namespace]
    assert reference.name in names
    assert set(reference.dimensions) in dimension_sets
    for name, value in reference.dimensions.items():
        if value is not None and name in list_names():
            assert value in list_names()[name], f"{value} is not of this stack"


def test_each_metric_of_the_functions_is_on_the_dashboard(own_metrics: set[str]) -> None:
    shown = {
        reference.name for reference in REFERENCES if reference.namespace == NAMESPACE and reference.place in PANELS
    }
    missing = {metric for metric in own_metrics if not any(fnmatch.fnmatchcase(metric, name) for name in shown)}
    # A 5xx of the functions is one of two kinds, which are shown.
    assert missing == {"ServerErrors"}
    assert list_filter_metrics() <= shown


def read_dashboard(**parameters: str) -> Any:
    (dashboard,) = find_translated("AWS::CloudWatch::Dashboard", **parameters).values()
    return json.loads(dashboard["DashboardBody"])


@pytest.mark.parametrize("cold_start", ["none", "snapstart", "provisioned", "warm"])
@pytest.mark.parametrize("issuer", ["", "https://issuer.example.com/"])
def test_the_dashboard_shows_every_alarm_of_all_stacks(cold_start: str, issuer: str) -> None:
    parameters = {"ColdStart": cold_start, "Issuer": issuer, "Audience": "api" if issuer else ""}
    (widget,) = [widget for widget in read_dashboard(**parameters)["widgets"] if widget["type"] == "alarm"]
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    resources = translate_stack(**parameters).resources
    names = [name.replace("/", "-") for name, resource in resources.items() if resource.type in kinds]
    assert sorted(arn.rpartition(":")[2] for arn in widget["properties"]["alarms"]) == sorted(names)


def test_the_dashboard_finds_routes_and_functions_by_itself() -> None:
    """A panel that named a route or a function would have to be edited with each."""
    text = json.dumps(read_dashboard())
    assert not [name for name in list_functions() if re.search(rf"\b{name}\b", text)]
    assert not [route for route in ROUTES if route in text]
    for name in ("ConcurrentExecutions", "Throttles", "Errors"):
        in_panels = [item for item in REFERENCES if item.place in PANELS and item.name == name]
        assert any("FunctionName" in item.dimensions for item in in_panels)


@pytest.mark.parametrize("widget", read_dashboard()["widgets"], ids=lambda widget: widget["properties"]["title"])
def test_the_searches_of_a_panel_label_their_series_apart(widget: Any) -> None:
    """Each search finds the same functions or routes, which are in the legend under one name without labels."""
    options = [entry[-1] for entry in widget["properties"].get("metrics", ()) if isinstance(entry[-1], dict)]
    labels = [entry.get("label", "") for entry in options if "expression" in entry]
    assert len(set(labels)) == len(labels)
    if len(labels) > 1:
        assert all(re.search(r"\$\{PROP\('Dim\.\w+'\)\}", label) for label in labels)
