"""Vector indexes over the items of a table, with exact search.

The vectors stay decoded, by table and HASH value. A write only marks its item, and the marked items are read at the end
of the request. So an update in place, a deletion and a rolled back transaction all leave the index right.
"""

import heapq
import math
import struct
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from moto.dynamodb.exceptions import ERROR_TYPE_PREFIX, DynamodbException
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from local_engine.services.vector_definitions import VectorDefinition

type Vector = tuple[float, ...]
type Key = tuple[Hashable, Hashable]


class ValidationError(DynamodbException):
    """A ValidationException. In a transaction, moto takes this class's name as the code of the cancellation reason."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{ERROR_TYPE_PREFIX}ValidationException", message)

    def __str__(self) -> str:
        return str(self.message)


@dataclass(frozen=True)
class Entry:
    """An item in an index."""

    item: Item
    vector: Vector
    """At 32-bit precision, as the index has it."""
    place: Vector
    """The point that the distance function compares."""
    filters: Mapping[str, Hashable]


class VectorIndex:
    """A vector index and its entries."""

    def __init__(self, definition: VectorDefinition) -> None:
        self.definition = definition
        self._partitions: dict[Hashable, dict[Key, Entry]] = {}
        self._partition_of: dict[Key, Hashable] = {}

    def __len__(self) -> int:
        return len(self._partition_of)

    def replace(self, key: Key, item: Item | None) -> None:
        """Enter the present state of an item. None for an item that the table no longer has."""
        if key in self._partition_of:
            partition = self._partition_of.pop(key)
            del self._partitions[partition][key]
        if item is None:
            return
        definition = self.definition
        vector = decode_vector(item.attrs.get(definition.attribute), definition.dimensions)
        hash_value = item.attrs.get(definition.hash_attribute) if definition.hash_attribute else None
        # "Troubleshooting vector indexes": an item without the HASH attribute is not in the index.
        if vector is None or (definition.hash_attribute and hash_value is None):
            return
        partition = comparable(hash_value) if hash_value is not None else None
        filters = {name: comparable(item.attrs[name]) for name in definition.filters if name in item.attrs}
        place = _direction(vector) if definition.distance == "COSINE" else vector
        self._partition_of[key] = partition
        self._partitions.setdefault(partition, {})[key] = Entry(item, vector, place, filters)

    def search(
        self, vector: Vector, top: int, partition: Hashable, filters: Mapping[str, Hashable]
    ) -> tuple[list[tuple[float, Entry]], int]:
        """Find the nearest items.

        Args:
            vector: the search vector.
            top: how many items to return at most.
            partition: the HASH value, or None for an index without a HASH element.
            filters: values that attributes must have.

        Returns:
            scores and entries, the most similar first, and the number of entries compared.
        """
        entries = list(self._partitions.get(partition, {}).values())
        if filters:
            entries = [entry for entry in entries if filters.items() <= entry.filters.items()]
        scores = _SCORES[self.definition.distance](vector, [entry.place for entry in entries])
        best = heapq.nlargest if self.definition.distance == "DOT_PRODUCT" else heapq.nsmallest
        found = best(top, range(len(entries)), key=scores.__getitem__)
        return [(scores[position], entries[position]) for position in found], len(entries)


class TableVectors:
    """The vector indexes of a table."""

    def __init__(self, table: Table, definitions: Sequence[VectorDefinition] = ()) -> None:
        self._table = table
        self.indexes: dict[str, VectorIndex] = {}
        self._changed: set[tuple[DynamoType, DynamoType | None]] = set()
        for definition in definitions:
            self.add(definition)

    @property
    def definitions(self) -> list[VectorDefinition]:
        """The definitions of the indexes."""
        return [index.definition for index in self.indexes.values()]

    def add(self, definition: VectorDefinition) -> None:
        """Add an index over the items of the table."""
        self.indexes[definition.name] = VectorIndex(definition)
        for item in self._table.all_items():
            self.mark(item.hash_key, item.range_key)

    def mark(self, hash_key: DynamoType, range_key: DynamoType | None) -> None:
        """Note that an item may have changed."""
        self._changed.add((hash_key, range_key))

    def refresh(self) -> None:
        """Read the marked items."""
        for hash_key, range_key in self._changed:
            key = comparable(hash_key), comparable(range_key) if range_key else None
            # A lookup in moto's own mapping would create an empty partition.
            item = self._table.get_item(hash_key, range_key) if hash_key in self._table.items else None
            for index in self.indexes.values():
                index.replace(key, item)
        self._changed.clear()

    def check(self, attributes: Mapping[str, Any]) -> None:
        """Check an item before or after a write.

        Args:
            attributes: the item's attributes, as in a request or in moto's table.

        Raises:
            ValidationError: a vector index cannot have the item ("Troubleshooting vector indexes").
        """
        types = {entry["AttributeName"]: entry["AttributeType"] for entry in self._table.attr}
        for definition in self.definitions:
            if definition.attribute in attributes:
                _check_vector(DynamoType(attributes[definition.attribute]), definition)
            for name in definition.search_attributes:
                if name in attributes:
                    _check_search_attribute(name, DynamoType(attributes[name]), types[name], definition)


def comparable(value: DynamoType) -> Hashable:
    """Return a key attribute's value in a form in which equal numbers are equal."""
    return value.type, Decimal(value.value) if value.is_number() else value.value


