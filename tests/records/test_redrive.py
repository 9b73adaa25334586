"""`make redrive` sends dead letters again: what Lambda gave up, what a function set aside, messages of a queue."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from local_engine.testing import EngineProcess, poll
from tests.records.bus import Bus
from tests.records.conftest import Clients
from tests.support.api_client import ApiClient
from tests.support.permissions import translate_stack
from tests.support.resources import RESOURCES, make_body
from tests.support.stack import ROOT

type Run = Callable[[], subprocess.CompletedProcess[str]]
PUBLISHER = translate_stack().functions["Records/PublishChanges"]


@pytest.fixture
def redrive(engine: EngineProcess) -> Run:
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tools.redrive", "--url", engine.url, "--services", engine.services]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    return run


def send(aws: Clients, queue: str, letter: Any) -> str:
    """Send a letter, and return the URL of its queue."""
    sqs = aws("sqs")
    url: str = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=letter if isinstance(letter, str) else json.dumps(letter))
    return url


def count_letters(aws: Clients, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(map(int, aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))


def test_a_batch_that_lambda_gave_up_is_read_from_the_stream_again(
    engine: EngineProcess, bus: Bus, aws: Clients, redrive: Run
) -> None:
    user = ApiClient(engine.url, f"user-{uuid4()}")
    for number in (1, 2):
        assert user.send("POST", RESOURCES, make_body(number)).status == 201
    numbers = [event["detail"]["sequence"] for event in bus.wait_for(2, owner=user.subject)]
    (shard,) = aws("dynamodbstreams").describe_stream(StreamArn=find_stream(aws))["StreamDescription"]["Shards"]
    batch = {"shardId": shard["ShardId"], "streamArn": find_stream(aws), "batchSize": 1}
    batch |= {"startSequenceNumber": numbers[1], "endSequenceNumber": numbers[1]}
    url = send(aws, "DeadLetters", {"requestContext": {"functionArn": PUBLISHER.arn}, "DDBStreamBatchInfo": batch})
    done = redrive()
    assert (done.returncode, done.stderr) == (0, "")
    assert "DeadLetters: 1 sent again, 0 left" in done.stdout
    assert not count_letters(aws, url)

    def list_numbers() -> list[str]:
        return [event["detail"]["sequence"] for event in bus.receive() if event["detail"]["owner"] == user.subject]

    poll(lambda: sorted(list_numbers()) == [numbers[0], numbers[1], numbers[1]], "the event was not put again", 240)


def test_a_record_that_was_set_aside_is_published_when_it_can_be_read(bus: Bus, aws: Clients, redrive: Run) -> None:
    owner = f"user-{uuid4()}"
    record = json.loads(json.dumps(load_record("publish_changes")).replace("user#fixture", f"user#{owner}"))
    letter = {"requestContext": {"functionArn": PUBLISHER.arn, "condition": "RecordUnreadable"}, "Records": [record]}
    url = send(aws, "DeadLetters", letter)
    assert redrive().returncode == 0
    (event,) = bus.wait_for(1, owner=owner)
    fields = sorted(record["dynamodb"]["NewImage"].keys() & make_body(1).keys())
    assert (event["detail-type"], event["detail"]["fields"]) == ("ResourceCreated", fields)
    assert not count_letters(aws, url)


def test_a_message_goes_back_to_its_queue(aws: Clients, redrive: Run) -> None:
    url = aws("sqs").get_queue_url(QueueName="Records-DeadMessages")["QueueUrl"]
    send(aws, "Records-EventQueue", "no event")
    poll(lambda: count_letters(aws, url) == 1, "the message is no dead letter", 120)
    done = redrive()
    assert "Records-DeadMessages: 1 sent again, 0 left" in done.stdout
    # The consumer still can't read it.
    poll(lambda: count_letters(aws, url) == 1, "the message did not come back", 120)
    aws("sqs").purge_queue(QueueUrl=url)


def test_a_letter_that_says_nothing_is_left(aws: Clients, redrive: Run) -> None:
    url = send(aws, "DeadLetters", "no JSON")
    done = redrive()
    assert done.returncode == 1
    assert "is left: it does not say what it is for; invoke its function by hand." in done.stdout
    assert count_letters(aws, url) == 1
    aws("sqs").purge_queue(QueueUrl=url)


def load_record(function: str) -> Any:
    (record,) = json.loads((ROOT / "events" / f"{function}.json").read_text())["Records"]
    return record


def find_stream(aws: Clients) -> str:
    arn: str = aws("dynamodb").describe_table(TableName="Table")["Table"]["LatestStreamArn"]
    return arn
