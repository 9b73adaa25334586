"""Queries of the table read what they return, and more at a time only to get past marks of deleted items."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.dynamodb import DynamoDB
from tests.support.gateway import import_functions

LARGE = "x" * 390_000
"""An answer has room for two of them."""


@pytest.fixture
def query_table(dynamodb: DynamoDB) -> Iterator[Any]:
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url}):
        from serverless_api.storage import table

        # A busy machine must fail no test.
        table.ATTEMPT_SECONDS = 60.0
        yield table


@pytest.fixture
def limits(query_table: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The `Limit` of each query."""
    limits: list[int] = []
    call = query_table._call

    def spy(operation: str, *rest: Any, **arguments: Any) -> Any:
        if operation == "Query":
            limits.append(arguments["Limit"])
        return call(operation, *rest, **arguments)

    monkeypatch.setattr(query_table, "_call", spy)
    return limits


def write(table: Any, *items: dict[str, str]) -> None:
    for number, item in enumerate(items):
        table.put_item({"pk": "user#ann", "sk": f"resource#{number}", **item}, "attribute_not_exists(#pk)")


def query(table: Any, limit: int) -> list[str]:
    return [item["sk"][-1] for item in table.query_items("user#ann", "resource#", None, limit, ascending=True)]


def test_large_items_are_read_once(query_table: Any, limits: list[int]) -> None:
    write(query_table, *[{"text": LARGE}] * 6)
    assert query(query_table, 5) == ["0", "1", "2", "3", "4"]
    assert len(limits) > 1
    assert limits == sorted(limits, reverse=True)
    assert max(limits) == 5


def test_marks_are_passed_many_at_a_time(query_table: Any, limits: list[int]) -> None:
    write(query_table, *[{"deletedAt": "2026-11-27T00:00:00.000Z"}] * 5, {"text": "kept"}, {"text": "another"})
    assert query(query_table, 1) == ["5"]
    assert limits == [1, query_table.MAX_QUERIED]
