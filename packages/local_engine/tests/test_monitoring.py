"""What is collected while a stack is served: names and dimensions as AWS documents them, and lines in EMF."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from conftest import aws_client

from local_engine.testing import EngineProcess, poll, run_engine, serve

STACK = Path(__file__).parent / "stacks" / "monitored" / "template.yaml"
API = {"ApiId": "Api"}
STAGE = {**API, "Stage": "$default"}
READ = {**STAGE, "Method": "GET", "Resource": "/orders/{id}"}
ORDERS = {"FunctionName": "orders"}
LIVE = {**ORDERS, "Resource": "orders:live"}


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACK, "--minute", "1", "--verbose") as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


class Counts:
    """How much metrics have grown since this was made."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._before = self._read()

    def grown(self, namespace: str, name: str, dimensions: dict[str, str]) -> tuple[float, float]:
        """Return the growth of sum and count."""
        key = (namespace, name, *sorted(dimensions.items()))
        now, before = self._read().get(key), self._before.get(key)
        values = [(entry or {"sum": 0, "count": 0}) for entry in (now, before)]
        return values[0]["sum"] - values[1]["sum"], values[0]["count"] - values[1]["count"]

    def _read(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        metrics = self._client.get("/_local/metrics.json").json()["metrics"]
        return {(one["namespace"], one["name"], *sorted(one["dimensions"].items())): one for one in metrics}


def test_gateway_counts_by_api_stage_and_route(client: httpx.Client) -> None:
    counts = Counts(client)
    client.get("/orders/1")
    client.get("/orders/2", params={"deed": "raise"})
    client.get("/nowhere")
    client.get("/quiet")
    for dimensions, requests, refused in ((API, 4, 1), (STAGE, 4, 1), (READ, 2, 0)):
        assert counts.grown("AWS/ApiGateway", "Count", dimensions) == (requests, requests)
        assert counts.grown("AWS/ApiGateway", "4xx", dimensions) == (refused, requests)
        assert counts.grown("AWS/ApiGateway", "5xx", dimensions) == (1, requests)
        assert counts.grown("AWS/ApiGateway", "Latency", dimensions)[1] == requests
        assert counts.grown("AWS/ApiGateway", "IntegrationLatency", dimensions)[1] == requests - refused
    quiet = {**STAGE, "Method": "GET", "Resource": "/quiet"}
    assert counts.grown("AWS/ApiGateway", "Count", quiet) == (0, 0)


def test_gateway_counts_bytes_both_ways(client: httpx.Client) -> None:
    counts = Counts(client)
    answer = client.post("/orders", content=b"x" * 1000)
    assert counts.grown("AWS/ApiGateway", "DataProcessed", API) == (1000 + len(answer.content), 1)


def test_functions_are_counted_by_name_alias_and_account(client: httpx.Client) -> None:
    counts = Counts(client)
    client.get("/orders/1")
    client.get("/orders/1", params={"deed": "raise"})
    for dimensions in (ORDERS, LIVE, {}):
        assert counts.grown("AWS/Lambda", "Invocations", dimensions) == (2, 2)
        assert counts.grown("AWS/Lambda", "Errors", dimensions) == (1, 2)
        assert counts.grown("AWS/Lambda", "Duration", dimensions)[1] == 2
        assert counts.grown("AWS/Lambda", "ConcurrentExecutions", dimensions) == (2, 2)
        assert counts.grown("AWS/Lambda", "Throttles", dimensions) == (0, 2)


def test_start_of_a_process_is_no_part_of_a_functions_duration(client: httpx.Client) -> None:
    counts = Counts(client)
    assert client.get("/waking").text == "awake"
    duration, _ = counts.grown("AWS/Lambda", "Duration", {"FunctionName": "waking"})
    waited, _ = counts.grown("AWS/ApiGateway", "IntegrationLatency", API)
    # The import alone takes half a second.
    assert waited - duration >= 500


def test_throttled_request_is_no_invocation(client: httpx.Client) -> None:
    counts = Counts(client)
    assert client.get("/reports").status_code == 503
    (name,) = {
        one["dimensions"]["FunctionName"]
        for one in client.get("/_local/metrics.json").json()["metrics"]
        if one["dimensions"].get("FunctionName", "").startswith("local-Reports")
    }
    assert counts.grown("AWS/Lambda", "Throttles", {"FunctionName": name}) == (1, 1)
    assert counts.grown("AWS/Lambda", "Invocations", {"FunctionName": name}) == (0, 0)


def test_lines_in_the_embedded_metric_format_are_read_and_shown(engine: EngineProcess, client: httpx.Client) -> None:
    counts = Counts(client)
    client.get("/orders/1")
    both = {"service": "orders", "route": "read"}
    poll(lambda: counts.grown("Shop", "Requests", both) == (1, 1), "the line was not read")
    assert counts.grown("Shop", "Latency", both) == (8.5, 2)
    assert counts.grown("Shop", "Latency", {"service": "orders"}) == (8.5, 2)
    line = r"^Orders \| METRIC Shop: Requests=1 Latency=\[3, 5.5\] \(route=read, service=orders\)$"
    engine.wait_for_line(line)


@pytest.mark.parametrize(
    "change",
    [
        {"_aws": None},
        {"_aws": {"CloudWatchMetrics": []}},
        {"_aws": {"Timestamp": "now", "CloudWatchMetrics": []}},
        {"Broken": "1"},
        {"Broken": True},
        {"Broken": []},
        {"Broken": [1] * 101},
        {"Broken": float("nan")},
        {"Broken": 10**400},
        {"service": 5},
        {"service": None},
    ],
)
def test_malformed_lines_are_shown_as_they_are(
    engine: EngineProcess, client: httpx.Client, change: dict[str, Any]
) -> None:
    directive = {"Namespace": "Shop", "Dimensions": [["service"]], "Metrics": [{"Name": "Broken"}]}
    aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    line = json.dumps({"_aws": aws, "service": "orders", "Broken": 1, **change, "mark": str(change)[:60]})
    counts = Counts(client)
    assert client.get("/orders/1", params={"deed": "malformed", "line": line}).status_code == 200
    poll(lambda: f"Orders | {line}" in engine.lines, "the line is not shown")
    assert counts.grown("Shop", "Broken", {"service": "orders"}) == (0, 0)


def test_table_is_counted_as_far_as_it_was_asked(engine: EngineProcess, client: httpx.Client) -> None:
    dynamodb = aws_client("dynamodb", engine.services)
    counts = Counts(client)
    key = {"pk": {"S": "1"}}
    # Moto reports the capacity of some requests unasked.
    values = {":one": {"N": "1"}}
    dynamodb.update_item(TableName="items", Key=key, UpdateExpression="SET n = :one", ExpressionAttributeValues=values)
    asked = dynamodb.put_item(TableName="items", Item=key, ReturnConsumedCapacity="TOTAL")
    for _ in range(3):
        read = dynamodb.get_item(TableName="items", Key=key, ReturnConsumedCapacity="TOTAL")
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        dynamodb.put_item(TableName="items", Item=key, ConditionExpression="attribute_not_exists(pk)")
    with pytest.raises(ClientError, match="TransactionCanceled"):
        dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": "items", "Item": key, "ConditionExpression": "attribute_not_exists(pk)"}}
            ]
        )
    table = {"TableName": "items"}
    gets = {**table, "Operation": "GetItem"}
    poll(lambda: counts.grown("AWS/DynamoDB", "UserErrors", {}) == (1, 1), "the services were not asked")
    written, units_read = (answer["ConsumedCapacity"]["CapacityUnits"] for answer in (asked, read))
    assert counts.grown("AWS/DynamoDB", "ConsumedWriteCapacityUnits", table) == (written, 1)
    assert counts.grown("AWS/DynamoDB", "ConsumedReadCapacityUnits", table) == (3 * units_read, 3)
    assert counts.grown("AWS/DynamoDB", "SuccessfulRequestLatency", gets)[1] == 3
    assert counts.grown("AWS/DynamoDB", "ConditionalCheckFailedRequests", table) == (2, 2)


