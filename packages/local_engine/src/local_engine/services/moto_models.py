"""Bounded memory for moto.

For its server's dashboard, moto keeps every instance of its models: each DynamoDB item ever written and each
copy made for a response, some kilobytes per request. It also keeps every record of a table's stream, some kilobytes per
write. DynamoDB keeps them for 24 hours.
"""

from typing import Any

from moto.core.common_models import BaseModel
from moto.dynamodb.models import dynamodb_backends

from local_engine.template.intrinsics import ACCOUNT_ID, REGION

RECORDS_KEPT = 500
"""Fewest records of each stream. No reader here is further behind."""


def install_untracked_models() -> None:
    """Replace the method that records each new instance."""
    BaseModel.__new__ = staticmethod(_create_untracked)  # type: ignore[method-assign]


def _create_untracked(cls: type[Any], *_: Any, **__: Any) -> Any:
    return object.__new__(cls)


def forget_stream_records() -> None:
    """Drop the oldest records of streams with twice as many as are kept. Call it between two requests."""
    for table in dynamodb_backends[ACCOUNT_ID][REGION].tables.values():
        shard = table.stream_shard
        if shard and len(shard.items) >= 2 * RECORDS_KEPT:
            surplus = len(shard.items) - RECORDS_KEPT
            del shard.items[:surplus]
            # A record's number is its position after the first one.
            shard.starting_sequence_number += surplus
