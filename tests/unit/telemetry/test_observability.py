"""The log summary and the metrics of a request."""

import hmac
import json
from contextlib import contextmanager

import pytest

from tests.support.dynamodb import Drop, Refusal
from tests.support.gateway import ENVIRONMENT, Context, import_functions
from tests.support.http_server import Server, make_reply
from tests.support.resources_api import ResourcesApi

RESOURCE = "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10"
TRACE = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1"


@contextmanager
def start_api(url, **environment):
    """The API in an environment that has not served a request."""
    with import_functions({"AWS_ENDPOINT_URL": url, **environment}) as handlers:
        yield ResourcesApi(handlers)


def read_lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def read_request(capsys):
    """The summary and the metrics of the only request since the last call."""
    lines = read_lines(capsys)
    (summary,) = [line for line in lines if line.get("message") == "Request answered"]
    (metrics,) = [line for line in lines if "_aws" in line]
    return summary, metrics


def test_the_summary_says_what_a_request_was_and_what_it_took(aws, table, capsys, monkeypatch):
    with start_api(aws, CALLER_IN_LOGS="plain") as api:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", TRACE)
        answer = api.create(headers={"X-Correlation-Id": "order-7"})
        summary, _ = read_request(capsys)
    assert summary["request_id"].startswith("request-")
    assert summary["function_request_id"] == Context().aws_request_id
    assert summary["xray_trace_id"] == "1-67891233-abcdef012345678912345678"
    assert (summary["correlation_id"], answer.headers["x-correlation-id"]) == ("order-7", "order-7")
    assert (summary["route"], summary["caller"]) == ("POST /api/v1/resources", "alice")
    assert (summary["status"], summary["cold_start"]) == (201, True)
    assert summary["duration_ms"] > 0
    assert (summary["table_calls"], summary["read_units"], summary["retries"]) == (1, 0, 0)
    assert summary["write_units"] > 0
    # A process in which other tests have loaded the client of the model has its circuit too.
    assert summary["circuits"]["table"] == "closed"


def test_an_error_is_summed_up_with_the_id_that_the_caller_is_told(api, capsys):
    for send, status in ((lambda: api.read("none"), 404), (lambda: api.create({}), 400)):
        capsys.readouterr()
        answer = send()
        summary, _ = read_request(capsys)
        assert (summary["status"], summary["request_id"]) == (status, answer.json()["requestId"])
        assert answer.headers["x-correlation-id"] == summary["correlation_id"] == summary["request_id"]


@pytest.mark.parametrize("sent", ["", "two words", "ä", "x" * 129, 'a"\n'])
def test_a_correlation_id_that_is_none_is_replaced(api, capsys, sent):
    answer = api.page(headers={"X-Correlation-Id": sent})
    summary, _ = read_request(capsys)
    assert answer.headers["x-correlation-id"] == summary["correlation_id"] == summary["request_id"]


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_correlation_id_goes_on_to_the_enrichment_service(aws, table):
    with Server(lambda _: make_reply({})) as server, start_api(aws, ENRICHMENT_URL=server.url) as api:
        api.create(headers={"X-Correlation-Id": "order-7"})
        api.create()
    first, second = ({name.lower(): value for name, value in request.headers.items()} for request in server.requests)
    assert first["x-correlation-id"] == "order-7"
    assert second["x-correlation-id"].startswith("request-")


def test_a_caller_is_hashed_unless_told_otherwise(api, capsys):
    api.page(subject="alice@example.com")
    output = capsys.readouterr().out
    assert "alice" not in output
    expected = hmac.digest(ENVIRONMENT["PSEUDONYM_KEY"].encode(), b"alice@example.com", "sha256").hex()[:32]
    assert f'"caller":"{expected}"' in output


def test_retries_and_the_circuit_are_in_the_summary(dynamodb, remote_api, capsys):
    dynamodb.fail("GetItem", Refusal("ThrottlingException"), Drop())
    remote_api.read(RESOURCE)
    summary, metrics = read_request(capsys)
    assert (summary["table_calls"], summary["retries"]) == (3, 2)
    assert (metrics["TableRetries"], metrics["TableThrottles"], metrics["TableErrors"]) == ([2.0], [1.0], [1.0])
    dynamodb.fail("GetItem", *(Drop(),) * 20)
    for _ in range(5):
        capsys.readouterr()
        assert remote_api.read(RESOURCE).status == 503
    summary, metrics = read_request(capsys)
    assert (summary["circuits"]["table"], metrics["TableCircuitOpened"]) == ("open", [1.0])
    remote_api.read(RESOURCE)
    summary, metrics = read_request(capsys)
    assert (summary["table_calls"], metrics["TableCircuitRefusals"]) == (0, [1.0])


def test_an_environment_is_cold_once(aws, table, capsys):
    with start_api(aws) as api:
        first = [api.page(), read_request(capsys)][1]
        second = [api.page(), read_request(capsys)][1]
    assert [summary["cold_start"] for summary, _ in (first, second)] == [True, False]
    assert first[1]["ColdStarts"] == [1.0]
    assert "ColdStarts" not in second[1]


