"""Vector indexes in moto, which does not know them."""

from typing import Any

from moto.core.responses import ActionResult
from moto.dynamodb.exceptions import ERROR_TYPE_PREFIX, DynamodbException, ResourceNotFoundException
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler, DynamoResult

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.services.dynamodb_transactions import remember_item
from local_engine.services.vector_definitions import VectorDefinition, check_definitions
from local_engine.services.vector_index import TableVectors
from local_engine.services.vector_search import check_request, search_vectors

_create_table = DynamoHandler.create_table
_update_table = DynamoHandler.update_table
_batch_write_item = DynamoHandler.batch_write_item
_describe = Table.describe
_put_item = Table.put_item
_delete_item = Table.delete_item
_update_item = DynamoDBBackend.update_item


def install_vector_indexes() -> None:
    """Teach this process's moto vector indexes. Only for a process that serves one request at a time."""
    for owner, functions in (
        (DynamoHandler, (create_table, update_table, batch_write_item)),
        (Table, (describe, put_item, delete_item)),
        (DynamoDBBackend, (update_item,)),
    ):
        for function in functions:
            setattr(owner, function.__name__, function)
    DynamoHandler.search_vectors = _answer_search  # type: ignore[attr-defined]


def refresh_vector_indexes() -> None:
    """Read what the last request has written. Call it between two requests."""
    for table in dynamodb_backends[ACCOUNT_ID][REGION].tables.values():
        if vectors := _find_vectors(table):
            vectors.refresh()


def create_table(handler: DynamoHandler) -> ActionResult:
    """Create a table with its vector indexes."""
    raw = handler.body.get("VectorIndexes")
    if not raw:
        return _create_table(handler)
    definitions = [VectorDefinition.read(entry, f"vectorIndexes.{place}.member") for place, entry in enumerate(raw, 1)]
    attributes = handler.body["AttributeDefinitions"]
    others = [*(handler.body.get("GlobalSecondaryIndexes") or ()), *(handler.body.get("LocalSecondaryIndexes") or ())]
    check_definitions(
        definitions,
        [],
        billing_mode=handler.body.get("BillingMode"),
        attributes=attributes,
        other_names=[index["IndexName"] for index in others],
    )
    # Moto rejects definitions of attributes that are in no key.
    schemas = [handler.body["KeySchema"], *(index["KeySchema"] for index in others)]
    in_keys = {element["AttributeName"] for schema in schemas for element in schema}
    searched = {name for definition in definitions for name in definition.search_attributes} - in_keys
    kept = [attribute for attribute in attributes if attribute["AttributeName"] not in searched]
    handler.body = {**handler.body, "AttributeDefinitions": kept}
    _create_table(handler)
    table = handler.dynamodb_backend.get_table(handler.body["TableName"])
    table.attr = attributes
    _set_vectors(table, TableVectors(table, definitions))
    return DynamoResult(table.describe())


def update_table(handler: DynamoHandler) -> ActionResult:
    """Update a table, and add or delete a vector index."""
    table = handler.dynamodb_backend.get_table(handler.body["TableName"])
    vectors = _find_vectors(table)
    updates = handler.body.get("VectorIndexUpdates") or []
    billing_mode = handler.body.get("BillingMode") or table.billing_mode
    if len(updates) > 1:
        raise DynamodbException(
            f"{ERROR_TYPE_PREFIX}LimitExceededException",
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
        )
    if vectors and vectors.indexes:
        check_definitions([], vectors.definitions, billing_mode=billing_mode, attributes=[], other_names=[])
    definition = deleted = None
    if updates and "Create" in updates[0]:
        definition = VectorDefinition.read(updates[0]["Create"], "vectorIndexUpdates.1.member.create")
        check_definitions(
            [definition],
            vectors.definitions if vectors else [],
            billing_mode=billing_mode,
            attributes=handler.body.get("AttributeDefinitions") or [],
            other_names=[index.name for index in table.all_indexes()],
        )
    elif updates:
        deleted = updates[0].get("Delete", {}).get("IndexName")
        if vectors is None or deleted not in vectors.indexes:
            raise ResourceNotFoundException(f"Requested resource not found: Index: {deleted}")
    known = {attribute["AttributeName"]: attribute for attribute in table.attr}
    _update_table(handler)
    if updates or vectors:
        given = {attribute["AttributeName"]: attribute for attribute in table.attr}
        table.attr = list({**known, **given}.values())
    if definition:
        vectors = vectors or TableVectors(table)
        vectors.add(definition)
        _set_vectors(table, vectors)
    elif vectors and deleted:
        del vectors.indexes[deleted]
    return DynamoResult(table.describe())


def batch_write_item(handler: DynamoHandler) -> ActionResult:
    """Write a batch. An invalid item rejects all of it."""
    for name, requests in handler.body["RequestItems"].items():
        vectors = _find_vectors(handler.dynamodb_backend.get_table(name))
        for request in requests if vectors else ():
            if vectors and "PutRequest" in request:
                vectors.check(request["PutRequest"]["Item"])
    return _batch_write_item(handler)


def describe(table: Table, base_key: str = "TableDescription") -> dict[str, Any]:
    """Describe a table with its vector indexes."""
    described = _describe(table, base_key)
    vectors = _find_vectors(table)
    if vectors and vectors.indexes:
        described[base_key]["VectorIndexes"] = [
            {
                **index.definition.describe(),
                "IndexStatus": "ACTIVE",
                "IndexSizeBytes": 4 * index.definition.dimensions * len(index),
                "ItemCount": len(index),
                "IndexArn": f"{table.table_arn}/index/{index.definition.name}",
            }
            for index in vectors.indexes.values()
        ]
    return described


def put_item(table: Table, item_attrs: dict[str, Any], *arguments: Any, **options: Any) -> Item:
    """Put an item that the vector indexes can have."""
    vectors = _find_vectors(table)
    if vectors:
        vectors.check(item_attrs)
    item = _put_item(table, item_attrs, *arguments, **options)
    if vectors:
        vectors.mark(item.hash_key, item.range_key)
    return item


def delete_item(table: Table, hash_key: DynamoType, range_key: DynamoType | None) -> Item | None:
    """Delete an item."""
    if vectors := _find_vectors(table):
        vectors.mark(hash_key, range_key)
    return _delete_item(table, hash_key, range_key)


def update_item(
    backend: DynamoDBBackend, table_name: str, key: dict[str, Any], *arguments: Any, **options: Any
) -> Item:
    """Update an item to a state that the vector indexes can have."""
    table = backend.get_table(table_name)
    vectors = _find_vectors(table)
    if vectors is None:
        return _update_item(backend, table_name, key, *arguments, **options)
    undo = remember_item(backend, {"TableName": table.name, "Key": key})
    item = _update_item(backend, table_name, key, *arguments, **options)
    vectors.mark(item.hash_key, item.range_key)
    try:
        vectors.check(item.attrs)
    except DynamodbException:
        undo()
        raise
    return item


def _answer_search(handler: DynamoHandler) -> ActionResult:
    request = handler.body
    check_request(request)
    table = handler.dynamodb_backend.get_table(request["TableName"])
    return DynamoResult(search_vectors(request, table, _find_vectors(table)))


def _find_vectors(table: Table) -> TableVectors | None:
    return getattr(table, "vectors", None)


def _set_vectors(table: Table, vectors: TableVectors) -> None:
    table.vectors = vectors  # type: ignore[attr-defined]
