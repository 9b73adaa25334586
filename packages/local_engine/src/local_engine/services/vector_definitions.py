"""Definitions of DynamoDB vector indexes, as CreateTable and UpdateTable give them.

Limits: "Quotas in Amazon DynamoDB" and "Requirements and limitations" of vector indexes in the Amazon DynamoDB
Developer Guide, and the service model in botocore. Messages are those of the service as far as they are documented.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from moto.dynamodb.exceptions import MockValidationException

LARGEST_COUNT = 5
"""Most vector indexes of a table."""
LARGEST_DIMENSIONS = 4096
LARGEST_FILTERS = 18
"""Most INLINE_FILTER elements of an index."""
DISTANCE_FUNCTIONS = ("COSINE", "DOT_PRODUCT", "EUCLIDEAN")
_INVALID = "One or more parameter values were invalid: "
_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_PROJECTIONS = ("ALL", "KEYS_ONLY", "INCLUDE")
_ELEMENTS = ("HASH", "INLINE_FILTER")


@dataclass(frozen=True)
class VectorDefinition:
    """A vector index."""

    name: str
    attribute: str
    """The attribute with the vector."""
    dimensions: int
    distance: str
    hash_attribute: str | None
    filters: tuple[str, ...]
    projection: Mapping[str, Any]

    @classmethod
    def read(cls, raw: Mapping[str, Any], place: str) -> Self:
        """Read a `VectorIndex` or a `CreateVectorIndexAction`.

        Args:
            raw: the structure.
            place: its place in the request, such as `vectorIndexes.1.member`.

        Raises:
            MockValidationException: it breaks a rule that needs no knowledge of the table.
        """
        name = str(raw.get("IndexName", ""))
        if not 3 <= len(name) <= 255:
            bound = "greater than or equal to 3" if len(name) < 3 else "less than or equal to 255"
            raise _invalid_member(name, f"{place}.indexName", f"Member must have length {bound}")
        if not _NAME.fullmatch(name):
            pattern = f"Member must satisfy regular expression pattern: {_NAME.pattern}"
            raise _invalid_member(name, f"{place}.indexName", pattern)
        attribute = (raw.get("VectorAttribute") or {}).get("AttributeName", "")
        if not 1 <= len(attribute) <= 255:
            bound = "greater than or equal to 1" if not attribute else "less than or equal to 255"
            raise _invalid_member(
                attribute, f"{place}.vectorAttribute.attributeName", f"Member must have length {bound}"
            )
        dimensions = raw.get("Dimensions")
        if not isinstance(dimensions, int) or dimensions < 1:
            rule = "Member must have value greater than or equal to 1"
            raise _invalid_member(dimensions, f"{place}.dimensions", rule)
        if dimensions > LARGEST_DIMENSIONS:
            raise MockValidationException(
                f"{_INVALID}Number of dimensions must be between 1 and {LARGEST_DIMENSIONS} inclusive."
            )
        distance = raw.get("DistanceFunction")
        _check_value(distance, DISTANCE_FUNCTIONS, f"{place}.distanceFunction")
        hash_attributes, filters = _read_schema(raw.get("SearchSchema") or [], place)
        return cls(
            name,
            attribute,
            dimensions,
            str(distance),
            next(iter(hash_attributes), None),
            filters,
            _read_projection(raw.get("Projection") or {}, place),
        )

    @property
    def search_attributes(self) -> tuple[str, ...]:
        """The attributes of the search schema, the HASH element first."""
        return (*([self.hash_attribute] if self.hash_attribute else []), *self.filters)

    def describe(self) -> dict[str, Any]:
        """Return the members that VectorIndex and VectorIndexDescription have in common."""
        schema = [
            {
                "AttributeName": name,
                "SearchSchemaElementType": "HASH" if name == self.hash_attribute else "INLINE_FILTER",
            }
            for name in self.search_attributes
        ]
        return {
            "IndexName": self.name,
            "VectorAttribute": {"AttributeName": self.attribute},
            **({"SearchSchema": schema} if schema else {}),
            "Projection": dict(self.projection),
            "Dimensions": self.dimensions,
            "DistanceFunction": self.distance,
        }

    def projects(self, name: str, keys: Sequence[str]) -> bool:
        """Return whether the index has an attribute of its items.

        Args:
            name: the attribute.
            keys: the table's key attributes.
        """
        return (
            self.projection["ProjectionType"] == "ALL"
            or name in keys
            or name in self.search_attributes
            or name in self.projection.get("NonKeyAttributes", ())
        )


def check_definitions(
    added: Sequence[VectorDefinition],
    existing: Sequence[VectorDefinition],
    *,
    billing_mode: str | None,
    attributes: Sequence[Mapping[str, str]],
    other_names: Sequence[str],
) -> None:
    """Check vector indexes against their table.

    Args:
        added: the new indexes.
        existing: the table's vector indexes.
        billing_mode: the table's.
        attributes: the `AttributeDefinitions` of the request.
        other_names: names of the table's other indexes.

    Raises:
        MockValidationException: they break a rule.
    """
    if billing_mode != "PAY_PER_REQUEST":
        raise MockValidationException(f"{_INVALID}Vector indexes are only supported for PAY_PER_REQUEST tables")
    if len(existing) + len(added) > LARGEST_COUNT:
        raise MockValidationException(f"{_INVALID}VectorIndex count exceeds the per-table limit of {LARGEST_COUNT}")
    defined = {attribute["AttributeName"] for attribute in attributes}
    names = {*other_names, *(definition.name for definition in existing)}
    dimensions = {definition.attribute: definition.dimensions for definition in existing}
    for definition in added:
        if definition.name in names:
            raise MockValidationException(f"{_INVALID}Duplicate index name: {definition.name}")
        names.add(definition.name)
        if not defined.issuperset(definition.search_attributes):
            raise MockValidationException(
                f"{_INVALID}One element in SearchSchema is not defined in attribute definitions"
            )
        if dimensions.setdefault(definition.attribute, definition.dimensions) != definition.dimensions:
            raise MockValidationException(
                f"{_INVALID}Conflicting attribute definition for '{definition.attribute}'. "
                "All VectorIndexes on the same vector attribute must use the same dimensions."
            )


def _read_schema(elements: Sequence[Mapping[str, str]], place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the attributes of the HASH and of the INLINE_FILTER elements."""
    for position, element in enumerate(elements, 1):
        kind = element.get("SearchSchemaElementType")
        _check_value(kind, _ELEMENTS, f"{place}.searchSchema.{position}.member.searchSchemaElementType")
    names = [element["AttributeName"] for element in elements]
    if len(names) != len(set(names)):
        raise MockValidationException(f"{_INVALID}SearchSchema must not contain an attribute twice")
    hash_attributes, filters = (
        tuple(element["AttributeName"] for element in elements if element["SearchSchemaElementType"] == kind)
        for kind in _ELEMENTS
    )
    if len(hash_attributes) > 1:
        raise MockValidationException(f"{_INVALID}SearchSchema must have at most one HASH element")
    if len(filters) > LARGEST_FILTERS:
        raise MockValidationException(
            f"{_INVALID}SearchSchema must have at most {LARGEST_FILTERS} INLINE_FILTER elements"
        )
    return hash_attributes, filters


def _read_projection(projection: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    kind = projection.get("ProjectionType")
    if kind is None:
        raise MockValidationException(f"{_INVALID}Unknown ProjectionType: null")
    _check_value(kind, _PROJECTIONS, f"{place}.projection.projectionType")
    names = projection.get("NonKeyAttributes")
    if kind == "INCLUDE" and not names:
        raise MockValidationException(f"{_INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    if kind != "INCLUDE" and names:
        raise MockValidationException(f"{_INVALID}ProjectionType is {kind}, but NonKeyAttributes is specified")
    return projection


def _check_value(value: Any, allowed: Sequence[str], place: str) -> None:
    if value not in allowed:
        raise _invalid_member(value, place, f"Member must satisfy enum value set: [{', '.join(allowed)}]")


def _invalid_member(value: Any, place: str, rule: str) -> MockValidationException:
    return MockValidationException(
        f"1 validation error detected: Value '{value}' at '{place}' failed to satisfy constraint: {rule}"
    )
