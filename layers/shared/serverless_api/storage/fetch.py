"""HTTP requests that are answered by a JSON object."""

import json
from binascii import crc32
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any


def fetch_json(
    connection: HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[HTTPResponse, dict[str, Any]]:
    """Send a request and return the response with its JSON object, whatever the status.

    Args:
        connection: the connection to use; close it after an exception.
        method: the HTTP method.
        target: path and query.
        headers: the request's headers; http.client adds `Accept-Encoding: identity` and `Content-Length`.
        body: the request's body.

    Returns:
        The response, already read, and the JSON object in its body.

    Raises:
        OSError: no response arrived, or (ConnectionError) it is not a complete, intact JSON object.
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
            raise TypeError("it is not an object")
    except (HTTPException, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ConnectionError(f"Unreadable response from {connection.host} (status {status}): {error}") from error
    return response, document
