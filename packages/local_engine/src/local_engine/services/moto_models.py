"""Has moto forget what nobody refers to any more, so that it does not grow for as long as it runs.

Moto keeps every instance of its models, of DynamoDB each item ever written and each copy made for an answer, to show
them on a dashboard of its own server: some kilobytes a request. And it keeps each record of a table's stream, which
DynamoDB does for 24 hours: some kilobytes a write.
"""

from typing import Any

from moto.core.common_models import BaseModel
from moto.dynamodb.models import dynamodb_backends

from local_engine.template.intrinsics import ACCOUNT_ID, REGION

RECORDS_KEPT = 500
"""Of each stream, at least. Who reads one here is never that far behind."""


def install_untracked_models() -> None:
    """Replace what notes each new instance."""
    BaseModel.__new__ = staticmethod(_create_untracked)  # type: ignore[method-assign]


def _create_untracked(cls: type[Any], *_: Any, **__: Any) -> Any:
    return object.__new__(cls)


def forget_stream_records() -> None:
    """Drop the oldest records of streams that have twice as many as are kept; to be called between two requests."""
    for table in dynamodb_backends[ACCOUNT_ID][REGION].tables.values():
        shard = table.stream_shard
        if shard and len(shard.items) >= 2 * RECORDS_KEPT:
            surplus = len(shard.items) - RECORDS_KEPT
            del shard.items[:surplus]
            # A record's number follows from its place after the first one.
            shard.starting_sequence_number += surplus
