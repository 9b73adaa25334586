"""Records of discarded batches for a mapping's on-failure destination.

Source: "Retain discarded records for a DynamoDB event source in Lambda" (AWS Lambda Developer Guide).
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local_engine.event_sources.batch_runs import BatchResult
from local_engine.event_sources.mapping_settings import StreamSettings
from local_engine.services.destinations import send_record

SHARD_ID = "shardId-00000001541626099285-f35f62ef"
"""The only shard of a stream in moto."""


@dataclass(frozen=True)
class Discard:
    """A batch that is given up."""

    settings: StreamSettings
    batch: Sequence[dict[str, Any]]
    condition: str
    runs: int
    result: BatchResult
    """Of the last run."""


def describe_discard(discard: Discard) -> dict[str, Any]:
    """Return what the destination gets."""
    changes = [record["dynamodb"] for record in discard.batch]
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": discard.result.request_id,
            "functionArn": discard.settings.function.arn.removesuffix(":$LATEST"),
            "condition": discard.condition,
            "approximateInvokeCount": discard.runs,
        },
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "DDBStreamBatchInfo": {
            "shardId": SHARD_ID,
            "startSequenceNumber": changes[0]["SequenceNumber"],
            "endSequenceNumber": changes[-1]["SequenceNumber"],
            "approximateArrivalOfFirstRecord": _timestamp(changes[0]),
            "approximateArrivalOfLastRecord": _timestamp(changes[-1]),
            "batchSize": len(changes),
            "streamArn": discard.settings.source_arn,
        },
    }
    if discard.runs:
        record["responseContext"] = {
            "statusCode": 200,
            "executedVersion": discard.settings.function.qualifier or "$LATEST",
            **({"functionError": "Unhandled"} if discard.result.is_error else {}),
        }
    return record


async def send_discard(discard: Discard, destination: str, endpoint: str) -> None:
    """Send the record of a discarded batch.

    Args:
        discard: the batch.
        destination: ARN of a queue or a topic.
        endpoint: URL of the services.

    Raises:
        ServicesError: the destination does not exist, or is of another kind.
    """
    await asyncio.to_thread(send_record, destination, json.dumps(describe_discard(discard)), {}, endpoint)


def _timestamp(change: dict[str, Any]) -> str:
    return datetime.fromtimestamp(change["ApproximateCreationDateTime"], UTC).isoformat().replace("+00:00", "Z")
