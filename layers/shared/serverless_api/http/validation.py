"""Checks a value against a request model and names every fault at once.

The models are the OpenAPI schemas in `models/`, the same files that the API's document is made of. Of JSON Schema this
knows the keywords below and no others: a model that uses another one is refused when it is loaded, so that nothing
is declared and then not checked.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from serverless_api.http.errors import Problem
from serverless_api.storage.json_text import parse_json

type Schema = dict[str, Any]

_PACKAGES = Path(__file__).parents[2]
# `sam build` puts the models beside the packages; in the source tree they are at the root of the project.
MODELS = next(folder for folder in (_PACKAGES / "models", _PACKAGES.parents[1] / "models") if folder.is_dir())

# They describe; there is nothing in them to check.
ANNOTATIONS = {"title", "description", "example", "default", "format"}


class ModelError(Exception):
    """A request model uses a keyword that is not checked here."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "object": ("an object", lambda value: isinstance(value, dict)),
    "array": ("an array", lambda value: isinstance(value, list)),
    "string": ("a string", lambda value: isinstance(value, str)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "number": ("a number", _is_number),
    # 1.0 is an integer too (JSON Schema Core, section 6.3).
    "integer": ("a whole number", lambda value: _is_number(value) and value == int(value)),
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


# For each keyword: the values it applies to, whether such a value keeps it, and what is said where it does not.
RULES: dict[str, Rule] = {
    "minLength": (str, lambda value, least: len(value) >= least, lambda n: f"must have at least {_characters(n)}"),
    "maxLength": (str, lambda value, most: len(value) <= most, lambda n: f"must have at most {_characters(n)}"),
    "pattern": (str, lambda value, rule: re.search(rule, value) is not None, lambda rule: f"must match {rule}"),
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
        ModelError: there is none, or it uses a keyword that is not checked here.
    """
    try:
        schema = parse_json((MODELS / f"{name}.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"There is no request model models/{name}.json.") from error
    _check_keywords(schema, name)
    return schema  # type: ignore[no-any-return]


def _check_keywords(schema: Schema, path: str) -> None:
    unknown = schema.keys() - STRUCTURE - ANNOTATIONS - RULES.keys()
    if unknown:
        raise ModelError(f"The request model {path} uses {', '.join(sorted(unknown))}, which is not checked.")
    for name, of in schema.get("properties", {}).items():
        _check_keywords(of, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            _check_keywords(schema[keyword], f"{path}.{keyword}")


def find_problems(value: Any, schema: Schema, field: str = "body") -> Iterator[Problem]:
    """Yield every place in which `value` breaks `schema`.

    Args:
        value: what `parse_json` returned.
        schema: what `load_model` returned.
        field: what the value is called where it is wrong as a whole; its parts are named by their path.

    >>> list(find_problems({"name": ""}, load_model("ResourceInput")))
    [Problem(field='type', problem='is missing'), Problem(field='name', problem='must have at least 1 character')]
    """
    return _find_problems(value, schema, "", field)


def _find_problems(value: Any, schema: Schema, path: str, field: str) -> Iterator[Problem]:
    if "type" in schema:
        called, is_of_type = TYPES[schema["type"]]
        if not is_of_type(value):
            yield Problem(path or field, f"must be {called}")
            return
    # Python takes true for 1, JSON does not.
    if "enum" in schema and (type(value) is bool, value) not in [(type(of) is bool, of) for of in schema["enum"]]:
        yield Problem(path or field, "must be one of " + ", ".join(map(str, schema["enum"])))
        return
    for keyword, (applies_to, is_kept, say) in RULES.items():
        if keyword in schema and isinstance(value, applies_to) and not is_kept(value, schema[keyword]):
            yield Problem(path or field, say(schema[keyword]))
    if isinstance(value, dict):
        yield from _find_property_problems(value, schema, path, field)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _find_problems(item, schema["items"], f"{path}[{index}]", field)


def _find_property_problems(value: dict[str, Any], schema: Schema, path: str, field: str) -> Iterator[Problem]:
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem(_join(path, name), "is missing")
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, of in value.items():
        rule = properties.get(name, others)
        if rule is False:
            yield Problem(_join(path, name), "is not a known property")
        elif rule is not True:
            yield from _find_problems(of, rule, _join(path, name), field)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
