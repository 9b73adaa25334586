"""Payload format 2.0: the event that a function receives and the response that it returns.

Source: "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway" (API Gateway Developer Guide). Details that
it leaves open follow real events: `rawPath` is percent-decoded, `rawQueryString` is not, and the `cookie` header
moves to `cookies`.
"""

import base64
import binascii
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from local_engine.account import ACCOUNT_ID

_TEXT_TYPE = re.compile(r"text/.*|application/(?:(?:.*\+)?(?:json|xml)|javascript)")
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_HEADER_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
# The gateway writes these itself. A function's own values describe another connection.
_GATEWAY_HEADERS = {
    b"connection",
    b"content-length",
    b"date",
    b"keep-alive",
    b"server",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}

Headers = list[tuple[bytes, bytes]]


class InvalidResponse(Exception):
    """A function's result is not an HTTP response. The message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it reached the gateway."""

    id: str
    method: str
    raw_path: str
    """Percent-encoded, with the stage."""
    query: str
    headers: Headers
    """Names in lower case."""
    body: bytes
    source_ip: str
    scheme: str
    host: str
    http_version: str
    received_at: float
    """Seconds since the epoch."""

    def find_header(self, name: bytes) -> str | None:
        """Return the value of the first header with a name in lower case."""
        return next((value.decode("latin-1") for found, value in self.headers if found == name), None)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response to send."""

    status: int
    headers: Headers
    body: bytes


def build_event(
    request: Request,
    *,
    api_id: str,
    stage: str,
    route_key: str,
    path_parameters: Mapping[str, str],
    authorizer: Mapping[str, Any] | None,
    stage_variables: Mapping[str, str],
) -> dict[str, Any]:
    """Return the event for a request.

    Args:
        request: the request.
        api_id: the API's ID.
        stage: the stage's name.
        route_key: the matching route, such as `GET /items/{id}`.
        path_parameters: values of the route's path variables.
        authorizer: the authorizer's part of `requestContext`. None if the route is open.
        stage_variables: the stage's variables.
    """
    headers, cookies = _read_headers(request)
    path = unquote(request.raw_path)
    context: dict[str, Any] = {
        "accountId": ACCOUNT_ID,
        "apiId": api_id,
        "domainName": request.host,
        "domainPrefix": request.host.partition(".")[0].partition(":")[0],
        "http": {
            "method": request.method,
            "path": path,
            "protocol": f"HTTP/{request.http_version}",
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request.id,
        "routeKey": route_key,
        "stage": stage,
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(request.received_at)),
        "timeEpoch": int(request.received_at * 1000),
    }
    if authorizer is not None:
        context["authorizer"] = authorizer
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = _join_repeated(parse_qsl(request.query, keep_blank_values=True))
    if path_parameters:
        event["pathParameters"] = path_parameters
    if stage_variables:
        event["stageVariables"] = stage_variables
    if request.body:
        event["body"], event["isBase64Encoded"] = encode_body(request.body, headers.get("content-type", "text/plain"))
    return event


def read_response(payload: bytes) -> Response:
    """Return the HTTP response in a function's payload.

    A payload without `statusCode` is the JSON body of a 200.

    Raises:
        InvalidResponse: the payload is not JSON, or part of it has the wrong type.
    """
    try:
        value = json.loads(payload, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidResponse(f"it is not JSON: {error}") from error
    if not isinstance(value, dict) or "statusCode" not in value:
        body = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else payload
        return Response(200, [(b"content-type", b"application/json")], body)
    status = read_status(value["statusCode"])
    body = b"" if status in (204, 304) else read_body(value.get("body"), value.get("isBase64Encoded", False))
    headers = read_response_headers(value.get("headers") or {})
    if body and not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"text/plain;charset=UTF-8"))
    cookies = value.get("cookies") or []
    if not isinstance(cookies, list):
        raise InvalidResponse("cookies is not a list")
    headers += [(b"set-cookie", encode_header("set-cookie", cookie)) for cookie in cookies]
    return Response(status, headers, body)


def _read_headers(request: Request) -> tuple[dict[str, str], list[str]]:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    cookies = [cookie.strip() for name, value in pairs if name == "cookie" for cookie in value.split(";")]
    headers = _join_repeated((name, value) for name, value in pairs if name != "cookie")
    forwarded = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{forwarded}, {request.source_ip}" if forwarded else request.source_ip
    headers["x-forwarded-proto"] = request.scheme
    headers["x-forwarded-port"] = request.host.rpartition(":")[2] if ":" in request.host else "80"
    return headers, [cookie for cookie in cookies if cookie]


def _join_repeated(pairs: Any) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def encode_body(body: bytes, content_type: str) -> tuple[str, bool]:
    """Return a request's body as an event has it, and whether that is base64."""
    if _TEXT_TYPE.fullmatch(content_type.partition(";")[0].strip().lower()):
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True


def refuse_constant(constant: str) -> None:
    """Reject `NaN` and the infinities, which Python's JSON parser accepts. For its `parse_constant`.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{constant} is not a JSON number")


def read_status(value: Any) -> int:
    """Return a response's status.

    Raises:
        InvalidResponse: it is not valid.
    """
    try:
        status = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else 0
    except ValueError:
        status = 0
    if not 200 <= status <= 599:
        raise InvalidResponse(f"statusCode is {value!r}")
    return status


def read_body(body: Any, is_base64: Any) -> bytes:
    """Return a response's body.

    Raises:
        InvalidResponse: it is not a string, or not base64.
    """
    if body is None:
        return b""
    if not isinstance(body, str):
        raise InvalidResponse("body is not a string")
    if is_base64 is not True:
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidResponse("isBase64Encoded is true, but body is not base64") from error


def read_response_headers(headers: Any) -> Headers:
    """Return a response's headers without those that the gateway writes.

    Raises:
        InvalidResponse: they are not an object, or one is no header.
    """
    if not isinstance(headers, dict):
        raise InvalidResponse("headers is not an object")
    read = []
    for name, value in headers.items():
        raw_name = encode_header_name(name)
        if raw_name not in _GATEWAY_HEADERS:
            read.append((raw_name, encode_header(name, value)))
    return read


def encode_header_name(name: str) -> bytes:
    """Return the name of a header in lower case.

    Raises:
        InvalidResponse: it is not valid.
    """
    raw_name = name.lower().encode("utf-8", "surrogatepass")
    if not _HEADER_NAME.fullmatch(raw_name):
        raise InvalidResponse(f"{name!r} is not a header name")
    return raw_name


def encode_header(name: str, value: Any) -> bytes:
    """Return the value of a header.

    Raises:
        InvalidResponse: it is not valid.
    """
    match value:
        case bool():
            text = "true" if value else "false"
        case str() | int() | float():
            text = str(value)
        case _:
            raise InvalidResponse(f"header {name} is not a string")
    encoded = text.strip(" \t").encode("utf-8", "surrogatepass")
    if not _HEADER_VALUE.fullmatch(encoded):
        raise InvalidResponse(f"header {name} has a control character in its value")
    return encoded
