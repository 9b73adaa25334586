"""The shape of API Gateway's events, as far as the code reads them: that of HTTP APIs (payload format 2.0).

Events of REST APIs are brought into it. The gateway sends no other shape. Anyone else who may invoke a function gets a
400 for a malformed event, not a 500.

Sources: «Create AWS Lambda proxy integrations for HTTP APIs in API Gateway» and «Lambda proxy integrations in API
Gateway», Amazon API Gateway Developer Guide.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeIs

type Form = type | list["Form"] | dict[Any, "Form"]

_SURROGATE = re.compile("[\ud800-\udfff]")

# RFC 3339, in which the API shows times, has no later year than 9999.
_MAX_MOMENT = 253_402_300_799_999

_EVENT: Form = {
    "routeKey": str,
    "headers": {str: str},
    "pathParameters": {str: str},
    "queryStringParameters": {str: str},
    "requestContext": {
        "requestId": str,
        "timeEpoch": int,
        "authorizer": {"jwt": {"claims": dict, "scopes": [str]}, "exp": str},
        # Of REST APIs alone.
        "requestTimeEpoch": int,
        "identity": {"userArn": str},
    },
    "body": str,
    "isBase64Encoded": bool,
    # Of REST APIs alone.
    "httpMethod": str,
    "resource": str,
    "path": str,
    "multiValueHeaders": {str: [str]},
    "multiValueQueryStringParameters": {str: [str]},
}


def is_gateway_event(event: object) -> bool:
    """Return whether an event has the gateway's shape. Any part may be missing or null; unknown parts are ignored.

    >>> is_gateway_event({"headers": {"accept": "*/*"}, "body": None})
    True
    >>> is_gateway_event({"headers": "accept"})
    False
    """
    return event is not None and _has_form(event, _EVENT)


def to_http_api_event(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event of the gateway's shape as an HTTP API would send it.

    The context of a Lambda authorizer replaces the token's claims. API Gateway caches it for minutes, so its `exp` says
    until when it is valid.

    >>> to_http_api_event({"httpMethod": "GET", "resource": "/widgets"})["routeKey"]
    'GET /widgets'
    """
    if "httpMethod" not in event:
        return event
    gateway = event.get("requestContext") or {}
    claims = gateway.get("authorizer")
    authorizer = {"jwt": {"claims": claims, "scopes": None, "expires": claims.get("exp")}} if claims else None
    return {
        **event,
        "routeKey": f"{event['httpMethod']} {event.get('resource')}",
        "headers": _join_values(event.get("multiValueHeaders")) or event.get("headers"),
        "queryStringParameters": _join_values(event.get("multiValueQueryStringParameters")),
        "requestContext": {
            **gateway,
            "timeEpoch": gateway.get("requestTimeEpoch"),
            "authorizer": authorizer,
        },
    }


def _join_values(parameters: Mapping[str, list[str]] | None) -> dict[str, str]:
    return {name: ",".join(values or ()) for name, values in (parameters or {}).items()}


def is_text(value: object) -> TypeIs[str]:
    """Return whether a value is a string that can be encoded: one without half of a surrogate pair."""
    return isinstance(value, str) and not _SURROGATE.search(value)


def _has_form(value: object, form: Form) -> bool:
    if value is None:
        return True
    if form is str:
        return is_text(value)
    if form is int:
        # Integers are moments, in milliseconds since 1970.
        return type(value) is int and 0 <= value <= _MAX_MOMENT
    if isinstance(form, type):
        return isinstance(value, form)
    if isinstance(form, list):
        return isinstance(value, list) and all(_has_form(entry, form[0]) for entry in value)
    if not isinstance(value, dict):
        return False
    if str in form:
        return all(_has_form(key, str) and _has_form(entry, form[str]) for key, entry in value.items())
    return all(_has_form(value.get(name), part) for name, part in form.items())
