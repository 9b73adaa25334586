"""`make redrive`: sends dead letters again, to the function or the queue that they are for."""

import argparse
import base64
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.arguments import add_services, add_target, find_stack, read_services, report_failure
from tools.command_parser import CommandParser
from tools.stack import connect_local

type Clients = Callable[[str], Any]

_BATCH = 10
# A function behind a stream or a queue has a minute.
_HIDDEN_SECONDS = 120


class LetterLeft(Exception):
    """A dead letter stays where it is; the message says why."""


class Redrive:
    """Sends the letters of dead-letter queues again."""

    def __init__(self, clients: Clients) -> None:
        """Take what returns a boto3 client by the service's name."""
        self._sqs = clients("sqs")
        self._functions = clients("lambda")
        self._streams = clients("dynamodbstreams")

    def run(self, queue: str, show: Callable[[str], None] = print) -> tuple[int, int]:
        """Send every letter of a queue again, once; what fails again becomes a new letter.

        Args:
            queue: the queue's URL.
            show: gets a line for each letter that is left.

        Returns:
            How many letters were sent and are deleted, and how many are left.
        """
        started = time.time()
        sent = 0
        left: set[str] = set()
        # Until the end, so that SQS hands out all others.
        hidden: dict[str, str] = {}
        try:
            while messages := self._receive(queue):
                for message in messages:
                    name = message["MessageId"]
                    hidden[name] = message["ReceiptHandle"]
                    if name in left or int(message["Attributes"]["SentTimestamp"]) > started * 1000:
                        continue
                    try:
                        self._send(message)
                    except LetterLeft as reason:
                        left.add(name)
                        show(f"{name} is left: {reason}")
                    else:
                        sent += 1
                        self._sqs.delete_message(QueueUrl=queue, ReceiptHandle=hidden.pop(name))
        finally:
            for receipt in hidden.values():
                # One whose time is over is visible again.
                with suppress(ClientError):
                    self._sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=0)
        return sent, len(left)

    def _receive(self, queue: str) -> list[dict[str, Any]]:
        """Return letters that are visible; none at the end."""
        answer = self._sqs.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=_BATCH,
            VisibilityTimeout=_HIDDEN_SECONDS,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["SentTimestamp", "DeadLetterQueueSourceArn", "MessageGroupId"],
            MessageAttributeNames=["TARGET_ARN"],
        )
        return list(answer.get("Messages", ()))

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            letter = json.loads(message["Body"])
        except ValueError:
            letter = None
        match letter:
            case {"requestContext": {"functionArn": str(function)}, "Records": list(records)}:
                self._invoke(function, {"Records": records})
            case {"requestContext": {"functionArn": str(function)}, "DDBStreamBatchInfo": dict(batch)}:
                self._invoke(function, {"Records": self._read_records(batch)})
            case {"requestContext": {"functionArn": str(function)}, "requestPayload": payload}:
                self._invoke(function, payload)
            case _:
                self._return(message)

    def _invoke(self, function: str, event: Any) -> None:
        try:
            answer = self._functions.invoke(FunctionName=function, Payload=json.dumps(event, default=_write_value))
        except (BotoCoreError, ClientError) as error:
            raise LetterLeft(f"{function} cannot be invoked: {error}") from error
        content = answer["Payload"].read()
        if "FunctionError" in answer:
            raise LetterLeft(f"{function} failed: {content.decode()[:200]}")
        result = json.loads(content or "null")
        if isinstance(result, dict) and result.get("batchItemFailures"):
            raise LetterLeft(f"{function} failed again; its log says why.")

    def _read_records(self, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the records that Lambda gave up, from the stream."""
        arn, last = batch["streamArn"], int(batch["endSequenceNumber"])
        records: list[dict[str, Any]] = []
        try:
            iterator = self._streams.get_shard_iterator(
                StreamArn=arn,
                ShardId=batch["shardId"],
                ShardIteratorType="AT_SEQUENCE_NUMBER",
                SequenceNumber=batch["startSequenceNumber"],
            )["ShardIterator"]
            while iterator and len(records) < int(batch["batchSize"]):
                answer = self._streams.get_records(ShardIterator=iterator, Limit=int(batch["batchSize"]))
                if not answer["Records"]:
                    break
                records += answer["Records"]
                iterator = answer.get("NextShardIterator")
        except self._streams.exceptions.TrimmedDataAccessException as error:
            raise LetterLeft("its records are older than 24 hours, and no longer in the stream.") from error
        except (BotoCoreError, ClientError) as error:
            raise LetterLeft(f"the stream cannot be read: {error}") from error
        found = [record for record in records if int(record["dynamodb"]["SequenceNumber"]) <= last]
        return [{**record, "eventSourceARN": arn} for record in found]

    def _return(self, message: Mapping[str, Any]) -> None:
        """Send a message to the queue that it comes from, or that EventBridge could not send it to."""
        target = message.get("MessageAttributes", {}).get("TARGET_ARN", {}).get("StringValue", "")
        arn = message["Attributes"].get("DeadLetterQueueSourceArn") or target
        if ":sqs:" not in arn:
            raise LetterLeft("it does not say what it is for; invoke its function by hand.")
        url = self._sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        # The group of a fair queue.
        group = {name: value for name, value in message["Attributes"].items() if name == "MessageGroupId"}
        self._sqs.send_message(QueueUrl=url, MessageBody=message["Body"], **group)


def _write_value(value: object) -> Any:
    """Return what boto3 reads as an object in the form of Lambda's events."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{value!r} cannot be written as JSON")


def main() -> int:
    """Send the letters again; return 1 if some are left, and 2 if nothing could be done."""
    parser = CommandParser(prog="make redrive", description=__doc__)
    add_target(parser)
    add_services(parser)
    options = parser.parse_args()
    return report_failure(lambda: _redrive(options))


def _redrive(options: argparse.Namespace) -> int:
    clients, queues = _find_queues(options)
    total = 0
    for queue in queues:
        sent, left = Redrive(clients).run(queue)
        total += left
        print(f"{queue.rpartition('/')[2]}: {sent} sent again, {left} left")
    return 1 if total else 0


def _find_queues(options: argparse.Namespace) -> tuple[Clients, list[str]]:
    if not options.url:
        stack = find_stack(options)
        return stack.make_client, stack.require_outputs("DeadLetterQueueUrls")["DeadLetterQueueUrls"].split(",")
    services = read_services(options)

    def make_client(service: str) -> Any:
        endpoint = f"{options.url.rstrip('/')}/_local/lambda" if service == "lambda" else services
        return connect_local(service, endpoint)

    listed = make_client("sqs").list_queues().get("QueueUrls", [])
    return make_client, [queue for queue in listed if "Dead" in queue.rpartition("/")[2]]


if __name__ == "__main__":
    raise SystemExit(main())
