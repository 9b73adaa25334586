"""A faster way for moto to write DynamoDB's answers, byte for byte the same (but that it keeps an empty map key).

Moto serialises every AWS answer by one general method, which looks for each of the ten members of every
`AttributeValue` under several aliases: three quarters of the processor time of a query, about 15 ms for twenty
items. But an attribute value has one member and its plain form is nearly the wire form already.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import moto
from moto.core.model import Shape, StructureShape
from moto.core.serialize import SERVICE_SPECIFIC_SERIALIZERS, JSONSerializer, Serialized

# Compared with moto's own answers in tests/engine; any other version goes its own way.
COMPARED_VERSIONS = ("5.2.5",)


def install_fast_serializer() -> None:
    """Make this process's moto use the faster serializer, where it was compared with that version."""
    if moto.__version__ in COMPARED_VERSIONS:
        SERVICE_SPECIFIC_SERIALIZERS["dynamodb"] = {"json": AttributeValueSerializer}


class AttributeValueSerializer(JSONSerializer):
    """Moto's serializer of the JSON protocol, but for attribute values."""

    def _serialize_type_structure(self, serialized: Serialized, value: Any, shape: StructureShape, key: str) -> None:
        if shape.name != "AttributeValue":
            super()._serialize_type_structure(serialized, value, shape, key)
        else:
            serialized[self.get_serialized_name(shape, key)] = _wire_form(value)

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
    "M": lambda value: {name: _wire_form(entry) for name, entry in value.items()},
    "L": lambda value: [_wire_form(entry) for entry in value],
    "NULL": lambda value: value,
    "BOOL": lambda value: value,
}


def _wire_form(value: Mapping[str, Any]) -> dict[str, Any]:
    return {member: _MEMBERS[member](content) for member, content in value.items()}
