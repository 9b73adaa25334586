"""One HTTP request, and the JSON object that answers it."""

import json
from binascii import crc32
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any


def exchange_json(
    connection: HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[HTTPResponse, dict[str, Any]]:
    """Send a request and read its whole response, whatever its status.

    Args:
        connection: which is of no further use after an exception.
        method: of HTTP.
        target: path and query.
        headers: to send; http.client adds `Accept-Encoding: identity` and `Content-Length`.
        body: to send.

    Returns:
        The response, and the JSON object that was its body.

    Raises:
        OSError: nothing arrived, or (as ConnectionError) what is not a whole, intact JSON object.
    """
    connection.request(method, target, body, dict(headers))
    status = None
    try:
        with connection.getresponse() as response:
            status = response.status
            content = response.read()
        checksum = response.getheader("x-amz-crc32")
        if checksum is not None and int(checksum) != crc32(content):
            raise ValueError(f"its checksum is not {checksum}")
        document = json.loads(content)
        if not isinstance(document, dict):
            raise TypeError("it is no object")
    except (HTTPException, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ConnectionError(f"The answer of {connection.host} (status {status}) cannot be read: {error}") from error
    return response, document
