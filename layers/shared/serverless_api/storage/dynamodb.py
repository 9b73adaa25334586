"""DynamoDB client with a timeout per call: each operation is one signed POST of JSON over a kept connection.

botocore's client loads a model of every operation and shape, which costs more than everything else in a cold start and
in a call. Its timeouts are fixed when it is created; here each call gets the time that its invocation has left.

Source: «DynamoDB low-level API», Amazon DynamoDB Developer Guide.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import quote

from serverless_api.storage.connection import KeptConnection
from serverless_api.storage.credentials import Credentials, CredentialSource
from serverless_api.storage.fetch import AnswerUnreadable, read_json
from serverless_api.storage.signed_requests import regional_host, sign

SIGNATURE_ERRORS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Errors that may pass with fresh credentials or the right time: the call is signed anew and repeated once."""

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

    def __init__(self, region: str, endpoint: str | None = None) -> None:
        """Create a client without connecting.

        Args:
            region: the AWS region, such as `eu-central-1`.
            endpoint: the URL to use instead of the region's endpoint.

        Raises:
            ValueError: `endpoint` is not a usable URL.
        """
        self._region = region
        try:
            url = endpoint or f"https://{regional_host('dynamodb', region)}"
            self._connection = KeptConnection(url, is_aws=True)
        except ValueError as error:
            raise ValueError(f"The DynamoDB endpoint {error}.") from error
        self._credentials = CredentialSource()
        self._clock_offset = 0.0

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
            self._credentials.forget()
            self._set_clock(error.response)
        return self._post(operation, body, timeout)

    def _post(self, operation: str, body: bytes, timeout: float) -> Answer:
        signed = self._sign(operation, body, self._credentials.find(timeout))
        response, content = self._connection.fetch("POST", signed, body, timeout)
        try:
            document = read_json(self._connection.host, response, content)
        except AnswerUnreadable:
            self._connection.close()
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
        self._sign("GetItem", _encode_json({}).encode(), Credentials("AKIDEXAMPLE", "none", "none"))
        self._connection.dry_run(timeout)

    def close(self) -> None:
        """Drop the connection and the credentials; the next call starts with new ones."""
        self._credentials.forget()
        self._clock_offset = 0.0
        self._connection.close()

    def _set_clock(self, response: HTTPResponse) -> None:
        """Measure how far this clock is from the server's: a signature of another time is rejected."""
        with suppress(TypeError, ValueError):
            self._clock_offset = parsedate_to_datetime(response.getheader("Date", "")).timestamp() - time.time()

    def _sign(self, operation: str, body: bytes, credentials: Credentials) -> dict[str, str]:
        headers = {
            "content-type": "application/x-amz-json-1.0",
            "host": self._connection.host,
            "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + self._clock_offset)),
            "x-amz-target": f"DynamoDB_20120810.{operation}",
        }
        path = quote(self._connection.target)
        return sign(credentials, self._region, "dynamodb", method="POST", path=path, headers=headers, body=body)
