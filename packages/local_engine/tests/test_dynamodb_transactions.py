"""Transactions leave the same state as moto's own."""

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.models import DynamoDBBackend

from local_engine.services.dynamodb_transactions import transact_write_items

KEY_SCHEMAS = [["pk"], ["pk", "sk"]]


def _make_backend(names: list[str]) -> DynamoDBBackend:
    backend = DynamoDBBackend("us-east-1", "123456789012")
    backend.create_table(
        "items",
        schema=[{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)],
        throughput=None,
        attr=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        global_indexes=None,
        indexes=None,
        streams={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        billing_mode="PAY_PER_REQUEST",
        sse_specification=None,
        tags=[],
        deletion_protection_enabled=False,
        warm_throughput=None,
    )
    return backend


def _make_transaction(numbers: random.Random, names: list[str]) -> list[dict[str, Any]]:
    return [_make_operation(numbers, names) for _ in range(numbers.randint(1, 4))]


def _make_operation(numbers: random.Random, names: list[str]) -> dict[str, Any]:
    key = {name: {"S": numbers.choice("abcd")} for name in names}
    condition = numbers.choice([{}, {}, {"ConditionExpression": "attribute_not_exists(pk)"}])
    table = {"TableName": numbers.choice(["items"] * 20 + ["absent"]), **condition}
    update = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    return numbers.choice(
        [
            {"Put": {**table, "Item": {**key, "text": {"S": str(numbers.random())}}}},
            {"Update": {**table, "Key": key, **update}},
            {"Delete": {**table, "Key": key}},
            {"ConditionCheck": {**table, "Key": key, "ConditionExpression": "attribute_exists(pk)"}},
            {"Put": {**table, "Item": {"text": {"S": "without a key"}}}}
            if numbers.random() < 0.1
            else {"Delete": table},
        ][: 5 if numbers.random() < 0.1 else 4]
    )


def _describe(backend: DynamoDBBackend) -> tuple[Any, Any]:
    table = backend.tables["items"]
    assert table.stream_shard
    items = sorted(str(item.to_json()) for item in table.all_items())
    return items, [record.record["eventName"] for record in table.stream_shard.items]


@pytest.mark.parametrize("names", KEY_SCHEMAS)
def test_transactions_leave_the_same_state_as_motos_own(names: list[str]) -> None:
    theirs, ours = _make_backend(names), _make_backend(names)
    numbers = random.Random(1)
    refused = 0
    for _ in range(80):
        transaction = _make_transaction(numbers, names)
        expected = _outcome(theirs.transact_write_items, transaction)
        assert _outcome(lambda items: transact_write_items(ours, items), transaction) == expected
        assert _describe(ours) == _describe(theirs)
        refused += expected is not None
    assert 15 < refused < 65


def _outcome(transact: Callable[[list[dict[str, Any]]], None], transaction: list[dict[str, Any]]) -> str | None:
    with contextlib.suppress(KeyError):
        try:
            transact(transaction)
        except JsonRESTError as error:
            return f"{type(error).__name__}: {error}"
        return None
    return "KeyError"
