"""Validation of values against request models; reports every problem at once.

The models are the OpenAPI schemas in `models/`, which the API's document includes as well. Only the JSON Schema
keywords below are supported. A model that uses another keyword is rejected when it is loaded, so nothing is declared
and then not checked. Each check takes time in proportion to the value, whatever the value is.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from serverless_api.http.errors import MAX_DETAILS, BadRequest, Problem, shorten
from serverless_api.storage.json_text import dump_json, parse_json

type Schema = dict[str, Any]
type Place = tuple[Place, str | int] | None
"""Where a part of a value is, from the inside out; None is the value as a whole."""

_PACKAGES = Path(__file__).parents[2]
# `sam build` puts the models beside the packages; in the source tree they are at the root of the project.
_FOLDERS = (_PACKAGES / "models", _PACKAGES.parents[1] / "models")
MODELS = next(filter(Path.is_dir, _FOLDERS), _FOLDERS[0])

# Descriptive keywords, which need no check.
ANNOTATIONS = {"title", "description", "example", "default", "format"}


class ModelError(Exception):
    """A request model is missing or cannot be used."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_whole_number(value: Any) -> bool:
    # 1.0 is an integer too (JSON Schema Core, section 6.3). `int` would write out every digit of 1E1000000000.
    return _is_number(value) and (isinstance(value, int) or value == value.to_integral_value())


TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "object": ("an object", lambda value: isinstance(value, dict)),
    "array": ("an array", lambda value: isinstance(value, list)),
    "string": ("a string", lambda value: isinstance(value, str)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "number": ("a number", _is_number),
    "integer": ("a whole number", _is_whole_number),
}

type Rule = tuple[type | tuple[type, ...], Callable[[Any, Any], bool], Callable[[Any], str]]


def _count(number: int, noun: str, plural: str) -> str:
    return f"{number} {noun if number == 1 else plural}"


def _characters(number: int) -> str:
    return _count(number, "character", "characters")


def _items(number: int) -> str:
    return _count(number, "item", "items")


def _properties(number: int) -> str:
    return _count(number, "property", "properties")


def _matches(value: str, pattern: str) -> bool:
    from serverless_api.http.patterns import compile_pattern  # noqa: PLC0415 - only for models that have a pattern

    return compile_pattern(pattern).matches(value)


# For each keyword: the types it applies to, the check, and the message if the check fails.
RULES: dict[str, Rule] = {
    "minLength": (str, lambda value, least: len(value) >= least, lambda n: f"must have at least {_characters(n)}"),
    "maxLength": (str, lambda value, most: len(value) <= most, lambda n: f"must have at most {_characters(n)}"),
    "pattern": (str, _matches, lambda rule: f"must match {rule}"),
    "minimum": ((int, Decimal), lambda value, least: value >= least, lambda n: f"must be at least {n}"),
    "maximum": ((int, Decimal), lambda value, most: value <= most, lambda n: f"must be at most {n}"),
    "minItems": (list, lambda value, least: len(value) >= least, lambda n: f"must have at least {_items(n)}"),
    "maxItems": (list, lambda value, most: len(value) <= most, lambda n: f"must have at most {_items(n)}"),
    "minProperties": (dict, lambda value, least: len(value) >= least, lambda n: f"must have at least {_properties(n)}"),
    "maxProperties": (dict, lambda value, most: len(value) <= most, lambda n: f"must have at most {_properties(n)}"),
}

STRUCTURE = {"type", "enum", "required", "properties", "additionalProperties", "items"}


