"""Request validation: required parameters, and bodies against models in JSON Schema draft 4.

Source: "Request validation for REST APIs in API Gateway" (API Gateway Developer Guide).
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from local_engine.gateway.events import refuse_constant
from local_engine.gateway.request_limits import Rejection
from local_engine.rest_api.methods import Method
from local_engine.rest_api.model_faults import describe_fault
from local_engine.rest_api.template_variables import Variables
from local_engine.template.errors import TemplateError
from local_engine.template.settings import is_true

_VALIDATOR = "x-amazon-apigateway-request-validator"
_SCHEMAS = "#/components/schemas/"
# A model can refer to another one by its URL.
_MODEL_URL = re.compile(r"https://apigateway\.[^/]*/restapis/[^/]+/models/(.+)")
_DEFAULT = "$default"


class Models:
    """The models of an API, as JSON Schema draft 4."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    @cached_property
    def _components(self) -> dict[str, Any]:
        # A template without models does not have to wait for the import.
        from jsonschema import Draft4Validator  # noqa: PLC0415
        from jsonschema.exceptions import SchemaError  # noqa: PLC0415

        schemas = (self._document.get("components") or {}).get("schemas") or {}
        components: dict[str, Any] = _localize_references({"schemas": schemas})
        for name, schema in components["schemas"].items():
            try:
                Draft4Validator.check_schema(schema)
            except SchemaError as error:
                raise TemplateError(f"model {name} is not JSON Schema draft 4: {error.message}.") from error
        return components

    def create_validator(self, schema: Any) -> Any:
        """Return a validator of `jsonschema` for a schema that may refer to models.

        Raises:
            TemplateError: a model is not a schema, or there is no such model.
        """
        from jsonschema import Draft4Validator  # noqa: PLC0415
        from jsonschema.exceptions import SchemaError  # noqa: PLC0415

        schema = _localize_references(schema)
        _check_references(schema, self._components["schemas"], set())
        try:
            Draft4Validator.check_schema(schema)
        except SchemaError as error:
            raise TemplateError(f"its model is not JSON Schema draft 4: {error.message}.") from error
        root = {"allOf": [schema], "components": self._components}
        return Draft4Validator(root, format_checker=Draft4Validator.FORMAT_CHECKER)


class RequestValidator:
    """Validates the requests of one method."""

    def __init__(self, method: Method, document: Mapping[str, Any], models: Models) -> None:
        """Read what the method's validator asks for.

        Raises:
            TemplateError: there is no such validator, or a model is not a schema.
        """
        settings = _find_settings(method, document)
        self._required: list[tuple[str, str]] = []
        self._models: dict[str, Any] = {}
        if is_true(settings.get("validateRequestParameters")):
            self._required = list(_read_required(method, document))
        if is_true(settings.get("validateRequestBody")):
            self._models = dict(_read_models(method, models))

    def validate(self, body: bytes, variables: Variables) -> None:
        """Check a request.

        Raises:
            Rejection: a required parameter is missing or blank, or the body does not conform to the model.
        """
        missing = [name for place, name in self._required if not _has_parameter(place, name, variables)]
        if missing:
            message = f"Missing required request parameters: [{', '.join(missing)}]"
            raise Rejection(400, message, response_type="BAD_REQUEST_PARAMETERS")
        if not self._models:
            return
        content_type = (variables.headers.get("content-type") or ("application/json",))[-1]
        # Bodies of other content types are not validated.
        model = self._models.get(content_type.partition(";")[0].strip().lower(), self._models.get(_DEFAULT))
        if model is not None and (detail := _find_faults(model, body)):
            raise Rejection(400, "Invalid request body", response_type="BAD_REQUEST_BODY", detail=detail)


def _find_settings(method: Method, document: Mapping[str, Any]) -> Mapping[str, Any]:
    name = method.operation.get(_VALIDATOR, document.get(_VALIDATOR))
    if name is None:
        return {}
    validators = document.get(f"{_VALIDATOR}s")
    settings = validators.get(name) if isinstance(validators, dict) else None
    if not isinstance(settings, dict):
        raise TemplateError(f"there is no request validator {name!r}.")
    return settings


def _read_required(method: Method, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    shared = (document.get("components") or {}).get("parameters") or {}
    parameters = {}
    for written in method.operation["parameters"]:
        parameter = shared.get(str(written.get("$ref", "")).rpartition("/")[2], written)
        parameters[parameter.get("in"), parameter.get("name")] = parameter
    for (place, name), parameter in parameters.items():
        if is_true(parameter.get("required")):
            yield str(place), str(name)


def _has_parameter(place: str, name: str, variables: Variables) -> bool:
    match place:
        case "query":
            return any(variables.query.get(name, ()))
        case "header":
            return any(variables.headers.get(name.lower(), ()))
        case "path":
            return bool(variables.path.get(name))
        case _:
            return True


def _read_models(method: Method, models: Models) -> Iterator[tuple[str, Any]]:
    content = (method.operation.get("requestBody") or {}).get("content") or {}
    for content_type, media in content.items():
        yield str(content_type).lower(), models.create_validator((media or {}).get("schema") or {})


def _localize_references(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _MODEL_URL.sub(lambda match: _SCHEMAS + match[1], entry)
            if name == "$ref" and isinstance(entry, str)
            else _localize_references(entry)
            for name, entry in value.items()
        }
    return [_localize_references(entry) for entry in value] if isinstance(value, list) else value


def _check_references(value: Any, schemas: Mapping[str, Any], seen: set[str]) -> None:
    if isinstance(value, list):
        for entry in value:
            _check_references(entry, schemas, seen)
    elif isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            name = reference.removeprefix(_SCHEMAS).partition("/")[0]
            if not reference.startswith(_SCHEMAS) or name not in schemas:
                raise TemplateError(f"a model refers to {reference}, which the API does not have.")
            _check_references(schemas[name], schemas, seen)
        for entry in value.values():
            _check_references(entry, schemas, seen)


def _find_faults(model: Any, body: bytes) -> str:
    """Return what is wrong with a body, or an empty string. An empty body counts as an empty object."""
    try:
        # The text that the function gets.
        value = json.loads(body.decode(errors="replace") or "{}", parse_constant=refuse_constant)
        # `jsonschema` reports each missing property by itself.
        faults = dict.fromkeys(describe_fault(error) for error in model.iter_errors(value))
    except (ValueError, RecursionError) as error:
        return f"the body is not JSON: {error}"
    return f"[{', '.join(faults)}]" if faults else ""