def decode_vector(value: DynamoType | None, dimensions: int) -> Vector | None:
    """Return a list of numbers at 32-bit precision, or None if it is no vector of these dimensions."""
    if value is None or not value.is_list() or len(value.value) != dimensions:
        return None
    numbers = [element.value for element in value.value if element.type == "N"]
    return read_floats(numbers) if len(numbers) == dimensions else None


def read_floats(numbers: Sequence[str]) -> Vector | None:
    """Return numbers at 32-bit precision, or None if one of them is out of range."""
    layout = f"{len(numbers)}f"
    try:
        vector = struct.unpack(layout, struct.pack(layout, *map(float, numbers)))
    except (OverflowError, ValueError):
        return None
    return vector if all(map(math.isfinite, vector)) else None


def _check_vector(value: DynamoType, definition: VectorDefinition) -> None:
    attribute, name = definition.attribute, definition.name
    if not value.is_list():
        raise ValidationError(
            f"One or more parameter values were invalid. Invalid type for parameter {attribute}, "
            f"Expected: 32-bit floating point number list IndexName: {name}"
        )
    if decode_vector(value, len(value.value)) is None:
        for position, element in enumerate(value.value):
            if not element.is_number() or read_floats([element.value]) is None:
                raise ValidationError(
                    f"One or more parameter values were invalid. Invalid type for parameter {attribute}[{position}], "
                    f"Expected: 32-bit floating point number, Actual: {element.type}. IndexName: {name}"
                )
    if len(value.value) != definition.dimensions:
        raise ValidationError(
            f"One or more parameter values were invalid. Invalid size for parameter {attribute}, "
            f"Expected: {definition.dimensions}, Actual: {len(value.value)} IndexName: {name}"
        )


def _check_search_attribute(name: str, value: DynamoType, expected: str, definition: VectorDefinition) -> None:
    if value.type != expected:
        raise ValidationError(
            f"One or more parameter values were invalid: Type mismatch for Index Key {name} "
            f"Expected: {expected} Actual: {value.type} IndexName: {definition.name}"
        )
    if value.value in ("", b""):
        kind = "string" if value.type == "S" else "binary"
        raise ValidationError(
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
            f"The AttributeValue for a key attribute cannot contain an empty {kind} value. "
            f"IndexName: {definition.name}, IndexKey: {name}"
        )


def _direction(vector: Vector) -> Vector:
    """Return the vector at length one. A zero vector gets an additional axis, at a right angle to all others."""
    length = math.hypot(*vector)
    return (*(number / length for number in vector), 0.0) if length else (*vector, 1.0)


def _cosine_distances(vector: Vector, places: Sequence[Vector]) -> list[float]:
    # Half of the squared distance of two points on the unit sphere is one minus the cosine of their angle. It is exact
    # for equal vectors, and faster than a scalar product.
    direction = _direction(vector)
    return [math.dist(direction, place) ** 2 / 2 for place in places]


def _distances(vector: Vector, places: Sequence[Vector]) -> list[float]:
    return [math.dist(vector, place) for place in places]


def _products(vector: Vector, places: Sequence[Vector]) -> list[float]:
    return [math.sumprod(vector, place) for place in places]


_SCORES: Mapping[str, Callable[[Vector, Sequence[Vector]], list[float]]] = {
    "COSINE": _cosine_distances,
    "EUCLIDEAN": _distances,
    "DOT_PRODUCT": _products,
}
