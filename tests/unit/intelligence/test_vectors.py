"""Vectors follow their items, whatever happens between the embedding and the write."""

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.support.dynamodb import DynamoDB, Refusal
from tests.support.gateway import ENVIRONMENT, import_functions
from tests.support.resources import make_body

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MODELS = "VectorsA=amazon.titan-embed-text-v2:0"


@pytest.fixture
def house(dynamodb: DynamoDB) -> Iterator[Any]:
    """The module of vectors in a fresh environment, with what its tests use."""
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url}), pytest.MonkeyPatch.context() as patch:
        import serverless_api
        from resources import resources as collection

        vectors: Any = import_module("intelligence.vectors")
        patch.setenv("VECTOR_MODELS", MODELS)
        patch.setattr(vectors, "alice", serverless_api.Caller("alice", frozenset()), raising=False)
        patch.setattr(vectors, "collection", collection, raising=False)
        patch.setattr(vectors, "parse_json", serverless_api.parse_json, raising=False)
        yield vectors


@pytest.fixture
def read(table: Any) -> Callable[[], dict[str, Any]]:
    """Reads alice's vectors."""

    def read() -> dict[str, Any]:
        items = table.scan(TableName=ENVIRONMENT["TABLE_NAME"], ConsistentRead=True)["Items"]
        return {item["sk"]["S"]: item for item in items if item["sk"]["S"].startswith("vector#")}

    return read


def refresh(house: Any, item_id: str, **models: str) -> int:
    slots = [house.Slot(name, model) for name, model in models.items()] or house.read_slots()
    return house.refresh_vectors(house.collection, "alice", item_id, slots)


def create(house: Any, fields: dict[str, Any] | None = None) -> str:
    item_id: str = house.collection.create(house.alice, fields or read_body(house, 1)).id
    return item_id


def read_body(house: Any, number: int) -> Any:
    """A body as a request's, whose numbers keep every digit."""
    return house.parse_json(json.dumps(make_body(number)))


def test_a_vector_is_beside_its_item(house: Any, read: Any) -> None:
    item_id = create(house)
    assert refresh(house, item_id) == 1
    ((key, vector),) = read().items()
    assert key == f"vector#resource#{item_id}"
    assert vector["noun"] == {"S": "resource"}
    filters = house.collection.filters
    assert {name: vector[name] for name in filters} == {name: {"S": make_body(1)[name]} for name in filters}
    assert vector["VectorsA"]["L"] == [{"N": "1"}] + [{"N": "0"}] * 255
    assert vector["models"] == {"M": {"VectorsA": {"S": "amazon.titan-embed-text-v2:0"}}}
    # By these, the stream's filters know what is a change.
    assert not {"version", "createdAt", "deletedAt"} & vector.keys()
    assert refresh(house, item_id) == 0


@pytest.mark.example_fields
def test_the_embedded_text_is_all_that_the_fields_hold(house: Any) -> None:
    from intelligence.embeddings import describe

    fields = {"name": "a name", "type": "A", "metadata": {"size": 12, "tags": ["new", "red"], "none": None}}
    entity = house.collection.get(house.alice, create(house, fields))
    assert describe(entity).split("\n") == ["a name", "A", "size: 12", "tags: new", "tags: red"]


def test_a_second_model_embeds_only_what_it_has_not(house: Any, read: Any) -> None:
    item_id = create(house)
    refresh(house, item_id)
    both = {"VectorsA": "amazon.titan-embed-text-v2:0", "VectorsB": "another"}
    assert refresh(house, item_id, **both) == 1
    ((_, vector),) = read().items()
    assert {"VectorsA", "VectorsB"} <= vector.keys()
    assert refresh(house, item_id, **both) == 0
    # The first one is still there, and goes with the next change.
    assert refresh(house, item_id, VectorsB="another") == 0
    house.collection.update(house.alice, item_id, read_body(house, 2))
    assert refresh(house, item_id, VectorsB="another") == 1
    ((_, vector),) = read().items()
    assert "VectorsA" not in vector


@pytest.mark.parametrize("change", ["delete", "erase", "update"])
def test_what_changes_while_it_is_embedded_gets_no_vector_of_the_past(
    house: Any, read: Any, dynamodb: DynamoDB, table: Any, change: str
) -> None:
    item_id = create(house)
    key = {"pk": {"S": "user#alice"}, "sk": {"S": f"resource#{item_id}"}}

    def act() -> None:
        name = ENVIRONMENT["TABLE_NAME"]
        if change == "erase":
            table.delete_item(TableName=name, Key=key)
        else:
            mark = "SET version = :v" + (", deletedAt = :v" if change == "delete" else "")
            table.update_item(
                TableName=name, Key=key, UpdateExpression=mark, ExpressionAttributeValues={":v": {"S": "new"}}
            )

    dynamodb.before("TransactWriteItems", act)
    refresh(house, item_id)
    assert read() == {}


def test_what_is_gone_leaves_no_vector(house: Any, read: Any) -> None:
    item_id = create(house)
    refresh(house, item_id)
    house.collection.delete(house.alice, item_id)
    assert refresh(house, item_id) == 0
    assert read() == {}
    # An event may arrive twice.
    assert refresh(house, item_id) == 0


def test_a_table_that_is_busy_has_the_message_come_again(house: Any, dynamodb: DynamoDB) -> None:
    from serverless_api import TableUnavailable

    item_id = create(house)
    dynamodb.fail("BatchGetItem", *[Refusal("ProvisionedThroughputExceededException")] * 4)
    with pytest.raises(TableUnavailable):
        refresh(house, item_id)


def test_without_models_the_function_does_not_start(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from serverless_api import SettingError

    monkeypatch.setenv("VECTOR_MODELS", "VectorsA=")
    with pytest.raises(SettingError, match="VECTOR_MODELS"):
        house.read_slots()
