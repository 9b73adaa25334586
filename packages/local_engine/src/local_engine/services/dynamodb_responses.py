"""Faster serializer for moto's DynamoDB responses. Its output is the same byte for byte, except for an empty map key.

Moto serializes every AWS response with one general method, which looks for each of the ten members of every
`AttributeValue` under several aliases. That is three quarters of the processor time of a query, about 15 ms for twenty
items. But an attribute value has one member, and its plain form is nearly the wire form already.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import moto
from moto.core.model import Shape, StructureShape
from moto.core.serialize import SERVICE_SPECIFIC_SERIALIZERS, JSONSerializer, Serialized

# Versions whose own responses the tests compare. Any other version keeps its serializer.
COMPARED_VERSIONS = ("5.2.5",)


def install_fast_serializer() -> None:
    """Make this process's moto use the faster serializer, if the tests compare it with that version."""
    if moto.__version__ in COMPARED_VERSIONS:
        SERVICE_SPECIFIC_SERIALIZERS["dynamodb"] = {"json": AttributeValueSerializer}


class AttributeValueSerializer(JSONSerializer):
    """Moto's serializer of the JSON protocol, except for attribute values."""

    def _serialize_type_structure(self, serialized: Serialized, value: Any, shape: StructureShape, key: str) -> None:
        if shape.name != "AttributeValue":
            super()._serialize_type_structure(serialized, value, shape, key)
        else:
            serialized[self.get_serialized_name(shape, key)] = wire_form(value)

    def _serialize(self, serialized: Serialized, value: Any, shape: Shape, key: str) -> None:
        if shape.name != "AttributeValue":
            super()._serialize(serialized, value, shape, key)
        else:
            self._serialize_type_structure(serialized, value, shape, key)  # type: ignore[arg-type]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


_MEMBERS: Mapping[str, Callable[[Any], Any]] = {
    "S": str,
    "N": str,
    "B": _base64,
    "SS": lambda value: [str(entry) for entry in value],
    "NS": lambda value: [str(entry) for entry in value],
    "BS": lambda value: [_base64(entry) for entry in value],
    "M": lambda value: {name: wire_form(entry) for name, entry in value.items()},
    "L": lambda value: [wire_form(entry) for entry in value],
    "NULL": lambda value: value,
    "BOOL": lambda value: value,
}


def wire_form(value: Mapping[str, Any]) -> dict[str, Any]:
    return {member: _MEMBERS[member](content) for member, content in value.items()}
