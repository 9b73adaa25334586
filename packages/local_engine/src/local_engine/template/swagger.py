"""Swagger 2.0 as OpenAPI 3.0, so that the gateway and the pages read one form.

API Gateway's extensions stay as they are. Source: OpenAPI Specification 2.0 and 3.0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from local_engine.template.errors import TemplateError

OPERATIONS = ("get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method")
_DROPPED = ("swagger", "definitions", "securityDefinitions", "parameters", "responses", "consumes", "produces")
_LOCATION = ("basePath", "host", "schemes")
_REFERENCES = {
    "#/definitions/": "#/components/schemas/",
    "#/parameters/": "#/components/parameters/",
    "#/responses/": "#/components/responses/",
}
_PARAMETER_FIELDS = ("name", "in", "description", "required")


def convert_swagger(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document in OpenAPI 3.0; one that is not Swagger 2.0 is returned as it is.

    Raises:
        TemplateError: a part of it has a wrong form.
    """
    if "swagger" not in document:
        return document
    try:
        converted: dict[str, Any] = _move_references(_convert_document(document))
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise TemplateError(f"its Swagger document has a part of a wrong form: {error}.") from error
    return converted


def _convert_document(document: Mapping[str, Any]) -> dict[str, Any]:
    shared = {name: entry for name, entry in (document.get("parameters") or {}).items() if entry.get("in") != "body"}
    bodies = {name: entry for name, entry in (document.get("parameters") or {}).items() if entry.get("in") == "body"}
    types = document.get("consumes") or ["application/json"]
    components = {
        "schemas": document.get("definitions"),
        "parameters": {name: _convert_parameter(entry) for name, entry in shared.items()},
        "responses": {name: _convert_response(entry) for name, entry in (document.get("responses") or {}).items()},
        "securitySchemes": document.get("securityDefinitions"),
    }
    converted = {name: entry for name, entry in document.items() if name not in (*_DROPPED, *_LOCATION)}
    converted["openapi"] = "3.0.1"
    converted["components"] = {name: entry for name, entry in components.items() if entry}
    converted["paths"] = {
        path: {
            name: _convert_operation(entry, types, bodies)
            if name in OPERATIONS
            else [_convert_parameter(parameter) for parameter in entry]
            if name == "parameters"
            else entry
            for name, entry in item.items()
        }
        if isinstance(item, dict)
        else item
        for path, item in (document.get("paths") or {}).items()
    }
    return converted


def _convert_operation(operation: Any, types: Sequence[str], bodies: Mapping[str, Any]) -> Any:
    if not isinstance(operation, dict):
        return operation
    converted = {name: entry for name, entry in operation.items() if name not in ("consumes", "produces")}
    parameters = []
    for written in operation.get("parameters") or []:
        parameter = bodies.get(str(written.get("$ref", "")).rpartition("/")[2], written)
        if parameter.get("in") == "body":
            content = {kind: {"schema": parameter.get("schema", {})} for kind in operation.get("consumes") or types}
            converted["requestBody"] = {"required": parameter.get("required", False), "content": content}
        else:
            parameters.append(_convert_parameter(parameter))
    if "parameters" in operation:
        converted["parameters"] = parameters
    responses = operation.get("responses")
    if isinstance(responses, dict):
        converted["responses"] = {name: _convert_response(response) for name, response in responses.items()}
    return converted


def _convert_parameter(parameter: Any) -> Any:
    if "$ref" in parameter:
        return parameter
    converted = {name: parameter[name] for name in _PARAMETER_FIELDS if name in parameter}
    schema = {name: entry for name, entry in parameter.items() if name not in _PARAMETER_FIELDS}
    return {**converted, "schema": schema or {"type": "string"}}


def _convert_response(response: Any) -> Any:
    if not isinstance(response, dict) or "$ref" in response:
        return response
    converted = {name: entry for name, entry in response.items() if name not in ("schema", "headers", "examples")}
    converted.setdefault("description", "")
    if "schema" in response:
        converted["content"] = {"application/json": {"schema": response["schema"]}}
    if "headers" in response:
        converted["headers"] = {name: {"schema": header} for name, header in response["headers"].items()}
    return converted


def _move_references(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _move_reference(entry) if name == "$ref" and isinstance(entry, str) else _move_references(entry)
            for name, entry in value.items()
        }
    return [_move_references(entry) for entry in value] if isinstance(value, list) else value


def _move_reference(reference: str) -> str:
    for before, after in _REFERENCES.items():
        if reference.startswith(before):
            return after + reference.removeprefix(before)
    return reference
