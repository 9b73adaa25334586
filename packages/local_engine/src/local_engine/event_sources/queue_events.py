"""Events of SQS messages, and their filters.

Sources: "Using Lambda with Amazon SQS", "Using event filtering with an Amazon SQS event source" (AWS Lambda Developer
Guide).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from local_engine.account import REGION
from local_engine.event_bus.event_pattern import matches


def describe_message(message: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    """Return the record of a message, as ReceiveMessage returns it with all its attributes."""
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes") or {}),
        "messageAttributes": {
            name: _describe_attribute(value) for name, value in (message.get("MessageAttributes") or {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def passes(record: Mapping[str, Any], filters: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether one of the filters matches a record, or there are none."""
    return not filters or any(_matches_message(pattern, record) for pattern in filters)


def _describe_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    for name, key in (("StringValue", "stringValue"), ("BinaryValue", "binaryValue")):
        if value.get(name) is not None:
            described[key] = value[name]
    return described


def _matches_message(pattern: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    if "body" not in pattern:
        return matches(pattern, record)
    try:
        body = json.loads(record["body"])
        is_object = isinstance(body, dict | list)
    except (ValueError, RecursionError):
        body, is_object = record["body"], False
    # A pattern of one form never matches a body of the other.
    if isinstance(pattern["body"], Mapping) != is_object:
        return False
    return matches(pattern, {**record, "body": body if is_object else record["body"]})
