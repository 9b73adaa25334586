"""Records of a stream that a function cannot read, set aside so that `make redrive` can send them again.

Lambda gives up a record only after many attempts, and then keeps its number alone, which is good for as long as the
stream keeps the record: 24 hours («Retain discarded records for a DynamoDB event source in Lambda», AWS Lambda
Developer Guide). A record that is set aside here holds up no other one, and can be sent again for two weeks.
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from serverless_api import logger, pseudonymize
from serverless_api.http.collection import RESERVED


def set_aside(record: Mapping[str, Any], function_arn: str, error: Exception) -> None:
    """Send a record to the dead-letter queue, without the values of its fields.

    Args:
        record: the record, from a stream's event.
        function_arn: the function that cannot read it, which gets it again.
        error: why.
    """
    body = {
        "requestContext": {"functionArn": function_arn, "condition": "RecordUnreadable"},
        "error": repr(error),
        "Records": [redact_record(record)],
    }
    logger.error("A record is set aside", sequence=record["dynamodb"]["SequenceNumber"], exc_info=error)
    _connect().send_message(QueueUrl=os.environ["DEAD_LETTERS"], MessageBody=json.dumps(body))


@cache
def _connect() -> Any:
    from records.clients import make_client  # noqa: PLC0415 - few environments ever set a record aside

    return make_client("sqs", attempts=3)


def redact_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record from which the same change is read, with keyed hashes in place of the fields' values."""
    change = record["dynamodb"]
    images = {name: _redact_image(change[name]) for name in ("OldImage", "NewImage") if name in change}
    return {**record, "dynamodb": {**change, **images}}


def _redact_image(image: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if name in RESERVED else {"S": pseudonymize(json.dumps(value, sort_keys=True))}
        for name, value in image.items()
    }
