"""Fields of a noun, from one line of text to the schemas and examples of its models."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.scaffold.changes import ScaffoldError

_NAME = re.compile(r"[a-z][A-Za-z0-9]*")
_CHOICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# The house's own attributes (`RESERVED` of serverless_api.http.collection).
_RESERVED = {"pk", "sk", "id", "createdAt", "updatedAt", "version", "writer", "deletedAt", "expiresAt"}

# Without `format`, which the house does not check: it would promise that no item has 31 February.
_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_SECOND = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
TYPES: Mapping[str, tuple[Mapping[str, Any], Any, Any]] = {
    "text": ({"type": "string", "minLength": 1, "maxLength": 200}, "First text", "Other text"),
    "integer": ({"type": "integer", "minimum": 0, "maximum": 1_000_000}, 3, 4),
    "decimal": ({"type": "number", "minimum": 0, "maximum": 1_000_000}, 12.5, 17.25),
    "boolean": ({"type": "boolean"}, True, False),
    "date": ({"type": "string", "pattern": f"^{_DAY}$"}, "2027-01-31", "2027-02-28"),
    "datetime": (
        {"type": "string", "pattern": f"^{_DAY}T{_SECOND}Z$"},
        "2027-01-31T09:30:00Z",
        "2027-02-28T09:30:00Z",
    ),
    "list": (
        {"type": "array", "maxItems": 100, "items": {"type": "string", "minLength": 1, "maxLength": 200}},
        ["First entry"],
        ["First entry", "Second entry"],
    ),
    "object": ({"type": "object", "additionalProperties": True}, {"colour": "blue"}, {"colour": "green"}),
}
"""The schema of each type, and two values."""


@dataclass(frozen=True)
class Field:
    """A field of a noun.

    Attributes:
        name: its name in JSON.
        schema: its JSON Schema, without an example.
        example: a value.
        other: another value.
        required: whether each item has it.
    """

    name: str
    schema: Mapping[str, Any]
    example: Any
    other: Any
    required: bool

    def store(self, value: Any) -> str:
        """Return a value as the house stores it: a string unchanged, any other type as JSON text."""
        return value if self.schema["type"] == "string" else json.dumps(value)

    @property
    def as_input(self) -> dict[str, Any]:
        """The schema of the request model."""
        return {**self.schema, "example": self.example}

    @property
    def as_patch(self) -> dict[str, Any]:
        """The schema of the patch: null removes an optional field."""
        if self.required:
            return self.as_input
        schema = {**self.as_input, "nullable": True}
        # In OpenAPI 3.0, `nullable` adds null to a type and not to a list of choices.
        return schema | {"enum": [*schema["enum"], None]} if "enum" in schema else schema


def parse_fields(text: str) -> list[Field]:
    """Return the fields of a text such as `total:decimal status:draft|sent|paid note?:text`.

    Raises:
        ScaffoldError: a field has no type, an unknown one, or a name that cannot be used, or items could not differ.
    """
    fields = [_parse_field(part) for part in text.split()]
    if not fields:
        raise ScaffoldError('Set FIELDS= to the fields and their types, such as FIELDS="title:text total:decimal".')
    names = [field.name for field in fields]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ScaffoldError(f"FIELDS names {twice} twice.")
    if not any(field.required for field in fields):
        raise ScaffoldError("FIELDS needs a field without ?, so that an empty object is refused.")
    if not any("enum" not in field.schema and field.schema["type"] != "boolean" for field in fields):
        raise ScaffoldError("FIELDS needs more than booleans and choices, such as a text, so that items can differ.")
    return fields


def make_example(fields: Sequence[Field], *, other: bool = False) -> dict[str, Any]:
    """Return a request body with every field."""
    return {field.name: field.other if other else field.example for field in fields}


def _parse_field(part: str) -> Field:
    name, colon, kind = part.partition(":")
    required = not name.endswith("?")
    name = name.removesuffix("?")
    if not colon or not kind:
        raise ScaffoldError(f"FIELDS: {part} has no type; write {name}:text, for example.")
    if not _NAME.fullmatch(name):
        raise ScaffoldError(f"FIELDS: {name} is not a name in camel case, such as dueDate.")
    if name in _RESERVED:
        raise ScaffoldError(f"FIELDS: {name} is a name of the house's own; choose another one.")
    if "|" in kind:
        choices = kind.split("|")
        wrong = next((choice for choice in choices if not _CHOICE.fullmatch(choice)), None)
        if wrong is not None or len(set(choices)) < len(choices):
            raise ScaffoldError(f"FIELDS: {part} must list different choices, such as {name}:draft|sent|paid.")
        return Field(name, {"type": "string", "enum": choices}, choices[0], choices[-1], required)
    if kind not in TYPES:
        raise ScaffoldError(f"FIELDS: {part} has an unknown type; use {', '.join(TYPES)} or choices such as a|b|c.")
    schema, example, other = TYPES[kind]
    return Field(name, schema, example, other, required)
