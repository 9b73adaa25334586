"""Faster rollback of rejected transactions in moto.

Moto copies whole tables with all their stream records before each transaction, twice if it writes two items of one
table. With some thousand items, that takes seconds of processor time. But a transaction can change only the items that
it names, so only those are kept here.
"""

import copy
from collections.abc import Callable
from typing import Any

import moto
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

# Versions whose own transactions the tests compare. Any other version keeps its way.
COMPARED_VERSIONS = ("5.2.5",)

_transact_write_items = DynamoDBBackend.transact_write_items


def install_fast_transactions() -> None:
    """Make this process's moto use the faster way, if the tests compare it with that version.

    Only for a process that serves one request at a time.
    """
    if moto.__version__ in COMPARED_VERSIONS:
        DynamoDBBackend.transact_write_items = transact_write_items  # type: ignore[assignment,method-assign]


def transact_write_items(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """Replace the backend's own method. Raises the same errors."""
    undo = [remember_item(backend, operation) for entry in transact_items for operation in entry.values()]
    # Moto's copies become the tables themselves, so restoring them changes nothing.
    Table.__deepcopy__ = lambda table, _memo: table  # type: ignore[attr-defined]
    try:
        _transact_write_items(backend, transact_items)
    except Exception:
        for undo_one in undo:
            undo_one()
        raise
    finally:
        del Table.__deepcopy__  # type: ignore[attr-defined]


def remember_item(backend: DynamoDBBackend, operation: dict[str, Any]) -> Callable[[], None]:
    """Return a function that restores the operation's item and the table's stream to their present state."""
    table = backend.tables.get(operation.get("TableName", ""))
    key = operation.get("Key") or operation.get("Item") or {}
    names = [name for name in (table.hash_key_attr, table.range_key_attr) if name] if table else []
    if table is None or not all(name in key for name in names):
        return lambda: None  # Moto will reject it.
    place: dict[Any, Any] = table.items
    *first, last = (DynamoType(key[name]) for name in names)
    for part in first:
        place = place[part]
    item = copy.deepcopy(place.get(last))
    records = len(table.stream_shard.items) if table.stream_shard else 0

    def undo() -> None:
        if item is None:
            place.pop(last, None)
        else:
            place[last] = item
        if table.stream_shard:
            del table.stream_shard.items[records:]

    return undo