def test_an_environment_that_was_started_ahead_is_not_cold(aws, table, capsys):
    with start_api(aws, AWS_LAMBDA_INITIALIZATION_TYPE="provisioned-concurrency") as api:
        api.page()
    assert read_request(capsys)[0]["cold_start"] is False
    with import_functions({"AWS_ENDPOINT_URL": aws}) as handlers:
        handlers["GET /api/v1/resources"]({"warmUp": True}, Context())
        ResourcesApi(handlers).page()
    assert read_request(capsys)[0]["cold_start"] is False


@pytest.mark.parametrize(
    ("send", "kinds"),
    [
        (lambda api: api.page(), set()),
        (lambda api: api.create({}), {"ClientErrors", "ValidationFailures"}),
        (lambda api: api.read(RESOURCE), {"ClientErrors"}),
    ],
)
def test_a_request_is_counted_by_its_route_and_for_the_service(api, capsys, send, kinds):
    send(api)
    summary, metrics = read_request(capsys)
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ServerlessApi/test"
    # Each combination of values is a metric to pay for, so only these.
    assert sorted(map(sorted, directive["Dimensions"])) == [["route", "service"], ["service"]]
    assert (metrics["service"], metrics["route"]) == ("api", summary["route"])
    assert metrics["Requests"] == [1.0]
    assert metrics["Latency"][0] > 0
    counted = {metric["Name"] for metric in directive["Metrics"]} - {
        "Requests",
        "Latency",
        "ColdStarts",
        "ResourcesRetrieved",
    }
    assert counted == kinds
    assert all(metrics[kind] == [1.0] for kind in kinds)


@pytest.mark.parametrize(
    ("fault", "kind"), [(Drop(), "DependencyFailures"), (Refusal("AccessDeniedException"), "UnexpectedErrors")]
)
def test_a_failure_is_counted_by_its_kind(dynamodb, remote_api, capsys, fault, kind):
    dynamodb.fail("Query", *(fault,) * 4)
    remote_api.page()
    _, metrics = read_request(capsys)
    assert (metrics["ServerErrors"], metrics[kind]) == ([1.0], [1.0])


def test_resources_are_counted_as_they_are_read_and_changed(api, capsys):
    def count(name, answer):
        assert answer.status < 300
        _, metrics = read_request(capsys)
        (other,) = {"ResourcesRetrieved", "ResourcesChanged"} - {name}
        assert other not in metrics
        return metrics.get(name)

    key = {"Idempotency-Key": "once"}
    created = api.create(headers=key)
    assert count("ResourcesChanged", created) == [1.0]
    assert count("ResourcesChanged", api.create(headers=key)) is None, "nothing was changed by it"
    assert count("ResourcesChanged", api.create()) == [1.0]
    resource = created.json()["id"]
    assert count("ResourcesRetrieved", api.page()) == [2.0]
    assert count("ResourcesRetrieved", api.read(resource)) == [1.0]
    assert count("ResourcesChanged", api.update(resource)) == [1.0]
    assert count("ResourcesChanged", api.delete(resource)) == [1.0]


def test_some_requests_log_at_level_debug_as_a_whole(aws, table, capsys, monkeypatch):
    draws = iter([0.1, 0.4])
    with start_api(aws, DEBUG_SAMPLE_RATE="0.25") as api:
        monkeypatch.setattr("random.random", lambda: next(draws))
        api.page()
        sampled = read_lines(capsys)
        api.page()
        others = read_lines(capsys)
    assert {"DEBUG", "INFO"} == {line["level"] for line in sampled if "level" in line}
    assert {"INFO"} == {line["level"] for line in others if "level" in line}
    (call,) = [line for line in sampled if line.get("level") == "DEBUG"]
    assert call["operation"] == "Query"
    assert call["request_id"]


def test_lambdas_own_level_does_not_make_every_line_appear(aws, table, capsys):
    # With sampling, Lambda passes DEBUG and says so in this variable.
    with start_api(aws, DEBUG_SAMPLE_RATE="0.000001", AWS_LAMBDA_LOG_LEVEL="DEBUG") as api:
        api.page()
    assert {line["level"] for line in read_lines(capsys) if "level" in line} == {"INFO"}


def test_a_long_text_is_cut_in_the_middle_wherever_it_stands(capsys):
    with import_functions():
        from serverless_api import logger

        longest = "a" * 8_000 + "z" * 8_000
        for text in (longest, f"a{longest}z"):
            logger.info(text, texts=[text], error=ValueError(text))
        whole, cut = read_lines(capsys)
    assert (whole["message"], whole["texts"], whole["error"]) == (longest, [longest], longest)
    text = longest.replace("az", "a…z")
    assert (cut["message"], cut["texts"], cut["error"]) == (text, [text], text)


def test_durations_and_counts_of_an_event_are_metrics_once(capsys):
    with import_functions():
        from serverless_api import Metric, count, report_event
        from serverless_api.telemetry.observability import measure

        age, lost = Metric("AgeOfTest"), Metric("LostInTest")
        measure(age, 12.5)
        measure(age, 20)
        count(lost, 3)
        report_event()
        (line,) = [line for line in read_lines(capsys) if "_aws" in line]
        assert (line["AgeOfTest"], line["LostInTest"]) == ([12.5, 20.0], [3.0])
        report_event()
        assert [line for line in read_lines(capsys) if "_aws" in line] == []
