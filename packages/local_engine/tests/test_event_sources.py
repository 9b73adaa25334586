"""Event source mappings of queues and streams, with boto3 and functions that do what the records say."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import STACKS, aws_client, copy_stack

from local_engine.event_sources.batch_runs import LARGEST_PAYLOAD, fitting_length, read_failures
from local_engine.testing import EngineProcess, poll

ARN = "arn:aws:sqs:us-east-1:123456789012:"
SECONDS = 40


class Consumers:
    """A running stack of consumers, and what its functions have printed."""

    def __init__(self, engine: EngineProcess) -> None:
        self.engine = engine
        self.sqs = aws_client("sqs", engine.services)
        self.dynamodb = aws_client("dynamodb", engine.services)

    def printed(self, word: str, worker: str) -> list[Any]:
        """What a function printed after a word: SEEN for events, DONE for orders that it has carried out."""
        marked = re.compile(rf"\| {word} {worker} (.*)")
        found = (marked.search(line) for line in list(self.engine.lines))
        return [json.loads(match[1]) for match in found if match]

    def batches(self, worker: str) -> list[list[Any]]:
        return [event["Records"] for event in self.printed("SEEN", worker)]

    def done(self, worker: str, key: str = "n") -> list[Any]:
        return [order[key] for order in self.printed("DONE", worker) if key in order]

    def url(self, queue: str) -> str:
        return self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def send(self, queue: str, *orders: Any, **options: Any) -> None:
        for order in orders:
            body = order if isinstance(order, str) else json.dumps(order)
            self.sqs.send_message(QueueUrl=self.url(queue), MessageBody=body, **options)

    def put(self, table: str, identifier: str, **order: Any) -> None:
        item = {"id": {"S": identifier}, "order": {"S": json.dumps(order)}}
        self.dynamodb.put_item(TableName=table, Item=item)

    def receive(self, queue: str, wait: int = 0) -> list[dict[str, Any]]:
        """Receive and delete messages of a queue without a mapping."""
        url = self.url(queue)
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait, MessageSystemAttributeNames=["All"]
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return messages

    def is_empty(self, queue: str) -> bool:
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=list(names))
        return all(answer["Attributes"][name] == "0" for name in names)

    def wait(self, is_met: Callable[[], bool], seconds: float = SECONDS) -> None:
        try:
            poll(is_met, "", seconds)
        except AssertionError:
            raise AssertionError(self.engine.output[-20_000:]) from None


@pytest.fixture(scope="module")
def consumers() -> Iterator[Consumers]:
    with EngineProcess(STACKS / "consumers" / "template.yaml") as engine:
        yield Consumers(engine)


def _batch_with(consumers: Consumers, worker: str, text: str) -> list[Any]:
    """Wait for a batch of which a record contains a text."""
    consumers.wait(lambda: any(text in json.dumps(batch) for batch in consumers.batches(worker)))
    return next(batch for batch in consumers.batches(worker) if text in json.dumps(batch))


def test_event_of_a_message(consumers: Consumers) -> None:
    attributes = {
        "kind": {"DataType": "String", "StringValue": "x"},
        "raw": {"DataType": "Binary", "BinaryValue": b"hi"},
    }
    consumers.send("Jobs", {"n": "attributed"}, MessageAttributes=attributes)
    (record,) = _batch_with(consumers, "jobs", "attributed")
    assert re.fullmatch(r"\d{13}", record["attributes"].pop("SentTimestamp"))
    assert re.fullmatch(r"\d{13}", record["attributes"].pop("ApproximateFirstReceiveTimestamp"))
    assert record["attributes"].pop("SenderId")
    assert record.pop("messageId")
    assert record.pop("receiptHandle")
    assert record.pop("md5OfMessageAttributes")
    assert record == {
        "body": '{"n": "attributed"}',
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {
            "kind": {"stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
            "raw": {"binaryValue": "aGk=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        },
        "md5OfBody": "21a6038a0cf188dc37c225a84b95bf0c",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"{ARN}Jobs",
        "awsRegion": "us-east-1",
    }


def test_each_run_has_a_line(consumers: Consumers) -> None:
    consumers.send("Jobs", {"n": "shown"})
    consumers.wait(lambda: "shown" in consumers.done("jobs"))
    consumers.engine.wait_for_line(r"^\d\d:\d\d:\d\d Jobs \d+ records? ok \d+ ms JobWorker (cold|warm) [0-9a-f]{8}$")


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": "unknown"}]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"wrongKey": "x"}]},
        {"batchItemFailures": "all"},
    ],
    ids=str,
)
def test_a_malformed_answer_fails_the_whole_batch(consumers: Consumers, answer: Any) -> None:
    body = json.dumps({"do": "answer", "answer": answer})
    consumers.send("Jobs", body)
    (dead,) = consumers.receive("DeadJobs", 20)
    assert (dead["Body"], dead["Attributes"]["ApproximateReceiveCount"]) == (body, "4")


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}], ids=str)
def test_an_answer_without_failures_is_success(consumers: Consumers, answer: Any) -> None:
    runs = len(consumers.batches("jobs"))
    consumers.send("Jobs", {"do": "answer", "answer": answer})
    consumers.wait(lambda: len(consumers.batches("jobs")) > runs and consumers.is_empty("Jobs"))
    assert consumers.receive("DeadJobs") == []


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        (b"null", set()),
        (b'""', set()),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "a"}]}', {"a"}),
        (b'{"batchItemFailures": ["a"]}', None),
        (b'{"batchItemFailures": {"itemIdentifier": "a"}}', None),
        (b'"done"', None),
        (b"\xff", None),
    ],
)
def test_failures_in_a_response(payload: bytes, failed: set[str] | None) -> None:
    assert read_failures(payload, ["a", "b"]) == failed


def test_an_event_has_six_megabytes_at_most() -> None:
    half = LARGEST_PAYLOAD // 2
    assert fitting_length([half, half]) == 1
    assert fitting_length([2 * LARGEST_PAYLOAD, 1]) == 1
    assert fitting_length([1000] * 10) == 10


def test_failed_messages_go_to_the_dead_letter_queue_and_no_others(consumers: Consumers) -> None:
    entries = [{"n": f"part-{number}", **({"do": "fail"} if number % 3 == 0 else {})} for number in range(10)]
    consumers.sqs.send_message_batch(
        QueueUrl=consumers.url("Jobs"),
        Entries=[{"Id": str(number), "MessageBody": json.dumps(order)} for number, order in enumerate(entries)],
    )
    poisons = {order["n"] for order in entries if "do" in order}
    dead: dict[str, str] = {}

    def receive_dead() -> bool:
        for entry in consumers.receive("DeadJobs"):
            dead[json.loads(entry["Body"])["n"]] = entry["Attributes"]["DeadLetterQueueSourceArn"].rpartition(":")[2]
        return dead.keys() >= poisons

    consumers.wait(receive_dead)
    consumers.wait(lambda: consumers.is_empty("Jobs"))
    assert dead == dict.fromkeys(poisons, "Jobs")
    done = [name for name in consumers.done("jobs") if name.startswith("part-")]
    assert sorted(done) == sorted(order["n"] for order in entries if "do" not in order)


def test_a_batch_is_gathered_in_its_window_from_messages_that_pass_the_filters(consumers: Consumers) -> None:
    consumers.send(
        "Lots", "small", "7", {"kind": "small"}, *({"kind": f"big{number}"} for number in range(12)), "plain"
    )
    batch = _batch_with(consumers, "lots", "plain")
    assert [record["body"] for record in batch] == [*(f'{{"kind": "big{number}"}}' for number in range(12)), "plain"]
    consumers.wait(lambda: consumers.is_empty("Lots"))


def test_no_more_batches_at_once_than_the_maximum_concurrency(consumers: Consumers) -> None:
    consumers.send("Narrow", *({"do": "sleep", "seconds": 0.4, "n": number} for number in range(8)))
    consumers.wait(lambda: len(consumers.done("narrow")) == 8)
    marks = re.findall(r"\| (SEEN|DONE) narrow", consumers.engine.output)
    running, most = 0, 0
    for mark in marks:
        running += 1 if mark == "SEEN" else -1
        most = max(most, running)
    assert most == 2


def test_throttled_batches_are_repeated_while_their_messages_are_invisible(consumers: Consumers) -> None:
    consumers.send("Reserved", *({"do": "sleep", "seconds": 0.3, "n": number} for number in range(6)))
    consumers.wait(lambda: len(consumers.done("reserved")) == 6)
    assert "throttled" in consumers.engine.output
    # The queue allows one receipt of a message.
    consumers.wait(lambda: consumers.is_empty("Reserved"))
    assert consumers.receive("DeadReserved", 2) == []


def test_a_disabled_mapping_leaves_the_messages(consumers: Consumers) -> None:
    consumers.send("Paused", {"n": 1})
    consumers.send("Jobs", {"n": "after"})
    consumers.wait(lambda: "after" in consumers.done("jobs"))
    assert [message["Body"] for message in consumers.receive("Paused", 5)] == ['{"n": 1}']


@pytest.mark.parametrize(
    "line",
    [
        r"PausedWorkerClicks is not run: Kinesis streams are no event source here\.",
        r"PausedWorkerTotals is not run: tumbling windows do not run here\.",
        r"PausedWorkerTight is not run: .* visibility timeout \(5 s\) is less than the function's timeout \(10 s\)",
        r"PausedWorkerWide is not run: a BatchSize over 10 needs a MaximumBatchingWindowInSeconds",
        r"PausedWorkerUnclear is not run: FilterCriteria: 'body' must be an object or an array",
    ],
)
def test_what_is_not_served_is_said_at_the_start(consumers: Consumers, line: str) -> None:
    consumers.engine.wait_for_line(f"^{line}")


def test_events_of_changes(consumers: Consumers) -> None:
    key = {"id": {"S": "changed"}}
    table = consumers.dynamodb
    table.put_item(TableName="Plain", Item={**key, "raw": {"B": b"hi"}})
    # A write that changes nothing has no record.
    table.put_item(TableName="Plain", Item={**key, "raw": {"B": b"hi"}})
    change = {"UpdateExpression": "SET amount = :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    table.update_item(TableName="Plain", Key=key, **change)
    table.update_item(TableName="Plain", Key={"id": {"S": "made by an update"}}, **change)
    table.delete_item(TableName="Plain", Key=key)

    def list_records() -> list[Any]:
        return [
            record
            for batch in consumers.batches("plain")
            for record in batch
            if record["dynamodb"]["Keys"]["id"]["S"] in ("changed", "made by an update")
        ]

    consumers.wait(lambda: any(record["eventName"] == "REMOVE" for record in list_records()))
    records = list_records()
    assert len({record.pop("eventID") for record in records}) == len(records)
    numbers = [int(record["dynamodb"].pop("SequenceNumber")) for record in records]
    assert numbers == sorted(set(numbers))
    for record in records:
        assert isinstance(record["dynamodb"].pop("ApproximateCreationDateTime"), int)
        assert record["dynamodb"].pop("SizeBytes") > 0
        assert record["dynamodb"].pop("StreamViewType") == "NEW_AND_OLD_IMAGES"
        assert record.pop("eventVersion") == "1.1"
        assert record.pop("eventSource") == "aws:dynamodb"
        assert record.pop("awsRegion") == "us-east-1"
        assert record.pop("eventSourceARN") == "arn:aws:dynamodb:us-east-1:123456789012:table/Plain/stream/local"
    first = {**key, "raw": {"B": "aGk="}}
    second = {**first, "amount": {"N": "1"}}
    other = {"id": {"S": "made by an update"}}
    assert records == [
        {"eventName": "INSERT", "dynamodb": {"Keys": key, "NewImage": first}},
        {"eventName": "MODIFY", "dynamodb": {"Keys": key, "NewImage": second, "OldImage": first}},
        {"eventName": "INSERT", "dynamodb": {"Keys": other, "NewImage": {**other, "amount": {"N": "1"}}}},
        {"eventName": "REMOVE", "dynamodb": {"Keys": key, "OldImage": second}},
    ]


def test_the_age_of_records_is_a_metric(consumers: Consumers) -> None:
    consumers.put("Plain", "aged")
    _batch_with(consumers, "plain", '"aged"')

    def has_metric() -> bool:
        with consumers.engine.client() as client:
            metrics = client.get("/_local/metrics.json").json()["metrics"]
        ages = [metric for metric in metrics if metric["name"] == "IteratorAge"]
        return {"FunctionName": "local-PlainWorker"} in [metric["dimensions"] for metric in ages]

    consumers.wait(has_metric)


def test_filters_and_window_of_a_stream(consumers: Consumers) -> None:
    for number in range(6):
        consumers.put("Keys", f"filtered-{number}")
        consumers.dynamodb.delete_item(TableName="Keys", Key={"id": {"S": f"filtered-{number}"}})
    batch = _batch_with(consumers, "plain", "filtered-5")
    assert [record["eventName"] for record in batch] == ["REMOVE"] * 6
    assert all("OldImage" not in record["dynamodb"] for record in batch)


def test_a_slow_function_loses_no_record(consumers: Consumers) -> None:
    consumers.put("Plain", "slow", do="sleep", seconds=8)
    for start in range(0, 3000, 25):
        items = [{"id": {"S": f"slow-{number}"}} for number in range(start, start + 25)]
        puts = [{"PutRequest": {"Item": item}} for item in items]
        consumers.dynamodb.batch_write_item(RequestItems={"Plain": puts})
    _batch_with(consumers, "plain", '"slow-2999"')
    seen = [record["dynamodb"]["Keys"]["id"]["S"] for batch in consumers.batches("plain") for record in batch]
    assert [name for name in seen if name.startswith("slow-")] == [f"slow-{number}" for number in range(3000)]


def test_a_stream_goes_on_at_the_first_failed_record_and_gives_up_the_rest_of_its_batch(consumers: Consumers) -> None:
    puts = [
        {"Put": {"TableName": "Orders", "Item": {"id": {"S": str(n)}, "order": {"S": json.dumps(order)}}}}
        for n, order in enumerate([{"n": 0}, {"n": 1, "do": "fail"}, {"n": 2}, {"n": 3}, {"n": 4}])
    ]
    consumers.dynamodb.transact_write_items(TransactItems=puts)
    (message,) = consumers.receive("LostOrders", 20)
    consumers.wait(lambda: 4 in consumers.done("orders"))
    batches = [[record["dynamodb"]["Keys"]["id"]["S"] for record in batch] for batch in consumers.batches("orders")]
    assert batches == [["0", "1", "2", "3"], ["1", "2", "3"], ["1", "2", "3"], ["4"]]
    records = [record["dynamodb"] for record in consumers.batches("orders")[1]]
    lost = json.loads(message["Body"])
    assert lost["requestContext"].pop("requestId")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lost.pop("timestamp"))
    times = [lost["DDBStreamBatchInfo"].pop(f"approximateArrivalOf{name}Record") for name in ("First", "Last")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text) for text in times)
    assert lost == {
        "requestContext": {
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:local-OrderWorker",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": "shardId-00000001541626099285-f35f62ef",
            "startSequenceNumber": records[0]["SequenceNumber"],
            "endSequenceNumber": records[-1]["SequenceNumber"],
            "batchSize": 3,
            "streamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/local",
        },
    }
    # The record says where to find what was lost.
    streams = aws_client("dynamodbstreams", consumers.engine.services)
    place = lost["DDBStreamBatchInfo"]
    iterator = streams.get_shard_iterator(
        StreamArn=place["streamArn"],
        ShardId=place["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        SequenceNumber=place["startSequenceNumber"],
    )["ShardIterator"]
    (found, *_) = streams.get_records(ShardIterator=iterator)["Records"]
    assert found["dynamodb"]["Keys"] == {"id": {"S": "1"}}


def test_records_that_are_too_old_are_given_up(consumers: Consumers) -> None:
    consumers.put("Aged", "old", do="raise")
    (message,) = consumers.receive("LostAged", 20)
    lost = json.loads(message["Body"])
    assert lost["requestContext"]["condition"] == "RecordAgeExceeded"
    assert lost["responseContext"]["functionError"] == "Unhandled"
    assert lost["requestContext"]["approximateInvokeCount"] == len(consumers.batches("aged")) > 2


def _edit(consumers: Consumers, template: Path, before: str, after: str) -> None:
    text = template.read_text()
    assert before in text
    template.write_text(text.replace(before, after))
    reloads = consumers.engine.output.count("Reloaded")
    consumers.wait(lambda: consumers.engine.output.count("Reloaded") > reloads)


def test_edits_lose_and_repeat_nothing(tmp_path: Path) -> None:
    template = copy_stack("consumers", tmp_path)
    with EngineProcess(template) as engine:
        consumers = Consumers(engine)
        for number in range(60):
            consumers.send("Narrow", {"n": number})
            consumers.put("Orders", str(number), n=number)
            if number == 20:
                _edit(consumers, template, "BatchSize: 1, ScalingConfig", "BatchSize: 2, ScalingConfig")
            if number == 40:
                _edit(consumers, template, "            BatchSize: 4\n", "            BatchSize: 5\n")
        consumers.wait(lambda: len(consumers.done("narrow")) >= 60 and len(consumers.done("orders")) >= 60)
        assert sorted(consumers.done("narrow")) == list(range(60))
        assert consumers.done("orders") == list(range(60))
        # The queue allows one receipt of a message.
        assert consumers.receive("DeadNarrow") == []
        _edit(consumers, template, "Queue: !GetAtt Paused.Arn, Enabled: false", "Queue: !GetAtt Paused.Arn")
        consumers.send("Paused", {"n": "resumed"})
        consumers.wait(lambda: "resumed" in consumers.done("paused"))


def test_the_end_waits_for_no_batch() -> None:
    with EngineProcess(STACKS / "consumers" / "template.yaml") as engine:
        consumers = Consumers(engine)
        consumers.send("Narrow", {"do": "sleep", "seconds": 9, "n": 1})
        consumers.wait(lambda: bool(consumers.batches("narrow")))
        assert engine.stop() == 0
        assert consumers.done("narrow") == []
