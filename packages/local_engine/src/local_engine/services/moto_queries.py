"""DynamoDB queries and conditions in moto, which sorts all items of the table for each query.

It also parses the condition of each item of a transaction or a batch, most of which are the same.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

from moto.dynamodb.comparisons import ConditionExpressionParser, get_comparison_func
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

_query, _parse = Table.query, ConditionExpressionParser.parse
_parsed: dict[tuple[str | None, str], tuple[Any, Sequence[str], Sequence[str]]] = {}
_MOST_PARSED = 256
# Further options are filters of the old kind, before which a page has no end.
_CONDITIONS = {"hash_key_conditions", "range_key_conditions"}


def install_fast_queries() -> None:
    """Replace the methods of tables and conditions. Only for a process that serves one request at a time."""
    Table.query = query  # type: ignore[assignment,method-assign]
    ConditionExpressionParser.parse = parse_condition  # type: ignore[assignment,method-assign]


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


def parse_condition(parser: ConditionExpressionParser) -> Any:
    """Replace the parser's own method, which is asked again and again for the same condition."""
    attributes = (parser.expression_attribute_names, parser.expression_attribute_values)
    key = (parser.condition_expression, repr(attributes))
    if key not in _parsed:
        if len(_parsed) == _MOST_PARSED:
            _parsed.clear()
        _parsed[key] = _parse(parser), tuple(parser.expr_attr_names_found), tuple(parser.expr_attr_values_found)
    condition, names, values = _parsed[key]
    parser.expr_attr_names_found[:], parser.expr_attr_values_found[:] = names, values
    return condition


def _text(item: Item) -> str:
    text: str = item.range_key.value  # type: ignore[union-attr]
    return text
