"""Lambda's Invoke API, called with boto3: results, errors and asynchronous events."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import httpx
import pytest
from botocore.exceptions import ClientError
from conftest import STACKS, aws_client, copy_stack

from local_engine.functions.event_queue import EventQueue
from local_engine.gateway.invoke_api import InvokeApi
from local_engine.observer import Observer
from local_engine.testing import EngineProcess, is_running, poll, processes_below

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
INVOKE_WORKER = "/_local/lambda/2015-03-31/functions/Worker/invocations"
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/lambda/aws4_request"}
SECONDS = 20


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "invoked" / "template.yaml") as engine:
        yield engine


@pytest.fixture(scope="module")
def functions(engine: EngineProcess) -> Any:
    return aws_client("lambda", f"{engine.url}/_local/lambda")


@pytest.fixture(scope="module")
def receive(engine: EngineProcess) -> Callable[[str], dict[str, Any]]:
    """Waits for the one message of a queue."""
    queues = aws_client("sqs", engine.wait_for_line("^AWS services").split()[-1])

    def receive_message(queue: str) -> dict[str, Any]:
        url = queues.get_queue_url(QueueName=queue)["QueueUrl"]
        answer = queues.receive_message(QueueUrl=url, WaitTimeSeconds=SECONDS, MessageAttributeNames=["All"])
        (message,) = answer["Messages"]
        queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message

    return receive_message


def _invoke(functions: Any, name: str, event: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    payload = {} if event is None else {"Payload": json.dumps(event)}
    answer = functions.invoke(FunctionName=name, **payload, **options)
    return {**answer, "Payload": json.loads(answer["Payload"].read() or "null")}


def _refusal(functions: Any, name: str, **options: Any) -> Any:
    with pytest.raises(ClientError) as refused:
        functions.invoke(FunctionName=name, **options)
    return refused.value.response


def test_result_of_the_function(functions: Any) -> None:
    answer = _invoke(functions, "Worker", {"said": "grüße"})
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    assert answer["Payload"]["event"] == {"said": "grüße"}
    assert answer["Payload"]["requestId"] == answer["ResponseMetadata"]["RequestId"]


def test_nothing_sent_is_an_empty_event(functions: Any) -> None:
    assert _invoke(functions, "Worker")["Payload"]["event"] == {}


@pytest.mark.parametrize(
    ("name", "version", "arn"),
    [
        ("local-Worker", "$LATEST", "local-Worker"),
        ("local-Worker:live", "1", "local-Worker:live"),
        ("local-Worker:1", "1", "local-Worker:1"),
        ("local-Worker:$LATEST", "$LATEST", "local-Worker:$LATEST"),
        ("123456789012:function:local-Worker", "$LATEST", "local-Worker"),
        ("123456789012:function:local-Worker:live", "1", "local-Worker:live"),
        (f"{ARN}local-Worker", "$LATEST", "local-Worker"),
        (f"{ARN}local-Worker:live", "1", "local-Worker:live"),
        ("a-name_of-its-own", "$LATEST", "a-name_of-its-own"),
        # Logical IDs, as `sam local` accepts them.
        ("Worker:live", "1", "local-Worker:live"),
        ("Renamed", "$LATEST", "a-name_of-its-own"),
    ],
)
def test_every_form_of_a_name(functions: Any, name: str, version: str, arn: str) -> None:
    answer = _invoke(functions, name)
    assert (answer["ExecutedVersion"], answer["Payload"]["arn"]) == (version, ARN + arn)


def test_qualifier_beside_the_name(functions: Any) -> None:
    for name in ("Worker", "Worker:live"):
        assert _invoke(functions, name, Qualifier="live")["ExecutedVersion"] == "1"
    assert _refusal(functions, "Worker:live", Qualifier="1")["Error"]["Code"] == "InvalidParameterValueException"


@pytest.mark.parametrize(
    "name",
    ["NoSuch", "Worker:2", "Worker:other", "Retried:1", ARN.replace("us-east-1", "eu-west-1") + "Worker"],
)
def test_unknown_function_is_404(functions: Any, name: str) -> None:
    response = _refusal(functions, name)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert response["Error"]["Code"] == "ResourceNotFoundException"
    assert response["Error"]["Message"].startswith(f"Function not found: {ARN}")


def test_what_is_no_name_is_rejected(functions: Any) -> None:
    response = _refusal(functions, "Wor ker")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["Error"]["Code"] == "ValidationException"
    assert "'Wor ker' at 'functionName'" in response["Error"]["Message"]


def test_error_of_the_function(functions: Any) -> None:
    answer = _invoke(functions, "Worker", {"deed": "raise"})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = answer["Payload"]
    assert (error["errorType"], error["errorMessage"]) == ("LookupError", "the deed")
    assert error["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert [line.split("\n")[0].split(", ")[-1] for line in error["stackTrace"]] == ["in lambda_handler", "in _raise"]


def test_end_of_the_process_is_an_error_of_the_function(functions: Any) -> None:
    answer = _invoke(functions, "Worker", {"deed": "exit"})
    assert (answer["FunctionError"], answer["Payload"]["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert answer["Payload"]["errorMessage"].startswith(f"RequestId: {answer['ResponseMetadata']['RequestId']} Error: ")


def test_functions_invoke_functions(engine: EngineProcess) -> None:
    with engine.client() as client:
        assert client.get("/call").json() == [
            {"name": f"{ARN}local-Worker:live", "version": "1", "said": f"{ARN}local-Worker:live"},
            {"name": f"{ARN}local-Worker:1", "version": "1", "said": f"{ARN}local-Worker:1"},
            {"name": "Worker", "version": "$LATEST", "said": "Worker"},
        ]


def test_dry_run_runs_nothing(functions: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert _invoke(functions, "Worker", {"runs": str(runs)}, InvocationType="DryRun")["StatusCode"] == 204
    assert not runs.exists()
    assert _refusal(functions, "NoSuch", InvocationType="DryRun")["Error"]["Code"] == "ResourceNotFoundException"


@pytest.mark.parametrize("payload", [b"{", b"NaN", b"\xff", '{"a": 1}'.encode("utf-16"), b"[" * 100_000])
def test_invalid_json_is_rejected(functions: Any, payload: bytes) -> None:
    response = _refusal(functions, "Worker", Payload=payload)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["Error"]["Code"] == "InvalidRequestContentException"


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)])
def test_limits_of_the_payload(functions: Any, kind: str, limit: int) -> None:
    largest = b'"' + b"x" * (limit - 2) + b'"'
    # The function fails on text, so an accepted payload has no effect.
    assert functions.invoke(FunctionName="Worker", InvocationType=kind, Payload=largest)["StatusCode"] in (200, 202)
    response = _refusal(functions, "Worker", InvocationType=kind, Payload=largest + b" ")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert response["Error"]["Code"] == "RequestTooLargeException"


def test_unknown_invocation_type_is_rejected(functions: Any) -> None:
    assert _refusal(functions, "Worker", InvocationType="Maybe")["Error"]["Code"] == "ValidationException"


def test_reserved_concurrency(functions: Any, receive: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    started, end = tmp_path / "started", tmp_path / "end"
    waiting = {"deed": "wait", "started": str(started), "end": str(end)}
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(_invoke, functions, "Reserved", waiting)
        try:
            poll(started.exists, "the function has not started")
            refused = _refusal(functions, "Reserved")
            # An event waits instead, until there is room.
            _invoke(functions, "Reserved", {"order": 1}, InvocationType="Event")
        finally:
            end.touch()
        assert first.result()["Payload"] == "waited"
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert refused["Error"]["Code"] == "TooManyRequestsException"
    assert refused["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    record = json.loads(receive("Admitted")["Body"])
    assert (record["requestPayload"], record["requestContext"]["approximateInvokeCount"]) == ({"order": 1}, 1)


def test_event_fails_three_times_and_is_a_dead_letter(
    functions: Any, receive: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    event = {"deed": "raise", "runs": str(runs), "order": 17}
    answer = _invoke(functions, "Retried", event, InvocationType="Event")
    assert (answer["StatusCode"], answer["Payload"]) == (202, None)
    message = receive("DeadLetters")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert runs.read_text().split() == [request_id] * 3
    assert json.loads(message["Body"]) == event
    attributes = {
        name: (entry["DataType"], entry["StringValue"]) for name, entry in message["MessageAttributes"].items()
    }
    assert attributes == {
        "RequestID": ("String", request_id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "the deed"),
    }


def test_destination_of_failures(functions: Any, receive: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    event = {"deed": "raise", "runs": str(runs)}
    answer = _invoke(functions, "RetriedOnce", event, InvocationType="Event")
    record = json.loads(receive("Failures")["Body"])
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert len(runs.read_text().split()) == 2
    assert record.pop("timestamp").endswith("Z")
    assert record["responsePayload"].pop("stackTrace")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{ARN}local-RetriedOnce:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 2,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "the deed", "errorType": "LookupError", "requestId": request_id},
    }


def test_destination_of_successes(functions: Any, receive: Callable[[str], dict[str, Any]]) -> None:
    _invoke(functions, "RetriedOnce", {"order": 17}, InvocationType="Event")
    record = json.loads(receive("Successes")["Body"])
    assert record["requestContext"]["condition"] == "Success"
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert record["responsePayload"]["event"] == {"order": 17}


def test_event_that_would_be_too_old_is_not_tried_again(
    functions: Any, receive: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    # What is set for the alias does not hold for the function itself.
    others, runs = tmp_path / "others", tmp_path / "runs"
    _invoke(functions, "ShortLived", {"deed": "raise", "runs": str(others)}, InvocationType="Event")
    _invoke(functions, "ShortLived:live", {"deed": "raise", "runs": str(runs)}, InvocationType="Event")
    context = json.loads(receive("Expired")["Body"])["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("EventAgeExceeded", 1)
    assert context["functionArn"] == f"{ARN}local-ShortLived:live"
    poll(lambda: len(others.read_text().split()) == 3, "the function itself was not tried again")
    assert len(runs.read_text().split()) == 1


def test_function_that_may_not_run_gives_its_events_up(
    engine: EngineProcess, functions: Any, receive: Callable[[str], dict[str, Any]]
) -> None:
    _invoke(functions, "Stopped", {"order": 17}, InvocationType="Event")
    message = receive("NeverRun")
    assert json.loads(message["Body"]) == {"order": 17}
    assert message["MessageAttributes"]["ErrorCode"]["StringValue"] == "429"
    # The topic of its on-failure destination takes the record before.
    assert "cannot be sent to" not in engine.output


def test_unsigned_requests_are_rejected(engine: EngineProcess, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    event = json.dumps({"runs": str(runs)})
    with engine.client() as client:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "AWS4-HMAC-SHA256"}):
            response = client.post(INVOKE_WORKER, content=event, headers=headers)
            assert response.status_code == 403
            assert response.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
        assert not runs.exists()
        # Signed, the same request succeeds, so the signature was missing.
        assert client.post(INVOKE_WORKER, content=event, headers=SIGNED).status_code == 200
        assert runs.exists()


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "the engine's own"])
def test_web_pages_are_rejected(engine: EngineProcess, tmp_path: Path, origin: str) -> None:
    runs = tmp_path / "runs"
    headers = {"Origin": engine.url if origin == "the engine's own" else origin}
    with engine.client() as client:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = client.options(INVOKE_WORKER, headers=headers | asked)
        answer = client.post(INVOKE_WORKER, content=json.dumps({"runs": str(runs)}), headers=headers | SIGNED)
    assert answer.status_code == 403
    assert not runs.exists()
    for response in (preflight, answer):
        assert not [name for name in response.headers if name.startswith("access-control-")]


def test_each_call_is_shown_with_its_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    observer = create_autospec(Observer)
    monkeypatch.setattr("local_engine.gateway.invoke_api.time", Mock(monotonic=Mock(side_effect=[10, 10.25])))

    async def send() -> None:
        transport = httpx.ASGITransport(InvokeApi(create_autospec(EventQueue), observer))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            await client.post("/2015-03-31/functions/no%20name/invocations", headers=SIGNED)

    asyncio.run(send())
    ((answered,), _) = observer.request_answered.call_args
    assert (answered.status, answered.latency) == (400, 250)


def test_edits_of_the_template_take_effect_on_the_next_invocation(tmp_path: Path) -> None:
    template = copy_stack("invoked", tmp_path)
    with EngineProcess(template) as engine:
        functions = aws_client("lambda", f"{engine.url}/_local/lambda")
        assert _invoke(functions, "a-name_of-its-own")["StatusCode"] == 200
        engine.wait_for_line(r"POST /_local/lambda/.* 200 .* Renamed cold")
        template.write_text(template.read_text().replace("a-name_of-its-own", "another"))
        assert _invoke(functions, "another")["Payload"]["arn"] == f"{ARN}another"
        assert _refusal(functions, "a-name_of-its-own")["Error"]["Code"] == "ResourceNotFoundException"


def test_events_end_with_the_engine(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with EngineProcess(STACKS / "invoked" / "template.yaml") as engine:
        functions = aws_client("lambda", f"{engine.url}/_local/lambda")
        for deed in ("raise", "hang"):
            _invoke(functions, "Worker", {"deed": deed, "runs": str(runs)}, InvocationType="Event")
        poll(lambda: runs.exists() and len(runs.read_text().split()) >= 2, "the events have not come")
        children = processes_below(engine.process.pid)
        assert engine.stop() == 0
    assert not [child for child in children if is_running(child)]
    assert "Traceback" not in engine.output
    # The event itself is ended, before its process is, and no failure of the function is made of that.
    assert "SIGKILL" not in engine.output
    assert len(runs.read_text().split()) == 2
