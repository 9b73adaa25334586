"""Keeps the vectors of resources current: runs for each event of a change, and embeds the current version."""

import json
import os
import random
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import EventType

from intelligence.bedrock import ModelUnavailable
from intelligence.vectors import read_slots, refresh_vectors
from records.clients import make_client
from resources import resources
from serverless_api import Metric, count, logger, measure, process_batch, read_number, report_event

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

RECORD_SECONDS = 20.0
"""The time that must be left to start another record: each of its calls may be repeated."""
POSTPONED_SECONDS = 60
"""How long a message waits, at most, before it is tried again because the model was unavailable."""

VECTOR_AGE = Metric("VectorAge")
VECTORS_POSTPONED = Metric("VectorsPostponed")

_slots = read_slots()
_rate = read_number("EMBEDDINGS_PER_SECOND", default=20.0)
_sqs = make_client("sqs")


def handler(event: Mapping[str, Any], context: "LambdaContext") -> Mapping[str, Any]:
    response = process_batch(event, context, embed_resource, EventType.SQS, seconds_a_record=RECORD_SECONDS)
    report_event()
    return response


def embed_resource(record: "SQSRecord") -> None:
    """Refresh the vectors of the resource that an event is about."""
    started = time.monotonic()
    detail = json.loads(record.body)["detail"]
    try:
        computed = refresh_vectors(resources, detail["owner"], detail["id"], _slots)
    except ModelUnavailable as error:
        # A new message, so that waiting for the model is no failed attempt, and never makes a dead letter.
        delay = random.randint(POSTPONED_SECONDS // 2, POSTPONED_SECONDS)  # noqa: S311 - no secret
        _sqs.send_message(QueueUrl=os.environ["VECTORS_QUEUE"], MessageBody=record.body, DelaySeconds=delay)
        logger.warning("A resource is not embedded yet", reason=str(error))
        count(VECTORS_POSTPONED)
        computed = 0
    age = time.time() - datetime.fromisoformat(detail["occurredAt"]).timestamp()
    measure(VECTOR_AGE, max(0.0, age * 1000))
    time.sleep(max(computed / _rate - (time.monotonic() - started), 0.0))
