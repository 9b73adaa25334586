"""Event of a Lambda proxy integration of a REST API: payload format 1.0.

Source: "Lambda proxy integrations in API Gateway", "Input format of a Lambda function for proxy integration" (API
Gateway Developer Guide). Details that it leaves open follow real events: names of headers are as the client sent them,
`path` and path parameters stay percent-encoded, query parameters are decoded, and the last of several values counts.
"""

import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from local_engine.account import ACCOUNT_ID
from local_engine.gateway.events import Request
from local_engine.rest_api.methods import Method
from local_engine.rest_api.template_variables import Variables
from local_engine.template.stack import RestApi

# API Gateway drops these ("Amazon API Gateway important notes").
_DROPPED = {
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


@dataclass
class MethodRequest:
    """A request to a method, as authorizers, validators and integrations see it."""

    http: Request
    api: RestApi
    """With the request's stage."""
    method: Method
    path_parameters: Mapping[str, str]
    extended_id: str
    header_names: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case, the name as the client sent it."""
    identity: dict[str, str] = field(default_factory=dict)
    """What an authorizer adds to `requestContext.identity`."""

    @property
    def path(self) -> str:
        """Without the stage, percent-encoded."""
        return self.http.raw_path[len(self.api.base_path) :] or "/"

    @property
    def arn(self) -> str:
        """The method's ARN, with the path of the request."""
        return (
            f"arn:aws:execute-api:us-east-1:{ACCOUNT_ID}:{self.api.id}/{self.api.stage}/{self.http.method}{self.path}"
        )

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """Every value of each header, by name as the client sent it."""
        http = self.http
        headers: dict[str, list[str]] = {}
        for raw_name, value in http.headers:
            name = raw_name.decode("latin-1")
            if name not in _DROPPED:
                headers.setdefault(self.header_names.get(name, name), []).append(value.decode("latin-1"))
        forwarded = http.find_header(b"x-forwarded-for")
        port = http.host.rpartition(":")[2] if ":" in http.host else "80"
        trace = (
            http.find_header(b"x-amzn-trace-id")
            or f"Root=1-{int(http.received_at):08x}-{http.id.replace('-', '')[:24]}"
        )
        own = {
            "X-Amzn-Trace-Id": trace,
            "X-Forwarded-For": f"{forwarded}, {http.source_ip}" if forwarded else http.source_ip,
            "X-Forwarded-Port": port,
            "X-Forwarded-Proto": http.scheme,
        }
        headers = {name: values for name, values in headers.items() if name.title() not in own}
        return headers | {name: [value] for name, value in own.items()}

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Every value of each query parameter, decoded."""
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.http.query, keep_blank_values=True):
            query.setdefault(name, []).append(value)
        return query

    @cached_property
    def variables(self) -> Variables:
        """What templates of the gateway can use."""
        return Variables(
            context=dict(_flatten(build_context(self, None))),
            stage_variables=self.api.stage_variables,
            headers={name.lower(): values for name, values in self.headers.items()},
            query=self.query,
            path=self.path_parameters,
        )


def build_event(request: MethodRequest, authorizer: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the event for a request.

    Args:
        request: the request.
        authorizer: the authorizer's part of `requestContext`. None if the method is open.
    """
    http = request.http
    is_binary = matches_media_type(http.find_header(b"content-type") or "", request.api.binary_media_types)
    body: str | None = None
    if http.body:
        body = base64.b64encode(http.body).decode() if is_binary else http.body.decode("utf-8", "replace")
    return {
        "resource": request.method.path,
        "path": request.path,
        "httpMethod": http.method,
        "headers": {name: values[-1] for name, values in request.headers.items()},
        "multiValueHeaders": request.headers,
        "queryStringParameters": {name: values[-1] for name, values in request.query.items()} or None,
        "multiValueQueryStringParameters": request.query or None,
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": dict(request.api.stage_variables) or None,
        "requestContext": build_context(request, authorizer),
        "body": body,
        "isBase64Encoded": is_binary and bool(http.body),
    }


def build_context(request: MethodRequest, authorizer: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an event's `requestContext`."""
    http, api = request.http, request.api
    context: dict[str, Any] = {
        "resourceId": _short_id(request.method.path),
        "resourcePath": request.method.path,
        "httpMethod": http.method,
        "extendedRequestId": request.extended_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(http.received_at)),
        "path": http.raw_path,
        "accountId": ACCOUNT_ID,
        "protocol": f"HTTP/{http.http_version}",
        "stage": api.stage,
        "domainPrefix": http.host.partition(".")[0].partition(":")[0],
        "requestTimeEpoch": int(http.received_at * 1000),
        "requestId": http.id,
        "identity": {
            "cognitoIdentityPoolId": None,
            "accountId": None,
            "cognitoIdentityId": None,
            "caller": None,
            "sourceIp": http.source_ip,
            "principalOrgId": None,
            "accessKey": None,
            "cognitoAuthenticationType": None,
            "cognitoAuthenticationProvider": None,
            "userArn": None,
            "userAgent": http.find_header(b"user-agent"),
            "user": None,
            **request.identity,
        },
        "domainName": http.host,
        "deploymentId": _short_id(f"{api.id} deployment"),
        "apiId": api.id,
    }
    if authorizer is not None:
        context["authorizer"] = authorizer
    if "operationId" in request.method.operation:
        context["operationName"] = str(request.method.operation["operationId"])
    return context


def matches_media_type(header: str, media_types: Sequence[str]) -> bool:
    """Return whether the first media type of a header is among some, of which one may be `*/*` or `image/*`."""
    media_type = header.partition(",")[0].partition(";")[0].strip().lower()
    main = media_type.partition("/")[0]
    return any(entry.lower() in ("*/*", media_type, f"{main}/*") for entry in media_types)


def _short_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _flatten(context: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in context.items():
        if isinstance(value, Mapping):
            flat += _flatten(value, f"{prefix}{name}.")
        elif value is not None:
            flat.append((prefix + name, str(value)))
    return flat
