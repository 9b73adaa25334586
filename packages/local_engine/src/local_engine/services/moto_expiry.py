"""Expiry of DynamoDB items by their TTL attribute, which moto keeps and does not act on.

DynamoDB deletes expired items within a few days, and shows them until then. Here it happens within a minute, and at
once when the clock is turned.

Sources: "Using time to live (TTL) in DynamoDB", "DynamoDB Streams and Time to Live" (DynamoDB Developer Guide).
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from moto.dynamodb.models import dynamodb_backends

from local_engine.account import ACCOUNT_ID, REGION

_SECONDS_BETWEEN_LOOKS = 60.0
_OLDEST = timedelta(days=5 * 365)
"""An older time is taken for a mistake."""
_SERVICE = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


class ItemExpiry:
    """Deletes items. Only for a process that serves one DynamoDB request at a time."""

    def __init__(self) -> None:
        self._last_look = time.monotonic()

    def is_due(self) -> bool:
        """Return whether a minute has passed since the last look."""
        return time.monotonic() - self._last_look >= _SECONDS_BETWEEN_LOOKS

    def expire_items(self, now: datetime) -> None:
        """Delete the items whose time has passed."""
        self._last_look = time.monotonic()
        newest, oldest = now.timestamp(), (now - _OLDEST).timestamp()
        for table in dynamodb_backends[ACCOUNT_ID][REGION].tables.values():
            if table.ttl.get("TimeToLiveStatus") == "ENABLED":
                expired = [item for item, end in _list_ends(table) if oldest <= end < newest]
                for item in expired:
                    table.delete_item(item.hash_key, item.range_key)
                    if table.stream_shard is not None:
                        table.stream_shard.items[-1].record["userIdentity"] = _SERVICE


def _list_ends(table: Any) -> Iterator[tuple[Any, float]]:
    name = table.ttl["AttributeName"]
    # Moto's own list of all items is sorted, which takes seconds in a large table.
    for entry in table.items.values():
        for item in entry.values() if table.range_key_attr else (entry,):
            value = item.attrs.get(name)
            # Only numbers count.
            if value is not None and value.type == "N":
                yield item, float(value.value)
