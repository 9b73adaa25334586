"""Events put with boto3 reach the functions, queues, buses and log groups behind matching rules."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import STACKS, aws_client

from local_engine.services.destinations import send_record
from local_engine.testing import EngineProcess, poll

ACCOUNT = "123456789012"
Records = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("buses") / "records"


@pytest.fixture(scope="module")
def engine(records: Path) -> Iterator[EngineProcess]:
    records.touch()
    with EngineProcess(STACKS / "buses" / "template.yaml", "--parameters", f"Records={records}") as engine:
        yield engine


@pytest.fixture
def wait_for(records: Path) -> Records:
    """Waits for a number of events of a function, in the order of their arrival."""

    def wait(function: str, count: int, seconds: float = 60) -> list[dict[str, Any]]:
        def found() -> list[dict[str, Any]]:
            lines = map(json.loads, records.read_text().splitlines())
            return [line for line in lines if line["function"] == f"local-{function}"]

        poll(lambda: len(found()) >= count, f"{function} got {len(found())} events of {count}", seconds)
        return found()

    records.write_text("")
    return wait


def put(engine: EngineProcess, source: str, detail: Any, **more: Any) -> str:
    entry = {"Source": source, "DetailType": "Order Created", "Detail": json.dumps(detail), **more}
    (answer,) = aws_client("events", engine.services).put_events(Entries=[entry])["Entries"]
    return answer["EventId"]


def receive(engine: EngineProcess, queue: str) -> dict[str, Any]:
    queues = aws_client("sqs", engine.services)
    url = queues.get_queue_url(QueueName=queue)["QueueUrl"]
    answer = queues.receive_message(QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"])
    (message,) = answer["Messages"]
    queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return message


def test_event_to_the_letter(engine: EngineProcess, wait_for: Records) -> None:
    put(engine, "shop", {"total": 100, "n": 0}, EventBusName="orders")
    put(engine, "elsewhere", {"total": 101, "n": 1}, EventBusName="orders")
    event_id = put(
        engine, "shop", {"total": 101, "n": 2}, EventBusName="orders", Resources=["a"], Time="2026-01-02T03:04:05Z"
    )
    (run,) = wait_for("Created", 1)
    assert run["event"] == {
        "version": "0",
        "id": event_id,
        "detail-type": "Order Created",
        "source": "shop",
        "account": ACCOUNT,
        "time": "2026-01-02T03:04:05Z",
        "region": "us-east-1",
        "resources": ["a"],
        "detail": {"total": 101, "n": 2},
    }
    engine.wait_for_line(r"rule CreatedLarge 1 record ok \d+ ms Created (cold|warm) " + run["id"][:8])


def test_default_bus(engine: EngineProcess, wait_for: Records) -> None:
    put(engine, "shop", {"n": 3})
    (run,) = wait_for("Created", 1)
    assert run["event"]["detail"] == {"n": 3}


def test_inputs_of_targets(engine: EngineProcess, wait_for: Records) -> None:
    detail = {"id": 'a"b', "names": ["x", "y"]}
    put(engine, "shapes", detail, EventBusName="orders")
    # The targets of a rule run at the same time.
    events = sorted((run["event"] for run in wait_for("Shaped", 3)), key=len, reverse=True)
    assert events == [
        {
            "id": 'a"b',
            "text": 'order a"b of x',
            "names": ["x", "y"],
            "absent": None,
            "rule": "Shapes",
        },
        detail,
        {"constant": True},
    ]
    assert json.loads(receive(engine, "Copies")["Body"]) == detail
    logs = aws_client("logs", engine.services)
    (entry,) = logs.filter_log_events(logGroupName="/audit")["events"]
    assert json.loads(entry["message"])["detail"] == detail


def test_killed_function_gets_its_event_again(engine: EngineProcess, wait_for: Records) -> None:
    put(engine, "shop", {"deed": "die"})
    first, second = wait_for("Created", 2)
    assert first == second


def test_poison_becomes_a_dead_letter_of_the_function(engine: EngineProcess, wait_for: Records) -> None:
    put(engine, "shop", {"deed": "poison"})
    assert json.loads(receive(engine, "Poison")["Body"])["detail"] == {"deed": "poison"}
    assert len({run["id"] for run in wait_for("Created", 3)}) == 1


def test_undeliverable_events_go_to_the_targets_dead_letter_queue(engine: EngineProcess) -> None:
    event_id = put(engine, "lost", {"n": 1})
    letters = [receive(engine, "Undelivered"), receive(engine, "Undelivered")]
    assert {json.loads(letter["Body"])["id"] for letter in letters} == {event_id}
    attributes = [
        {name: entry["StringValue"] for name, entry in letter["MessageAttributes"].items()} for letter in letters
    ]
    assert {entry["RULE_ARN"] for entry in attributes} == {f"arn:aws:events:us-east-1:{ACCOUNT}:rule/Nobody"}
    assert {entry["TARGET_ARN"].rpartition(":")[2] for entry in attributes} == {"absent"}
    assert all(entry["ERROR_CODE"] and entry["ERROR_MESSAGE"] for entry in attributes)


def test_outcome_of_an_invocation_is_read_from_its_record(engine: EngineProcess) -> None:
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    context = {"condition": "RetriesExhausted"}
    record = {"requestContext": context, "requestPayload": {"condition": "Success"}, "responsePayload": {}}
    send_record(bus, json.dumps(record), {}, engine.services, source="arn:aws:lambda:us-east-1:1:function:f")
    event = json.loads(receive(engine, "Outcomes")["Body"])
    assert event["detail-type"] == "Lambda Function Invocation Result - Failure"
    assert event["detail"] == record
