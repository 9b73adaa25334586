"""`make redrive` tries every letter of a queue, also those behind many that stay."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tools.redrive import Redrive

SOURCE = "arn:aws:sqs:us-east-1:123456789012:source"


def make_client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]


@pytest.fixture
def sqs() -> Iterator[Any]:
    with mock_aws():
        yield make_client("sqs")


def count(sqs: Any, queue: str) -> tuple[int, int]:
    """How many messages of a queue are visible, and how many are not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def test_letters_that_stay_hide_none_behind_them(sqs: Any) -> None:
    source, letters = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("source", "letters"))
    for _ in range(25):
        sqs.send_message(QueueUrl=letters, MessageBody="says nothing")
    for number in range(5):
        target = {"TARGET_ARN": {"DataType": "String", "StringValue": SOURCE}}
        body, group = json.dumps({"number": number}), {"MessageGroupId": "ann"} if number else {}
        sqs.send_message(QueueUrl=letters, MessageBody=body, MessageAttributes=target, **group)
    shown: list[str] = []
    assert Redrive(make_client).run(letters, shown.append) == (5, 25)
    assert len(set(shown)) == len(shown) == 25
    assert count(sqs, source) == (5, 0)
    assert count(sqs, letters) == (25, 0)
    wanted = {"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["MessageGroupId"]}
    groups = [message.get("Attributes", {}) for message in sqs.receive_message(QueueUrl=source, **wanted)["Messages"]]
    assert sorted(map(len, groups)) == [0, 1, 1, 1, 1]


def test_letters_that_arrive_meanwhile_are_for_another_time(sqs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = sqs.create_queue(QueueName="letters")["QueueUrl"]
    monkeypatch.setattr("tools.redrive.time.time", lambda: 1_000_000_000.0)
    for _ in range(12):
        sqs.send_message(QueueUrl=letters, MessageBody="says nothing")
    monkeypatch.setattr("tools.redrive.time.time", lambda: 999_999_999.0)
    assert Redrive(make_client).run(letters, print) == (0, 0)
    assert count(sqs, letters) == (12, 0)
