"""Error responses of a REST API's gateway, which the API can change.

Source: "Gateway response types for API Gateway" and "Set up gateway responses" (API Gateway Developer Guide).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_engine.gateway.events import Headers, Response
from local_engine.gateway.request_limits import Rejection
from local_engine.rest_api.template_variables import Variables
from local_engine.template.errors import TemplateError

_GATEWAY_RESPONSES = "x-amazon-apigateway-gateway-responses"
_DEFAULT_TEMPLATES = {"application/json": '{"message":$context.error.messageString}'}
_HEADER = "gatewayresponse.header."
# The value of `x-amzn-errortype`. Types that are not here have the status's.
_ERROR_TYPES = {
    "ACCESS_DENIED": "AccessDeniedException",
    "EXPIRED_TOKEN": "ExpiredTokenException",
    "INVALID_SIGNATURE": "InvalidSignatureException",
    "MISSING_AUTHENTICATION_TOKEN": "MissingAuthenticationTokenException",
    "UNAUTHORIZED": "UnauthorizedException",
}
_STATUS_ERROR_TYPES = {
    400: "BadRequestException",
    401: "UnauthorizedException",
    403: "ForbiddenException",
    404: "NotFoundException",
    413: "RequestTooLargeException",
    415: "UnsupportedMediaTypeException",
    429: "TooManyRequestsException",
    504: "InternalServerErrorException",
}
_TYPES_BY_STATUS = {
    401: "UNAUTHORIZED",
    403: "ACCESS_DENIED",
    404: "RESOURCE_NOT_FOUND",
    413: "REQUEST_TOO_LARGE",
    429: "THROTTLED",
}
TYPES = {
    "ACCESS_DENIED",
    "API_CONFIGURATION_ERROR",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "BAD_REQUEST_BODY",
    "BAD_REQUEST_PARAMETERS",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
    "EXPIRED_TOKEN",
    "INTEGRATION_FAILURE",
    "INTEGRATION_TIMEOUT",
    "INVALID_API_KEY",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "QUOTA_EXCEEDED",
    "REQUEST_TOO_LARGE",
    "RESOURCE_NOT_FOUND",
    "THROTTLED",
    "UNAUTHORIZED",
    "UNSUPPORTED_MEDIA_TYPE",
    "WAF_FILTERED",
}


@dataclass(frozen=True)
class _Customization:
    status: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=lambda: _DEFAULT_TEMPLATES)


class GatewayResponses:
    """The gateway responses of one API."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read the API's own responses.

        Raises:
            TemplateError: one of them has a wrong form.
        """
        self._customizations = dict(_read_customizations(document.get(_GATEWAY_RESPONSES) or {}))

    def render(self, rejection: Rejection, variables: Variables) -> Response:
        """Return the response to a rejected request."""
        status = rejection.response.status
        kind = rejection.response_type or _TYPES_BY_STATUS.get(status) or f"DEFAULT_{status // 100}XX"
        own = self._customizations.get(kind) or self._customizations.get(f"DEFAULT_{status // 100}XX")
        customization = own or _Customization()
        error = {
            "error.message": str(rejection),
            "error.messageString": json.dumps(str(rejection)),
            "error.responseType": kind,
            # It stands between quotes in a template.
            "error.validationErrorString": json.dumps(rejection.detail)[1:-1],
        }
        variables = Variables(**{**_fields(variables), "context": {**variables.context, **error}})
        content_type, template = _choose_template(customization.templates, variables)
        error_type = _ERROR_TYPES.get(kind) or _STATUS_ERROR_TYPES.get(status, "InternalServerErrorException")
        headers: Headers = [(b"content-type", content_type.encode())]
        if not any(name == b"x-amzn-errortype" for name, _ in rejection.headers):
            headers.append((b"x-amzn-errortype", error_type.encode()))
        headers += rejection.headers
        for name, expression in customization.parameters.items():
            if (value := variables.evaluate(expression)) is not None:
                headers = [pair for pair in headers if pair[0] != name.encode()]
                headers.append(
                    (name.encode(), value.encode("utf-8", "surrogatepass").replace(b"\r", b"").replace(b"\n", b""))
                )
        body = variables.substitute(template).encode("utf-8", "replace")
        # An authorizer's own responses differ from the default template.
        return Response(customization.status or status, headers, body if own else rejection.response.body)


def _fields(variables: Variables) -> dict[str, Any]:
    return {name: getattr(variables, name) for name in variables.__dataclass_fields__}


def _read_customizations(written: Any) -> Iterator[tuple[str, _Customization]]:
    if not isinstance(written, dict):
        raise TemplateError("its gateway responses are not a mapping.")
    for kind, entry in written.items():
        if kind not in TYPES or not isinstance(entry, dict):
            raise TemplateError(f"its gateway response {kind} is not a mapping, or there is no such type.")
        parameters = entry.get("responseParameters") or {}
        templates = entry.get("responseTemplates") or _DEFAULT_TEMPLATES
        try:
            status = None if entry.get("statusCode") is None else int(entry["statusCode"])
            headers = {
                name.removeprefix(_HEADER).lower(): str(value)
                for name, value in parameters.items()
                # API Gateway knows no other target.
                if name.startswith(_HEADER)
            }
            templates = {str(name).lower(): str(value) for name, value in templates.items()}
        except (TypeError, ValueError, AttributeError) as error:
            raise TemplateError(f"its gateway response {kind} has a part of a wrong form ({error}).") from error
        yield kind, _Customization(status, headers, templates)


def _choose_template(templates: Mapping[str, str], variables: Variables) -> tuple[str, str]:
    """Return content type and template: what the client accepts, or else JSON, or else the first."""
    accepted = [
        entry.partition(";")[0].strip().lower() for entry in ",".join(variables.headers.get("accept", ())).split(",")
    ]
    for content_type in (*accepted, "application/json"):
        if content_type in templates:
            return content_type, templates[content_type]
    return next(iter(templates.items()))
