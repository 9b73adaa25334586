"""What a body violates in its model, in the words of API Gateway's `$context.error.validationErrorString`.

The words are those of the JSON Schema validator for Java that API Gateway's own messages show. Faults without words
here have those of `jsonschema`.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

_Describe = Callable[[Any, Any], str]


def _write(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _describe_type(limit: Any, value: Any) -> str:
    allowed = limit if isinstance(limit, list) else [limit]
    return f"instance type ({_find_type(value)}) does not match any allowed primitive type (allowed: {_write(allowed)})"


def _find_type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


# By keyword: the description, given the keyword's value and the instance.
_DESCRIPTIONS: Mapping[str, _Describe] = {
    "type": _describe_type,
    "enum": lambda limit, value: (
        f"instance value ({_write(value)}) not found in enum (possible values: {_write(limit)})"
    ),
    "minimum": lambda limit, value: (
        f"numeric instance is lower than the required minimum (minimum: {_write(limit)}, found: {_write(value)})"
    ),
    "maximum": lambda limit, value: (
        f"numeric instance is greater than the required maximum (maximum: {_write(limit)}, found: {_write(value)})"
    ),
    "minLength": lambda limit, value: (
        f"string {_write(value)} is too short (length: {len(value)}, required minimum: {limit})"
    ),
    "maxLength": lambda limit, value: (
        f"string {_write(value)} is too long (length: {len(value)}, maximum allowed: {limit})"
    ),
    "pattern": lambda limit, value: f"ECMA 262 regex {_write(limit)} does not match input string {_write(value)}",
    "minItems": lambda limit, value: (
        f"array is too short: must have at least {limit} elements but instance has {len(value)} elements"
    ),
    "maxItems": lambda limit, value: (
        f"array is too long: must have at most {limit} elements but instance has {len(value)} elements"
    ),
    "uniqueItems": lambda *_: "array must not contain duplicate elements",
}


def describe_fault(error: Any) -> str:
    """Return a sentence about an error of `jsonschema`."""
    limit, value = error.validator_value, error.instance
    match error.validator:
        case "required":
            missing = [name for name in limit if name not in value]
            return f"object has missing required properties ({_write(missing)})"
        case "additionalProperties" if limit is False:
            known = error.schema.get("properties", {})
            unknown = sorted(name for name in value if name not in known)
            return f"object instance has properties which are not allowed by the schema: {_write(unknown)}"
        case _ if error.validator in _DESCRIPTIONS:
            return _DESCRIPTIONS[error.validator](limit, value)
        case _:
            return str(error.message)
