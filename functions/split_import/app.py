"""Runs when a file of an import has arrived, and splits it into parts of whole lines."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from aws_lambda_powertools.utilities.batch import EventType

from serverless_api import process_batch
from splitting import Cursor, split_file

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handler(event: Mapping[str, Any], context: "LambdaContext") -> Mapping[str, Any]:
    return process_batch(event, context, _split, EventType.SQS, seconds_a_record=30.0)


def _split(message: "SQSRecord") -> None:
    body = json.loads(message.body)
    if "cursor" in body:
        split_file(Cursor(*body["cursor"]))
    # S3 sends a test without records when it gets the queue.
    for record in body.get("Records", ()):
        split_file(Cursor(unquote_plus(record["s3"]["object"]["key"])))
