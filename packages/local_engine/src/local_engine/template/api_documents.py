"""Checks that an OpenAPI document has the form that the gateway and the API page read."""

from collections.abc import Iterator, Mapping
from typing import Any

from local_engine.template.errors import TemplateError
from local_engine.template.intrinsics import REFUSAL
from local_engine.template.swagger import OPERATIONS

_CORS = "x-amazon-apigateway-cors"
_CORS_LISTS = ("allowHeaders", "allowMethods", "allowOrigins", "exposeHeaders")


def check_document(document: dict[str, Any]) -> None:
    """Check an evaluated document.

    Raises:
        TemplateError: a part of it has a wrong form. The message names the part.
    """
    for name in ("info", "components", "paths"):
        _check_mapping(document.get(name, {}), name)
    components: dict[str, Any] = document.get("components", {})
    for name in ("securitySchemes", "parameters"):
        for key, entry in _check_mapping(components.get(name, {}), f"components.{name}"):
            _check_mapping(entry, f"components.{name}.{key}")
            if name == "parameters":
                _check_parameters([entry], f"components.{name}.{key}")
    for tag in _check_list(document.get("tags", []), "tags"):
        _check_mapping(tag, "tags")
    for path, item in _check_mapping(document.get("paths", {}), "paths"):
        for method, operation in _check_mapping(item, path):
            _check_operation(method, path, operation)


def read_cors(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the CORS configuration of an HTTP API.

    Raises:
        TemplateError: it has a wrong form, or a part of it cannot be evaluated.
    """
    cors: dict[str, Any] | None = document.get(_CORS)
    for name, value in _check_mapping({} if cors is None else cors, _CORS):
        entries = value if isinstance(value, list) else [value]
        for entry in ({name: value}, *entries):
            if isinstance(entry, dict) and REFUSAL in entry:
                raise TemplateError(entry[REFUSAL])
        if name in _CORS_LISTS and not isinstance(value, str):
            for entry in _check_list(value, name):
                _check_text(entry, name)
    return cors


def _check_operation(method: str, path: str, operation: Any) -> None:
    if method == "parameters":
        _check_parameters(operation, path)
    elif method in OPERATIONS:
        _check_mapping(operation, f"{method} {path}")
        _check_parameters(operation.get("parameters", []), f"{method} {path}")
        _check_security(operation.get("security", []), f"{method} {path}")
        _check_mapping(operation.get("responses", {}), f"responses of {method} {path}")


def _check_parameters(parameters: Any, place: str) -> None:
    for parameter in _check_list(parameters, f"parameters of {place}"):
        _check_mapping(parameter, f"parameters of {place}")
        for name in ("$ref",) if "$ref" in parameter else ("name", "in"):
            _check_text(parameter.get(name), f"parameters of {place}")


def _check_security(security: Any, place: str) -> None:
    for requirement in _check_list(security, f"security of {place}"):
        for _, scopes in _check_mapping(requirement, f"security of {place}"):
            for scope in _check_list(scopes, f"security of {place}"):
                _check_text(scope, f"security of {place}")


def _check_mapping(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise TemplateError(f"{place} in its document is not a mapping.")
    return iter(value.items())


def _check_list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise TemplateError(f"{place} in its document is not a list.")
    return value


def _check_text(value: Any, place: str) -> None:
    if not isinstance(value, str):
        raise TemplateError(f"{place} in its document has {value!r} for a text.")
