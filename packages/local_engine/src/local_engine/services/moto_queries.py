"""DynamoDB queries in moto, which sorts all items of the table for each."""

import heapq
from typing import TYPE_CHECKING, Any

from moto.dynamodb.comparisons import get_comparison_func
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

_query = Table.query
# Further options are filters of the old kind, before which a page has no end.
_CONDITIONS = {"hash_key_conditions", "range_key_conditions"}


def install_fast_queries() -> None:
    """Replace the method of tables. Only for a process that serves one request at a time."""
    Table.query = query  # type: ignore[assignment,method-assign]


def query(  # noqa: PLR0917 - moto's own parameters
    table: Table,
    hash_key: DynamoType | None,
    range_comparison: str | None,
    range_objs: list[DynamoType],
    limit: int | None,
    exclusive_start_key: dict[str, Any] | None,
    scan_index_forward: bool,
    projection_expressions: list[list[str]] | None,
    index_name: str | None = None,
    *arguments: Any,
    **options: Any,
) -> Any:
    """Query a table or an index. If the table's sort key is text, moto sees only items that can be in the answer."""
    given: Any = (hash_key, range_comparison, range_objs, limit, exclusive_start_key, scan_index_forward)
    given = (*given, projection_expressions, index_name, *arguments)
    if index_name or table.range_key_type != "S" or options.keys() - _CONDITIONS:
        return _query(table, *given, **options)
    partition: Any = table.items.get(hash_key, {})
    items: Iterable[Item] = partition.values()
    if range_comparison:
        compare, values = get_comparison_func(range_comparison), [value.cast_value for value in range_objs]
        items = (item for item in items if compare(_text(item), *values))
    if exclusive_start_key:
        start = exclusive_start_key[str(table.range_key_attr)]["S"]
        items = (item for item in items if (_text(item) > start if scan_index_forward else _text(item) < start))
    if limit is not None:
        # One more, so that moto knows that the page is not the last.
        nearest = heapq.nsmallest if scan_index_forward else heapq.nlargest
        items = nearest(limit + 1, items, key=_text)
    found = list(items)
    table.all_items = lambda: found  # type: ignore[method-assign]
    try:
        return _query(table, *given, **options)
    finally:
        del table.all_items


def _text(item: Item) -> str:
    text: str = item.range_key.value  # type: ignore[union-attr]
    return text
