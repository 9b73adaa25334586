"""DynamoDB client with a timeout per call: each operation is one signed POST of JSON over a kept connection.

botocore's client loads a model of every operation and shape, which costs more than everything else in a cold start and
in a call. Its timeouts are fixed when it is created; here each call gets the time that its invocation has left.

Source: «DynamoDB low-level API», Amazon DynamoDB Developer Guide.
"""

import json
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any, NamedTuple

from serverless_api.storage.fetch import AnswerUnreadable, read_json
from serverless_api.storage.signed_requests import SIGNATURE_ERRORS, SignedConnection, regional_host

_encode_json = json.JSONEncoder(separators=(",", ":")).encode


class DynamoDBError(Exception):
    """DynamoDB rejected a request.

    Attributes:
        code: an error code of «Error handling with DynamoDB», such as `ConditionalCheckFailedException`.
        message: DynamoDB's message.
        document: the response's body, with `Item` or `CancellationReasons` if DynamoDB includes them.
        response: the HTTP response.
        request_id: the ID that AWS Support asks for; empty if there is none.
    """

    def __init__(self, response: HTTPResponse, document: dict[str, Any]) -> None:
        self.code = str(document.get("__type") or response.status).rpartition("#")[2]
        self.message = str(document.get("message") or document.get("Message") or "")
        self.document = document
        self.response = response
        self.request_id: str = response.getheader("x-amzn-RequestId", "")
        super().__init__(f"{self.code}: {self.message}")


class Answer(NamedTuple):
    """The answer to an operation: its result in DynamoDB JSON, and the HTTP response that carried it."""

    document: dict[str, Any]
    response: HTTPResponse


class DynamoDB:
    """A client for one request at a time, as a Lambda environment serves them. Each thread needs its own."""

    def __init__(self, region: str, endpoint: str | None = None, host: str = "dynamodb") -> None:
        """Create a client without connecting.

        Args:
            region: the AWS region, such as `eu-central-1`.
            endpoint: the URL to use instead of the region's endpoint.
            host: what the name of the region's endpoint starts with.

        Raises:
            ValueError: `endpoint` is not a usable URL.
        """
        try:
            self._connection = SignedConnection(
                endpoint or f"https://{regional_host(host, region)}", region, "dynamodb"
            )
        except ValueError as error:
            raise ValueError(f"The DynamoDB endpoint {error}.") from error

    def call(self, operation: str, request: Mapping[str, Any], timeout: float) -> Answer:
        """Perform an operation, without retries, except for one with a new signature.

        Args:
            operation: an operation of the «Amazon DynamoDB API Reference», such as `GetItem`.
            request: its parameters, in DynamoDB JSON.
            timeout: seconds for connecting and for each wait on the socket.

        Raises:
            DynamoDBError: DynamoDB rejected the request.
            OSError: no complete response arrived. The operation may have been performed.
            CredentialsError: the environment has no credentials.
        """
        if timeout <= 0:
            raise TimeoutError("No time is left to call DynamoDB.")
        body = _encode_json(request).encode()
        try:
            return self._post(operation, body, timeout)
        except DynamoDBError as error:
            if error.code not in SIGNATURE_ERRORS:
                raise
            # Rejected before anything was done, so any operation is safe to repeat.
            self._connection.renew(error.response)
        return self._post(operation, body, timeout)

    def _post(self, operation: str, body: bytes, timeout: float) -> Answer:
        response, content = self._connection.post(_make_headers(operation), body, timeout)
        try:
            document = read_json(self._connection.host, response, content)
        except AnswerUnreadable:
            self._connection.hang_up()
            raise
        if response.status != 200 or "__type" in document:
            raise DynamoDBError(response, document)
        return Answer(document, response)

    def dry_run(self, timeout: float) -> None:
        """Dry run: sign with dummy keys, connect and disconnect. Sends no request.

        Args:
            timeout: seconds for connecting.

        Raises:
            OSError: the connection failed.
        """
        self._connection.dry_run(_make_headers("GetItem"), b"{}", timeout)

    def close(self) -> None:
        """Drop the connection and the credentials; the next call starts with new ones."""
        self._connection.close()


def _make_headers(operation: str) -> dict[str, str]:
    return {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"DynamoDB_20120810.{operation}"}
