import importlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.gateway import import_functions

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

IDS = ["first", "second", "third", "fourth"]
SQS = {"Records": [{"messageId": name} for name in IDS]}
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
def test_a_record_that_fails_is_reported_with_all_after_it(process_batch, failing):
    seen = []

    def process(record: dict[str, str]) -> None:
        seen.append(record["messageId"])
        if record["messageId"] == failing:
            raise ValueError("no")

    assert failures(process_batch(process)) == IDS[IDS.index(failing) :]
    assert seen == IDS[: IDS.index(failing) + 1]


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
