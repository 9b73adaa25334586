"""Bounded memory, a fast start and DynamoDB's size of items for moto.

For its server's dashboard, moto keeps every instance of its models: each DynamoDB item ever written and each
copy made for a response, some kilobytes per request. It also keeps every record of a table's stream, some kilobytes per
write. DynamoDB keeps them for 24 hours.
"""

from functools import cache
from typing import Any

from moto.core import utils
from moto.core.common_models import BaseModel
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.utilities import bytesize

from local_engine.account import ACCOUNT_ID, REGION

MAX_ITEM_BYTES = 409_600
RECORDS_KEPT = 500
"""Fewest records of each stream. No reader here is further behind."""


def install_untracked_models() -> None:
    """Replace the method that records each new instance."""
    BaseModel.__new__ = staticmethod(_create_untracked)  # type: ignore[method-assign]


def _create_untracked(cls: type[Any], *_: Any, **__: Any) -> Any:
    return object.__new__(cls)


def install_shared_loader() -> None:
    """Read the folders of botocore's service models once. Moto does it for each service, which takes 25 ms."""
    utils.create_loader = cache(utils.create_loader)  # type: ignore[attr-defined]


def forget_stream_records() -> None:
    """Drop the oldest records of streams with twice as many as are kept. Call it between two requests."""
    for table in dynamodb_backends[ACCOUNT_ID][REGION].tables.values():
        shard = table.stream_shard
        if shard and len(shard.items) >= 2 * RECORDS_KEPT:
            surplus = len(shard.items) - RECORDS_KEPT
            del shard.items[:surplus]
            # A record's number is its position after the first one.
            shard.starting_sequence_number += surplus


def install_item_size() -> None:
    """Let an item have 400 KB ("Quotas in Amazon DynamoDB"), a replaced attribute not count twice, and measure once.

    Moto measures all of an item for each of its attributes, which is a third of the time of a large transaction.
    """
    LimitedSizeDict.__setitem__ = _set_attribute  # type: ignore[method-assign]
    Item.__init__ = _create_item  # type: ignore[assignment,method-assign]


def _create_item(item: Any, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, Any]) -> None:
    item.hash_key, item.range_key, item.attrs = hash_key, range_key, LimitedSizeDict()
    for name, value in attrs.items():
        dict.__setitem__(item.attrs, name, DynamoType(value))
    if sum(_measure(entry) for attribute in item.attrs.items() for entry in attribute) > MAX_ITEM_BYTES:
        raise ItemSizeTooLarge


def _set_attribute(attributes: Any, name: str, value: Any) -> None:
    others = sum(_measure(entry) for other, kept in attributes.items() if other != name for entry in (other, kept))
    if others + _measure(name) + _measure(value) > MAX_ITEM_BYTES:
        raise ItemSizeTooLarge
    dict.__setitem__(attributes, name, value)


def _measure(entry: Any) -> int:
    return int(entry.size() if type(entry) is DynamoType else bytesize(str(entry)))