@cache
def load_model(name: str) -> Schema:
    """Return the request model `models/<name>.json`.

    Raises:
        ModelError: it is missing, or it uses a keyword or a type that cannot be checked.
    """
    try:
        schema = parse_json((MODELS / f"{name}.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"There is no request model models/{name}.json.") from error
    except ValueError as error:
        raise ModelError(f"The request model models/{name}.json cannot be read: it {error}.") from error
    _check_keywords(schema, name)
    return schema  # type: ignore[no-any-return]


def _check_keywords(schema: Schema, path: str) -> None:
    if not isinstance(schema, dict) or not isinstance(schema.get("properties", {}), dict):
        raise ModelError(f"The request model {path} in models/{path.partition('.')[0]}.json must be a JSON object.")
    unknown = schema.keys() - STRUCTURE - ANNOTATIONS - RULES.keys()
    if unknown:
        raise ModelError(f"The request model {path} uses {', '.join(sorted(unknown))}, which is not checked.")
    if "type" in schema and str(schema["type"]) not in TYPES:
        raise ModelError(f"The request model {path} has the type {schema['type']}, which is not checked.")
    if "pattern" in schema:
        from serverless_api.http.patterns import PatternError, compile_pattern  # noqa: PLC0415 - see above

        try:
            compile_pattern(schema["pattern"])
        except PatternError as error:
            raise ModelError(f"The request model {path} has a pattern that {error}.") from error
    for name, part in schema.get("properties", {}).items():
        _check_keywords(part, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if not isinstance(schema.get(keyword, True), bool):
            _check_keywords(schema[keyword], f"{path}.{keyword}")


def check_value(value: Any, model: str) -> None:
    """Check a value against the request model `models/<model>.json`.

    Raises:
        BadRequest: it violates the model; the error names the invalid fields.
    """
    if problems := list(islice(find_problems(value, load_model(model)), MAX_DETAILS + 1)):
        raise BadRequest("The request is not valid", problems)


def find_problems(value: Any, schema: Schema, field: str = "body") -> Iterator[Problem]:
    """Yield every problem of `value` under `schema`.

    Args:
        value: a value from `parse_json`.
        schema: a model from `load_model`.
        field: the name of the value as a whole; its parts are named by their paths.

    >>> list(find_problems({"name": ""}, {"required": ["kind"], "properties": {"name": {"minLength": 1}}}))
    [Problem(field='kind', problem='is missing'), Problem(field='name', problem='must have at least 1 character')]
    """
    return _find_problems(value, schema, None, field)


def _find_problems(value: Any, schema: Schema, path: Place, field: str) -> Iterator[Problem]:
    if "type" in schema:
        type_name, has_type = TYPES[schema["type"]]
        if not has_type(value):
            yield Problem(_format(path, field), f"must be {type_name}")
            return
    # In Python true equals 1, in JSON it does not.
    if "enum" in schema and not any(_equals(value, choice) for choice in schema["enum"]):
        yield Problem(_format(path, field), "must be one of " + ", ".join(map(_write_choice, schema["enum"])))
        return
    for keyword, expected in schema.items():
        if keyword in RULES:
            types, holds, describe = RULES[keyword]
            if isinstance(value, types) and not holds(value, expected):
                yield Problem(_format(path, field), describe(expected))
    if isinstance(value, dict):
        yield from _find_property_problems(value, schema, path, field)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _find_problems(item, schema["items"], (path, index), field)


def _find_property_problems(value: dict[str, Any], schema: Schema, path: Place, field: str) -> Iterator[Problem]:
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem(_format((path, name), field), "is missing")
    properties = schema.get("properties", {})
    additional = schema.get("additionalProperties", True)
    for name, part in value.items():
        rule = properties.get(name, additional)
        if rule is False:
            yield Problem(_format((path, name), field), "is not a known property")
        elif rule is not True:
            yield from _find_problems(part, rule, (path, name), field)


def _equals(value: Any, choice: Any) -> bool:
    return value == choice and isinstance(value, bool) == isinstance(choice, bool)


def _write_choice(choice: Any) -> str:
    return choice if isinstance(choice, str) else dump_json(choice)


def _format(path: Place, field: str) -> str:
    """Return a path as `items[1].size`, or `field` for the value as a whole."""
    # Written out for problems only: a long name would otherwise be copied for each part below it.
    parts: list[str] = []
    while path is not None:
        outer, part = path
        parts.append(f"[{part}]" if isinstance(part, int) else f".{shorten(part)}")
        path = outer
    return "".join(reversed(parts)).removeprefix(".") or field