def test_metrics_can_be_read_by_no_page_of_another_origin(client: httpx.Client) -> None:
    for path in ("metrics.json", "alarms.json"):
        answer = client.get(f"/_local/{path}", headers={"origin": "https://example.com"})
        assert "access-control-allow-origin" not in answer.headers
        assert client.post(f"/_local/{path}").is_client_error


@pytest.mark.parametrize("minute", ["0", "-1", "soon", "nan"])
def test_faulty_minute_is_a_sentence(minute: str) -> None:
    result = run_engine("run", "--template", str(STACK), f"--minute={minute}")
    assert (result.returncode, "number of seconds" in result.stderr) == (2, True)


def test_services_without_activity_do_no_harm() -> None:
    asked: list[str] = []

    async def answer(scope: Any, _: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": [b"[]", b"no JSON", b'{"requests": [1]}'][len(asked) % 3]})

    template = STACK.parent.parent / "echo" / "template.yaml"
    with (
        serve(lambda _: answer) as url,
        EngineProcess(template, "--minute", "0.2", "--services", url) as engine,
        engine.client() as client,
    ):
        assert client.get("/").status_code == 200
        poll(lambda: len(asked) >= 4, "the services were not asked")
        assert set(asked) == {"/_local/activity", "/_local/deliveries"}
        assert client.get("/_local/metrics.json").json()["metrics"]
        assert "Traceback" not in engine.output
