"""Vectors of items: each is an item of the table beside the one that it is of, in the owner's partition.

A list of items reads none of them, and whatever goes over the partition, such as an erasure, covers them.
docs/decisions/search.md has the reasons.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from intelligence.embeddings import describe, embed
from serverless_api import Caller, Collection, Entity, SettingError
from serverless_api.storage import table
from serverless_api.storage.table import ConditionFailed, Vector

PREFIX = "vector#"

_OF_VERSION = "#version = :version AND attribute_not_exists(#deletedAt)"


class Slot(NamedTuple):
    """A vector index, the attribute with its vectors, which has the same name, and the model that makes them."""

    name: str
    model: str


def read_slots() -> list[Slot]:
    """Return the slots of `VECTOR_MODELS` that have a model: one, or two while a new model takes over.

    Raises:
        SettingError: there is none.

    >>> read_slots()
    [Slot(name='VectorsA', model='amazon.titan-embed-text-v2:0')]
    """
    pairs = [pair.partition("=") for pair in os.environ.get("VECTOR_MODELS", "").split(",")]
    slots = [Slot(name, model) for name, _, model in pairs if model]
    if not slots:
        raise SettingError("The environment variable VECTOR_MODELS names no model.")
    return slots


def find_id(sort_key: str, collection: Collection) -> str:
    """Return the ID of the item that a vector is of."""
    return sort_key.removeprefix(PREFIX + collection.prefix)


def refresh_vectors(collection: Collection, owner: str, item_id: str, slots: Sequence[Slot]) -> int:
    """Bring the vectors of an item up to its current version, and return how many were computed.

    An item that is gone leaves none. An item that changes meanwhile keeps those it had: the event of that change has
    them refreshed again.

    Args:
        collection: the item's collection.
        owner: the `sub` of the item's owner.
        item_id: the item's ID.
        slots: what to embed it for.

    Raises:
        ModelThrottled, ModelUnavailable, ModelError: see `invoke_model`.
        TableUnavailable: the table is throttled or down.
    """
    caller = Caller(owner, frozenset())
    key = {"pk": caller.partition, "sk": collection.prefix + item_id}
    vector_key = {**key, "sk": PREFIX + key["sk"]}
    items = {item["sk"]: item for item in table.get_items([key, vector_key])}
    item, present = items.get(key["sk"]), items.get(vector_key["sk"])
    if item is None or "deletedAt" in item:
        if present:
            with suppress(ConditionFailed):
                table.delete_item(vector_key, "attribute_exists(#pk)")
        return 0
    found = _find_current(present, item["version"], slots)
    missing = [slot for slot in slots if slot.name not in found]
    if not missing:
        return 0
    made = _make_vectors(collection, item, missing)
    models = {slot.name: slot.model for slot in slots}
    with suppress(ConditionFailed):
        table.put_item_beside(
            {**vector_key, **found, **made, "models": models}, key, _OF_VERSION, {":version": item["version"]}
        )
    return len(missing)


def _find_current(present: Mapping[str, Any] | None, version: str, slots: Sequence[Slot]) -> dict[str, Vector]:
    """Return the vectors of a version that are there already, by the name of their slot."""
    if present is None or present["embedded"] != version:
        return {}
    return {slot.name: Vector(present[slot.name]) for slot in slots if present["models"].get(slot.name) == slot.model}


def _make_vectors(collection: Collection, item: Mapping[str, Any], slots: Sequence[Slot]) -> dict[str, Any]:
    """Return the attributes of an item's vectors, with new ones for some slots."""
    text = describe(Entity(collection, dict(item))) or collection.noun
    return {
        # Not `version` or `createdAt`, by which the stream's consumers know what is a change.
        "embedded": item["version"],
        "noun": collection.noun,
        **{name: item[name] for name in collection.filters if name in item},
        **{slot.name: Vector(embed(text, slot.model)) for slot in slots},
        # So that an erasure up to a moment takes the vectors of what it takes, and no others.
        **({"writer": item["writer"]} if "writer" in item else {}),
    }
