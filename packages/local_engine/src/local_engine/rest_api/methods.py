"""Methods of a REST API ("OpenAPI extensions for API Gateway", API Gateway Developer Guide)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_engine.gateway.routes import FUNCTION_NAME, METHODS, Route, substitute_stage_variables
from local_engine.template.intrinsics import REFUSAL
from local_engine.template.stack import RestApi

ANY_METHOD = "x-amazon-apigateway-any-method"
_INTEGRATION = "x-amazon-apigateway-integration"
_FUNCTION_URI = re.compile(rf"{FUNCTION_NAME.pattern}/(invocations|response-streaming-invocations)$")
_DEFAULT_TIMEOUT = 29.0
_OTHER_INTEGRATIONS = {
    "aws": "integrates an AWS service, and the local engine serves only Lambda proxy and mock integrations.",
    "http": "calls an HTTP endpoint, and the local engine serves only Lambda proxy and mock integrations.",
    "http_proxy": "calls an HTTP endpoint, and the local engine serves only Lambda proxy and mock integrations.",
}


class _Unservable(Exception):
    """The engine cannot serve a method as AWS would. The message ends the sentence `Method GET /x …`."""


@dataclass(frozen=True)
class Method(Route):
    """A method of a resource. `qualifier` and `function_name` are empty for a mock integration."""

    operation: Mapping[str, Any] = field(default_factory=dict)
    """The OpenAPI operation, with the parameters of its path."""
    integration: Mapping[str, Any] = field(default_factory=dict)
    is_streamed: bool = False
    """Whether the function's response is streamed."""

    @property
    def is_mock(self) -> bool:
        """Whether the gateway responds itself."""
        return str(self.integration.get("type")).lower() == "mock"


def read_methods(api: RestApi) -> Iterator[Method]:
    """Read the methods of a REST API's document, for the API's stage."""
    for written, item in (api.document.get("paths") or {}).items():
        # The tree of resources has none for the empty segment after a trailing slash.
        path = written.rstrip("/") or "/"
        for name, operation in item.items() if isinstance(item, dict) else ():
            verb = "ANY" if name in (ANY_METHOD, REFUSAL) else name.upper()
            if verb not in ("ANY", *METHODS):
                continue
            try:
                if name == REFUSAL:
                    raise _Unservable(f"cannot be served: {operation}")
                yield _read_method(verb, path, operation, item.get("parameters") or [], api)
            except _Unservable as error:
                yield _refuse(verb, path, f"Method {verb} {path} {error}")
            except (TypeError, ValueError, LookupError, AttributeError) as error:
                yield _refuse(verb, path, f"Method {verb} {path} has a part of a wrong form ({error}).")


def _refuse(verb: str, path: str, refusal: str) -> Method:
    return Method(verb, path, "", None, None, (), _DEFAULT_TIMEOUT, refusal)


def _read_method(verb: str, path: str, operation: Any, parameters: list[Any], api: RestApi) -> Method:
    if not isinstance(operation, dict):
        raise _Unservable("is not a mapping.")
    if REFUSAL in operation:
        raise _Unservable(f"cannot be served: {operation[REFUSAL]}")
    integration = operation.get(_INTEGRATION)
    if not isinstance(integration, dict):
        raise _Unservable("has no integration.")
    kind = str(integration.get("type")).lower()
    function_name, qualifier, is_streamed = "", None, False
    if kind == "aws_proxy":
        function_name, qualifier, is_streamed = _find_function(integration, api)
    elif kind != "mock":
        raise _Unservable(_OTHER_INTEGRATIONS.get(kind, f"has an integration of the unknown type {kind!r}."))
    authorizer, scopes = _read_security(operation, api.document)
    timeout = float(integration.get("timeoutInMillis") or _DEFAULT_TIMEOUT * 1000) / 1000
    return Method(
        method=verb,
        path=path,
        function_name=function_name,
        qualifier=qualifier,
        authorizer=authorizer,
        scopes=scopes,
        timeout=timeout,
        operation={**operation, "parameters": [*parameters, *(operation.get("parameters") or [])]},
        integration=integration,
        credentials=str(integration.get("credentials") or ""),
        is_streamed=is_streamed,
    )


def _find_function(integration: Mapping[str, Any], api: RestApi) -> tuple[str, str | None, bool]:
    """Return the function's name, the version or alias in the integration, and whether its response is streamed."""
    try:
        uri = substitute_stage_variables(str(integration.get("uri")), api.stage_variables)
    except KeyError as error:
        raise _Unservable(f"uses a stage variable that stage {api.stage} does not have: {error}.") from None
    found = _FUNCTION_URI.search(uri)
    if not found:
        raise _Unservable(_OTHER_INTEGRATIONS["aws"])
    verb = str(integration.get("httpMethod") or "POST").upper()
    if verb != "POST":
        raise _Unservable(f"has an integration with the httpMethod {verb}, and Lambda takes only POST.")
    is_streamed = str(integration.get("responseTransferMode")).upper() == "STREAM"
    if is_streamed != (found[3] == "response-streaming-invocations"):
        raise _Unservable("has an integration whose responseTransferMode does not fit its URI.")
    return found[1], found[2], is_streamed


def _read_security(operation: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Return the name of the authorizer and the scopes. An API key is asked for beside the authorizer."""
    requirements = operation.get("security", document.get("security")) or []
    schemes = (document.get("components") or {}).get("securitySchemes") or {}
    authorizer: str | None = None
    scopes: tuple[str, ...] = ()
    for name, asked in (pair for requirement in requirements for pair in requirement.items()):
        # SAM writes NONE for a method without the default authorizer.
        if name == "NONE":
            continue
        if _is_api_key(schemes.get(name)):
            raise _Unservable("requires an API key, and the local engine has no API keys and usage plans.")
        if authorizer is None:
            authorizer, scopes = name, tuple(map(str, asked))
    # The extension names no scheme.
    kind = (operation.get("x-amazon-apigateway-auth") or {}).get("type", "NONE")
    kind = str(kind).upper()
    return (kind, ()) if authorizer is None and kind != "NONE" else (authorizer, scopes)


def _is_api_key(scheme: Any) -> bool:
    return (
        isinstance(scheme, dict)
        and scheme.get("type") == "apiKey"
        and not scheme.keys() & {"x-amazon-apigateway-authtype", "x-amazon-apigateway-authorizer", REFUSAL}
    )
