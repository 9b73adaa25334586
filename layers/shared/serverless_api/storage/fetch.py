"""HTTP requests whose answers are complete and of limited size."""

import json
from binascii import crc32
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Largest answer that is read, unless the caller sets another limit; DynamoDB's largest are 16 MB."""


class AnswerUnreadable(ConnectionError):
    """An answer has arrived that is not complete, not intact or not what it should be.

    Attributes:
        response: the response, if there was as much of it.
    """

    def __init__(self, host: str, response: HTTPResponse | None, reason: object) -> None:
        status = response.status if response else None
        super().__init__(f"Unreadable response from {host} (status {status}): {reason}")
        self.response = response


class AnswerTooLarge(AnswerUnreadable):
    """The body of an answer is larger than the caller takes. It was not read to its end."""


def fetch(
    connection: HTTPConnection,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    most: int = MAX_ANSWER_BYTES,
) -> tuple[HTTPResponse, bytes]:
    """Send a request and return the response with its body, whatever the status.

    Args:
        connection: the connection to use; close it after an exception.
        method: the HTTP method.
        target: path and query.
        headers: the request's headers; http.client adds `Accept-Encoding: identity` and `Content-Length`.
        body: the request's body.
        most: the most bytes that the answer's body may have.

    Raises:
        AnswerTooLarge: the answer's body is larger.
        AnswerUnreadable: the answer is not complete.
        OSError: no response arrived.
    """
    connection.request(method, target, body, dict(headers))
    response = None
    try:
        with connection.getresponse() as response:
            is_too_large = (response.length or 0) > most
            content = b"" if is_too_large else response.read(most + 1)
        if is_too_large or len(content) > most:
            raise AnswerTooLarge(connection.host, response, f"it is over {most} bytes")
        if response.length:
            raise ValueError("it is not complete")
    except (HTTPException, ValueError) as error:
        raise AnswerUnreadable(connection.host, response, error) from error
    return response, content


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
        AnswerUnreadable: the answer is not a complete, intact JSON object.
        OSError: no response arrived.
    """
    response, content = fetch(connection, method, target, headers, body)
    return response, read_json(connection.host, response, content)


def read_json(host: str, response: HTTPResponse, content: bytes) -> dict[str, Any]:
    """Return the JSON object in a response's body.

    Raises:
        AnswerUnreadable: it is not an intact JSON object.
    """
    try:
        checksum = response.getheader("x-amz-crc32")
        if checksum is not None and int(checksum) != crc32(content):
            raise ValueError(f"its checksum is not {checksum}")
        document = json.loads(content)
        if not isinstance(document, dict):
            raise TypeError("it is not an object")
    except (ValueError, TypeError, RecursionError) as error:
        raise AnswerUnreadable(host, response, error) from error
    return document
