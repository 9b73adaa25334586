"""OpenAPI document of a REST API that is declared as resources and methods (`AWS::ApiGateway::Method`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from local_engine.template.errors import TemplateError
from local_engine.template.settings import read_mapping
from local_engine.template.stack import Resource

_AUTHTYPES = {"TOKEN": "custom", "REQUEST": "custom", "COGNITO_USER_POOLS": "cognito_user_pools"}
_PLACES = {"querystring": "query", "header": "header", "path": "path"}
_API_KEY = "api_key"


def compose_document(logical_id: str, resources: Mapping[str, Resource]) -> dict[str, Any]:
    """Return the document that API Gateway would export for an API without a Body.

    Args:
        logical_id: the API.
        resources: the stack's resources.

    Raises:
        TemplateError: the API has no methods, or a part of one has a wrong form.
    """
    api = resources[logical_id].reference
    own = {name: entry for name, entry in resources.items() if entry.find("RestApiId") == api}
    paths: dict[str, Any] = {}
    schemes: dict[str, Any] = {}
    for name, method in _of_type(own, "AWS::ApiGateway::Method"):
        try:
            path = _find_path(method.properties.get("ResourceId"), own)
            key = str(method.properties.get("HttpMethod")).lower()
            key = "x-amazon-apigateway-any-method" if key == "any" else key
            paths.setdefault(path, {})[key] = _compose_operation(method, own, schemes)
        except (TemplateError, TypeError, ValueError, AttributeError) as error:
            raise TemplateError(f"its method {name} cannot be served: {error}") from error
    if not paths:
        raise TemplateError("it has no methods.")
    validators = {
        str(entry.reference): {
            "validateRequestBody": entry.properties.get("ValidateRequestBody", False),
            "validateRequestParameters": entry.properties.get("ValidateRequestParameters", False),
        }
        for _, entry in _of_type(own, "AWS::ApiGateway::RequestValidator")
    }
    schemas = {
        str(entry.properties.get("Name") or entry.reference): entry.properties.get("Schema", {})
        for _, entry in _of_type(own, "AWS::ApiGateway::Model")
    }
    responses = {
        str(entry.properties.get("ResponseType")): {
            "statusCode": entry.properties.get("StatusCode"),
            "responseParameters": read_mapping(entry.properties, "ResponseParameters"),
            "responseTemplates": read_mapping(entry.properties, "ResponseTemplates"),
        }
        for _, entry in _of_type(own, "AWS::ApiGateway::GatewayResponse")
    }
    return {
        "openapi": "3.0.1",
        "info": {"title": str(resources[logical_id].properties.get("Name") or logical_id), "version": "1.0"},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": schemes},
        "x-amazon-apigateway-request-validators": validators,
        "x-amazon-apigateway-gateway-responses": responses,
    }


def _of_type(resources: Mapping[str, Resource], resource_type: str) -> Iterator[tuple[str, Resource]]:
    return ((name, entry) for name, entry in resources.items() if entry.type == resource_type)


def _find_path(resource_id: Any, own: Mapping[str, Resource]) -> str:
    parts: list[str] = []
    parents = {
        entry.reference: (entry.properties.get("ParentId"), str(entry.properties.get("PathPart")))
        for _, entry in _of_type(own, "AWS::ApiGateway::Resource")
    }
    while isinstance(resource_id, str):
        if resource_id not in parents:
            # The root's ID is not that of a resource in the template.
            return "/" + "/".join(reversed(parts))
        resource_id, part = parents.pop(resource_id)
        parts.append(part)
    raise TemplateError(f"the ID of a resource in its path is {resource_id!r}, which is not text.")


def _compose_operation(method: Resource, own: Mapping[str, Resource], schemes: dict[str, Any]) -> dict[str, Any]:
    properties = method.properties
    written = read_mapping(properties, "Integration")
    responses = written.get("IntegrationResponses") or []
    integration = {
        "type": str(written.get("Type")).lower(),
        "uri": written.get("Uri"),
        "timeoutInMillis": written.get("TimeoutInMillis"),
        "requestTemplates": read_mapping(written, "RequestTemplates"),
        "responseTransferMode": written.get("ResponseTransferMode"),
        "cacheKeyParameters": written.get("CacheKeyParameters"),
        "responses": {
            str(response.get("SelectionPattern") or "default"): {
                "statusCode": response.get("StatusCode"),
                "responseParameters": read_mapping(response, "ResponseParameters"),
                "responseTemplates": read_mapping(response, "ResponseTemplates"),
            }
            for response in responses
        },
    }
    operation: dict[str, Any] = {
        "x-amazon-apigateway-integration": {name: entry for name, entry in integration.items() if entry is not None},
        "parameters": [_read_parameter(name, entry) for name, entry in _parameters(properties)],
        "responses": {},
    }
    if "RequestValidatorId" in properties:
        operation["x-amazon-apigateway-request-validator"] = str(properties["RequestValidatorId"])
    if models := read_mapping(properties, "RequestModels"):
        references = {kind: {"schema": {"$ref": f"#/components/schemas/{model}"}} for kind, model in models.items()}
        operation["requestBody"] = {"content": references}
    if "OperationName" in properties:
        operation["operationId"] = str(properties["OperationName"])
    if security := list(_read_security(properties, own, schemes)):
        operation["security"] = security
    return operation


def _parameters(properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return iter(read_mapping(properties, "RequestParameters").items())


def _read_parameter(name: str, required: Any) -> dict[str, Any]:
    _, _, place, key = name.split(".", 3)
    is_required = str(required).lower() == "true"
    return {"name": key, "in": _PLACES[place], "required": is_required, "schema": {"type": "string"}}


def _read_security(
    properties: Mapping[str, Any], own: Mapping[str, Resource], schemes: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    kind = str(properties.get("AuthorizationType") or "NONE")
    if kind == "AWS_IAM":
        schemes[kind] = {"type": "apiKey", "name": "Authorization", "in": "header"}
        schemes[kind]["x-amazon-apigateway-authtype"] = "awsSigv4"
        yield {kind: []}
    elif kind != "NONE":
        authorizer_id = properties.get("AuthorizerId")
        name = str(authorizer_id)
        schemes[name] = _compose_scheme(authorizer_id, own)
        yield {name: properties.get("AuthorizationScopes") or []}
    if str(properties.get("ApiKeyRequired")).lower() == "true":
        schemes[_API_KEY] = {"type": "apiKey", "name": "x-api-key", "in": "header"}
        yield {_API_KEY: []}


def _compose_scheme(authorizer_id: Any, own: Mapping[str, Resource]) -> dict[str, Any]:
    found = (entry for _, entry in _of_type(own, "AWS::ApiGateway::Authorizer") if entry.reference == authorizer_id)
    authorizer = next(found, None)
    if authorizer is None:
        raise TemplateError(f"there is no authorizer {authorizer_id!r}.")
    properties = authorizer.properties
    kind = str(properties.get("Type"))
    source = str(properties.get("IdentitySource") or "method.request.header.Authorization")
    settings = {
        "type": kind.lower(),
        "authorizerUri": properties.get("AuthorizerUri"),
        "authorizerCredentials": properties.get("AuthorizerCredentials"),
        "authorizerResultTtlInSeconds": properties.get("AuthorizerResultTtlInSeconds"),
        "identitySource": source,
        "identityValidationExpression": properties.get("IdentityValidationExpression"),
        "providerARNs": properties.get("ProviderARNs"),
    }
    return {
        "type": "apiKey",
        "name": source.rpartition(".")[2] if source.startswith("method.request.header.") else "Unused",
        "in": "header",
        "x-amazon-apigateway-authtype": _AUTHTYPES.get(kind, kind),
        "x-amazon-apigateway-authorizer": {name: entry for name, entry in settings.items() if entry is not None},
    }
