"""An example of a consumer: measures how old events are when they arrive."""

import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import EventType

from serverless_api import Metric, measure, process_batch, report_event

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

SCHEMA_VERSION = 1
EVENT_AGE = Metric("EventAge")


def handler(event: Mapping[str, Any], context: "LambdaContext") -> Mapping[str, Any]:
    response = process_batch(event, context, measure_age, EventType.SQS)
    report_event()
    return response


def measure_age(record: "SQSRecord") -> None:
    detail = json.loads(record.body)["detail"]
    if detail["schemaVersion"] != SCHEMA_VERSION:
        raise ValueError(f"events of version {detail['schemaVersion']} are not known here")
    age = time.time() - datetime.fromisoformat(detail["occurredAt"]).timestamp()
    measure(EVENT_AGE, max(0.0, age * 1000))
