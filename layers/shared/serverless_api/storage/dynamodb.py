"""DynamoDB client with a timeout per call: each operation is one signed POST of JSON over a kept connection.

botocore's client loads a model of every operation and shape, which costs more than everything else in a cold start and
in a call. Its timeouts are fixed when it is created; here each call gets the time that its invocation has left.

Source: «DynamoDB low-level API», Amazon DynamoDB Developer Guide.
"""

import hashlib
import hmac
import json
import os
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

# Domains of the partitions that do not use amazonaws.com, by prefix of the region.
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
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
        if not endpoint:
            suffix = next((name for prefix, name in _SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com")
            endpoint = f"https://dynamodb.{region}.{suffix}"
        self._region = region
        try:
            self._connection = KeptConnection(endpoint, ca_file=os.environ.get("AWS_CA_BUNDLE") or None)
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
        return sign(credentials, self._region, self._connection.target, headers, body)


def find_endpoint(environ: Mapping[str, str]) -> str | None:
    """Return the URL that the environment sets for DynamoDB, or None.

    Source: «Service-specific endpoints», AWS SDKs and Tools Reference Guide.

    >>> find_endpoint({"AWS_ENDPOINT_URL": "http://127.0.0.1:8000", "AWS_ENDPOINT_URL_DYNAMODB": ""})
    'http://127.0.0.1:8000'
    """
    return environ.get("AWS_ENDPOINT_URL_DYNAMODB") or environ.get("AWS_ENDPOINT_URL") or None


def sign(credentials: Credentials, region: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the headers of a POST to DynamoDB with its signature, and the session token if there is one.

    Importing botocore's signer would load two thirds of botocore.

    Args:
        credentials: the keys to sign with.
        region: the endpoint's region.
        path: the URL's path, as it is sent.
        headers: the headers to sign, named in lower case, including `x-amz-date`.
        body: the request's body.

    Source: «Create a signed AWS API request», AWS Identity and Access Management User Guide.
    """
    moment = headers["x-amz-date"]
    if credentials.session_token:
        headers = {**headers, "x-amz-security-token": credentials.session_token}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical_request = f"POST\n{quote(path)}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/dynamodb/aws4_request"
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{credentials.access_key_id}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": authorization}
