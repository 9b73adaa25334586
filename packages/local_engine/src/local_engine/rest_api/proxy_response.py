"""Response of a function in a Lambda proxy integration of a REST API.

Source: "Output format of a Lambda function for proxy integration" and "Amazon API Gateway important notes" (API Gateway
Developer Guide). No field is required, and other fields than these make the response malformed.
"""

import json
from collections.abc import Mapping
from typing import Any

from local_engine.gateway.events import (
    Headers,
    InvalidResponse,
    Response,
    encode_header,
    encode_header_name,
    read_body,
    read_status,
    refuse_constant,
)

_FIELDS = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
# The gateway sends these under another name, because it writes its own.
_REMAPPED = {
    b"authorization",
    b"connection",
    b"content-length",
    b"content-md5",
    b"date",
    b"host",
    b"max-forwards",
    b"server",
    b"user-agent",
    b"www-authenticate",
    b"x-amz-apigw-id",
    b"x-amzn-requestid",
}
_DROPPED = {b"expect", b"keep-alive", b"proxy-authenticate", b"te", b"trailer", b"transfer-encoding", b"upgrade"}


def read_proxy_response(payload: bytes, *, decodes_body: bool) -> Response:
    """Return the HTTP response in a function's payload.

    Args:
        payload: the function's result.
        decodes_body: whether a body in base64 is decoded: the client accepts a binary media type.

    Raises:
        InvalidResponse: the payload is malformed.
    """
    try:
        value = json.loads(payload, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidResponse(f"it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidResponse("it is not an object")
    if unknown := value.keys() - _FIELDS:
        raise InvalidResponse(f"REST APIs do not allow its field {min(unknown)}")
    status = 200 if value.get("statusCode") is None else read_status(value["statusCode"])
    headers = read_headers(value)
    body = read_body(value.get("body"), decodes_body and value.get("isBase64Encoded", False))
    return Response(status, headers, b"" if status in (204, 304) else body)


def read_headers(value: Mapping[str, Any]) -> Headers:
    """Return the response headers in a function's payload: single and multiple values together, each once.

    Raises:
        InvalidResponse: they are malformed.
    """
    single, multiple = value.get("headers") or {}, value.get("multiValueHeaders") or {}
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise InvalidResponse("headers or multiValueHeaders is not an object")
    pairs = [(name, entry) for name, entry in single.items() if entry is not None]
    for name, entries in multiple.items():
        if not isinstance(entries, list):
            raise InvalidResponse(f"multiValueHeaders.{name} is not a list")
        pairs += [(name, entry) for entry in entries]
    headers: Headers = []
    for name, entry in pairs:
        if isinstance(entry, int | float) and not isinstance(entry, bool):
            raise InvalidResponse(f"header {name} is not a string")
        raw_name = encode_header_name(name)
        if raw_name in _DROPPED:
            continue
        pair = (b"x-amzn-remapped-" + raw_name if raw_name in _REMAPPED else raw_name, encode_header(name, entry))
        if pair not in headers:
            headers.append(pair)
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"application/json"))
    return headers
