"""Payload format 1.0 of an HTTP API: the event that a function receives and the response that it returns.

Source: "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway" (API Gateway Developer Guide). It resembles
the event of a REST API, but has a version, no trace of resources, and `authorizer` with claims and scopes.
"""

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from local_engine.account import ACCOUNT_ID
from local_engine.gateway.events import (
    InvalidResponse,
    Request,
    Response,
    encode_body,
    read_body,
    read_response_headers,
    read_status,
    refuse_constant,
)
from local_engine.gateway.routes import Route
from local_engine.template.stack import HttpApi


def build_proxy_event(
    request: Request,
    api: HttpApi,
    route: Route,
    path_parameters: Mapping[str, str],
    authorizer: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the event for a request.

    Args:
        request: the request.
        api: the API.
        route: the matching route.
        path_parameters: values of its path variables.
        authorizer: the authorizer's part of the event in payload format 2.0. None if the route is open.
    """
    headers: dict[str, list[str]] = {}
    for raw_name, raw_value in request.headers:
        headers.setdefault(raw_name.decode("latin-1"), []).append(raw_value.decode("latin-1"))
    forwarded = headers.get("x-forwarded-for", [])
    headers["x-forwarded-for"] = [", ".join([*forwarded, request.source_ip])]
    headers["x-forwarded-proto"] = [request.scheme]
    headers["x-forwarded-port"] = [request.host.rpartition(":")[2] if ":" in request.host else "80"]
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    body, is_base64 = None, False
    if request.body:
        body, is_base64 = encode_body(request.body, headers.get("content-type", ["text/plain"])[-1])
    return {
        "version": "1.0",
        "resource": route.path,
        "path": request.raw_path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": _build_context(request, api, route, authorizer),
        "pathParameters": dict(path_parameters) or None,
        "stageVariables": dict(api.stage_variables) or None,
        "body": body,
        "isBase64Encoded": is_base64,
    }


def _build_context(
    request: Request, api: HttpApi, route: Route, authorizer: Mapping[str, Any] | None
) -> dict[str, Any]:
    # In payload format 2.0, an authorizer's part has one more level, and IAM is an authorizer.
    iam = (authorizer or {}).get("iam") or {}
    found = next(iter((authorizer or {}).values()), None)
    authorizer = {"claims": None, "scopes": None} if iam or found is None else found
    return {
        "accountId": ACCOUNT_ID,
        "apiId": api.id,
        "authorizer": authorizer,
        "domainName": request.host,
        "domainPrefix": request.host.partition(".")[0].partition(":")[0],
        "extendedRequestId": request.id,
        "httpMethod": request.method,
        "identity": {
            "accessKey": iam.get("accessKey"),
            "accountId": iam.get("accountId"),
            "caller": iam.get("callerId"),
            "cognitoAuthenticationProvider": None,
            "cognitoAuthenticationType": None,
            "cognitoIdentityId": None,
            "cognitoIdentityPoolId": None,
            "principalOrgId": None,
            "sourceIp": request.source_ip,
            "user": iam.get("userId"),
            "userAgent": request.find_header(b"user-agent"),
            "userArn": iam.get("userArn"),
        },
        "path": request.raw_path,
        "protocol": f"HTTP/{request.http_version}",
        "requestId": request.id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(request.received_at)),
        "requestTimeEpoch": int(request.received_at * 1000),
        "resourceId": None,
        "resourcePath": route.path,
        "stage": api.stage,
    }


def read_proxy_payload(payload: bytes) -> Response:
    """Return the HTTP response in a function's payload. Its form is not inferred, as in payload format 2.0.

    Raises:
        InvalidResponse: the payload is not an object with `statusCode`, or part of it has the wrong type.
    """
    try:
        value = json.loads(payload, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidResponse(f"it is not JSON: {error}") from error
    if not isinstance(value, dict) or "statusCode" not in value:
        raise InvalidResponse("it has no statusCode, which payload format 1.0 requires")
    status = read_status(value["statusCode"])
    multiple = value.get("multiValueHeaders") or {}
    if not isinstance(multiple, dict) or not all(isinstance(entries, list) for entries in multiple.values()):
        raise InvalidResponse("multiValueHeaders is not an object of lists")
    headers = read_response_headers(value.get("headers") or {})
    for name, entries in multiple.items():
        # These take the place of a single value.
        headers = [pair for pair in headers if pair[0] != name.lower().encode()]
        for entry in entries:
            headers += read_response_headers({name: entry})
    body = b"" if status in (204, 304) else read_body(value.get("body"), value.get("isBase64Encoded", False))
    if body and not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"text/plain;charset=UTF-8"))
    return Response(status, headers, body)
