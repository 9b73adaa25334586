"""One HTTP request, and the JSON object that answers it."""

import json
from binascii import crc32
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any


def exchange(
    connection: HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[HTTPResponse, dict[str, Any]]:
    """Send a request and return the response with the JSON object in its body.

    Raises:
        OSError: there is no such answer; ConnectionError where one arrived that cannot be read.
    """
    connection.request(method, path, body, dict(headers))
    status = 0
    try:
        with connection.getresponse() as answer:
            status = answer.status
            content = answer.read()
        checksum = answer.getheader("x-amz-crc32")
        if checksum is not None and int(checksum) != crc32(content):
            raise ValueError("its checksum is wrong")
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
    except (HTTPException, ValueError, OverflowError, RecursionError) as error:
        raise ConnectionError(f"{connection.host} answered (status {status}) what cannot be read: {error}") from error
    return answer, document
