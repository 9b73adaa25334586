"""OpenAPI document of an API, as clients and the API page read it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_EXTENSION = "x-amazon-apigateway-"
_ANY_METHOD = f"{_EXTENSION}any-method"
# What an HTTP API's document cannot say in OpenAPI's own words: API Gateway takes `tags` for AWS tags, and SAM writes
# the security scheme. README.md describes these extensions.
_TAGS, _SCOPES, _EVERY_OPERATION = "x-tags", "x-scopes", "x-every-operation"


def describe_api(
    document: Mapping[str, Any], token_paths: Mapping[str, str], origin: str, base_path: str = ""
) -> dict[str, Any]:
    """Return the gateway's document for clients: standard OpenAPI 3.0, with scopes and the token endpoint.

    Args:
        document: the OpenAPI document with API Gateway's extensions.
        token_paths: the local issuers' paths, by issuer or by the user pool's ARN.
        origin: scheme, host and port of the server, as the client reaches it.
        base_path: the stage, with which paths of requests begin.
    """
    components = document.get("components", {})
    schemes = components.get("securitySchemes", {})
    described: dict[str, Any] = _without_extensions(document)
    added_responses = _take_common_responses(described)
    described["info"] = {"title": "API", "version": "1", **described.get("info", {})}
    described["servers"] = [{"url": origin + base_path}]
    described["paths"] = {
        path.replace("+}", "}"): _describe_path(path, item, components.get("parameters", {}), added_responses)
        for path, item in document.get("paths", {}).items()
        if path.startswith("/")  # `$default` is a route without a path
    }
    # SAM puts the AWS resource's tags where OpenAPI has groups of operations.
    tags = [tag for tag in document.get("tags", ()) if f"{_EXTENSION}tag-value" not in tag]
    tags += described.pop(_TAGS, ())
    described.pop("tags", None)
    if tags:
        described["tags"] = tags
    descriptions = described.pop(_SCOPES, {})
    if schemes:
        scopes = {scope: descriptions.get(scope, "") for scope in list_scopes(described)}
        described["components"]["securitySchemes"] = {
            name: _describe_scheme(scheme, token_paths, origin, scopes) for name, scheme in schemes.items()
        }
    return described


def _take_common_responses(described: dict[str, Any]) -> dict[str, Any]:
    """Return the responses that every operation has, by their statuses, and remove the extension that marks them."""
    shared = described.get("components", {}).get("responses", {})
    return {
        str(response.pop(_EVERY_OPERATION)): {"$ref": f"#/components/responses/{name}"}
        for name, response in shared.items()
        if _EVERY_OPERATION in response
    }


def _describe_path(
    path: str, item: Mapping[str, Any], shared: Mapping[str, Any], added_responses: Mapping[str, Any]
) -> dict[str, Any]:
    described: dict[str, Any] = _without_extensions(item)
    if _ANY_METHOD in item:
        described = {**dict.fromkeys(_METHODS, _without_extensions(item[_ANY_METHOD])), **described}
    common = described.get("parameters", [])
    for method in described.keys() & set(_METHODS):
        operation = described[method] = dict(described[method])
        responses = operation.get("responses") or {"default": {"description": "The function's answer"}}
        operation["responses"] = dict(sorted({**added_responses, **responses}.items()))
        # SAM repeats the path's variables without the schema that OpenAPI requires.
        own = [entry for entry in operation.get("parameters", ()) if entry.keys() & {"$ref", "schema", "content"}]
        declared = [shared.get(entry.get("$ref", "").rpartition("/")[2], entry) for entry in (*common, *own)]
        names = {entry["name"] for entry in declared if entry["in"] == "path"}
        operation["parameters"] = own + [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{([^}+]+)\+?}", path)
            if name not in names
        ]
        if "security" in operation:
            operation["security"] = [single for entry in operation["security"] for single in _alternatives(entry)]
    return described


def _alternatives(requirement: Mapping[str, Sequence[str]]) -> list[dict[str, list[str]]]:
    """Split a requirement: the gateway wants one of a route's scopes, OpenAPI all scopes of a requirement."""
    scoped = [{name: [scope]} for name, scopes in requirement.items() for scope in scopes]
    return scoped or [{name: [] for name in requirement}]


def _describe_scheme(
    scheme: Mapping[str, Any], token_paths: Mapping[str, str], origin: str, scopes: Mapping[str, str]
) -> Any:
    authorizer = scheme.get("x-amazon-apigateway-authorizer", {})
    if scheme.get("x-amazon-apigateway-authtype") == "awsSigv4":
        return {**_without_extensions(scheme), "description": "Requests are signed (Signature Version 4)"}
    match authorizer.get("type"):
        case "jwt":
            trusted = authorizer.get("jwtConfiguration", {}).get("issuer", "")
        case "cognito_user_pools":
            trusted = next(iter(authorizer.get("providerARNs") or ()), "")
        case "request" | "token":
            return {**_without_extensions(scheme), "description": "A Lambda authorizer decides on access"}
        case _:
            return _without_extensions(scheme)
    # A template may have anything here.
    if not isinstance(trusted, str):
        return _without_extensions(scheme)
    if trusted in token_paths:
        flow = {"tokenUrl": f"{origin}{token_paths[trusted]}/oauth2/token", "scopes": scopes}
        return {"type": "oauth2", "flows": {"clientCredentials": flow}}
    if trusted.startswith("arn:"):
        return _without_extensions(scheme)
    return {"type": "openIdConnect", "openIdConnectUrl": trusted.rstrip("/") + "/.well-known/openid-configuration"}


def list_scopes(document: Mapping[str, Any]) -> list[str]:
    """Return the scopes that the routes of an API ask for, sorted."""
    operations = [item[method] for item in document["paths"].values() for method in _METHODS if method in item]
    requirements = [entry for operation in operations for entry in operation.get("security", ())]
    return sorted({scope for requirement in requirements for scopes in requirement.values() for scope in scopes})


def _without_extensions(value: Any) -> Any:
    if isinstance(value, dict):
        kept = value.items()
        return {name: _without_extensions(entry) for name, entry in kept if not str(name).startswith(_EXTENSION)}
    return [_without_extensions(entry) for entry in value] if isinstance(value, list) else value
