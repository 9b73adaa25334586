import importlib
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.support.gateway import import_functions

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

IDS = ["first", "second", "third", "fourth"]
QUEUE = "arn:aws:sqs:us-east-1:123456789012:orders"
SQS = {"Records": [{"messageId": name, "eventSourceARN": QUEUE} for name in IDS]}
FIFO = {"Records": [{"messageId": name, "eventSourceARN": f"{QUEUE}.fifo"} for name in IDS]}
STREAM = {"Records": [{"dynamodb": {"SequenceNumber": name}} for name in IDS]}


@dataclass(frozen=True)
class Context:
    milliseconds: int = 29_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture
def process_batch() -> Iterator[Callable[..., Any]]:
    with import_functions():
        batch = importlib.import_module("serverless_api.resilience.batch")

        def process(process_record, milliseconds=29_000, event=SQS, kind="SQS", **options):
            event_type = batch.EventType[kind]
            return batch.process_batch(event, Context(milliseconds), process_record, event_type, **options)

        yield process


def failures(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_every_record_is_processed_in_order(process_batch):
    seen = []
    assert process_batch(lambda record: seen.append(record["messageId"])) == {"batchItemFailures": []}
    assert seen == IDS


@pytest.mark.parametrize("failing", IDS)
@pytest.mark.parametrize(("event", "is_ordered"), [(SQS, False), (FIFO, True)], ids=["standard", "FIFO"])
def test_a_record_that_fails_is_reported_and_in_a_fifo_queue_all_after_it(process_batch, event, is_ordered, failing):
    seen = []

    def process(record: dict[str, str]) -> None:
        seen.append(record["messageId"])
        if record["messageId"] == failing:
            raise ValueError("no")

    at = IDS.index(failing)
    assert failures(process_batch(process, event=event)) == (IDS[at:] if is_ordered else [failing])
    assert seen == (IDS[: at + 1] if is_ordered else IDS)


@mock_aws
def test_no_healthy_record_of_a_standard_queue_is_dead_lettered(process_batch):
    """A tenth of the records is poison. What a batch reports goes back to the queue."""
    sqs = boto3.client("sqs", region_name="us-east-1")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    target = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 3})
    queue = sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": redrive})["QueueUrl"]
    bodies = ["poison" if number % 10 == 3 else f"healthy {number}" for number in range(100)]
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    processed = []

    def process(record: Any) -> None:
        if record.body == "poison":
            raise ValueError("no")
        processed.append(record.body)

    def receive(url: str) -> Any:
        return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])

    while messages := receive(queue):
        records = [
            {"messageId": message["MessageId"], "body": message["Body"], "eventSourceARN": QUEUE}
            for message in messages
        ]
        reported = failures(process_batch(process, event={"Records": records}))
        for message in messages:
            handle = {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] in reported:
                sqs.change_message_visibility(VisibilityTimeout=0, **handle)
            else:
                sqs.delete_message(**handle)
    buried = [message["Body"] for messages in iter(lambda: receive(dead), []) for message in messages]
    assert buried == ["poison"] * 10
    assert sorted(processed) == sorted(body for body in bodies if body != "poison")


def test_no_record_is_begun_that_could_not_be_finished(process_batch):
    seen = []
    assert failures(process_batch(seen.append, milliseconds=1_500)) == IDS
    assert seen == []


def test_a_record_that_hangs_is_ended_in_time_and_reported(process_batch):
    ours, theirs = socket.socketpair()

    def process(record: dict[str, str]) -> None:
        if record["messageId"] == "second":
            ours.recv(1)

    with ours, theirs:
        assert failures(process_batch(process, milliseconds=950, seconds_a_record=0.01)) == IDS[1:]


def test_the_failure_is_logged_with_its_record(process_batch, capsys):
    def process(record: dict[str, str]) -> None:
        raise ValueError("the cause")

    process_batch(process)
    output = capsys.readouterr().out
    assert "first" in output
    assert "the cause" in output


@pytest.mark.parametrize("failing", IDS)
def test_a_stream_continues_from_the_first_record_reported(process_batch, failing):
    def process(record: Any) -> None:
        if record.dynamodb.sequence_number == failing:
            raise ValueError("no")

    assert failures(process_batch(process, event=STREAM, kind="DynamoDBStreams")) == IDS[IDS.index(failing) :]


def test_a_batch_whose_records_all_fail_is_reported_and_raises_nothing(process_batch):
    def process(record: Any) -> None:
        raise ValueError("no")

    assert failures(process_batch(process)) == IDS
