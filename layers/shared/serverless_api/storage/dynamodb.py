"""DynamoDB client with a timeout per call: each operation is one signed POST of JSON over a kept connection.

botocore's client loads a model of every operation and shape, which costs more than everything else in a cold start and
in a call. Its timeouts are fixed when it is created; here each call gets the time that its invocation has left.

Source: «DynamoDB low-level API», Amazon DynamoDB Developer Guide.
"""

import hashlib
import hmac
import json
import os
import select
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from serverless_api.storage.credentials import Credentials, CredentialSource
from serverless_api.storage.fetch import fetch_json

# Domains of the partitions that do not use amazonaws.com, by prefix of the region.
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
# Seconds, as in the AWS SDK for Java. A frozen environment does not notice that the other side closed the connection.
_LONGEST_IDLE = 60

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
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"The DynamoDB endpoint {endpoint!r} must be a URL that starts with https:// or http://.")
        self._region = region
        self._address = url.hostname, url.port
        self._path = url.path or "/"
        name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        self._host = name if url.port in (None, 443 if url.scheme == "https" else 80) else f"{name}:{url.port}"
        # Created once: reading the certificates takes longer than a handshake.
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
        self._credentials = CredentialSource()
        self._connection: HTTPConnection | None = None
        self._last_used = 0.0

    def call(self, operation: str, request: Mapping[str, Any], timeout: float) -> Answer:
        """Perform an operation, without retries.

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
        signed = self._sign(operation, body, self._credentials.find(timeout))
        # Detached from the client while in use, and kept again after a complete response. Whatever interrupts the call,
        # including a signal handler, no later call can read the response to this one.
        connection, self._connection = self._connect(timeout), None
        is_complete = False
        try:
            response, document = fetch_json(connection, "POST", self._path, signed, body)
            is_complete = True
        finally:
            if not is_complete:
                connection.close()
        self._connection, self._last_used = connection, time.time()
        if response.status != 200:
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
        connection = self._connect(timeout)
        try:
            connection.connect()
        finally:
            connection.close()

    def close(self) -> None:
        """Drop the connection and the credentials; the next call starts with new ones."""
        self._credentials.forget()
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _sign(self, operation: str, body: bytes, credentials: Credentials) -> dict[str, str]:
        headers = {
            "content-type": "application/x-amz-json-1.0",
            "host": self._host,
            "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            "x-amz-target": f"DynamoDB_20120810.{operation}",
        }
        return sign(credentials, self._region, self._path, headers, body)

    def _connect(self, timeout: float) -> HTTPConnection:
        """Return the kept connection if it is still usable, otherwise one that opens on use."""
        kept = self._connection
        # Wall-clock time: other clocks may stand still while the environment is frozen.
        if kept and kept.sock and 0 <= time.time() - self._last_used < _LONGEST_IDLE:
            # Between two calls only the connection's end can have arrived. Check before sending the request: afterwards
            # it would be unknown whether the request was performed.
            arrived = select.poll()
            arrived.register(kept.sock, select.POLLIN)
            if not arrived.poll(0):
                kept.sock.settimeout(timeout)
                return kept
        if kept:
            kept.close()
        host, port = self._address
        if self._tls:
            return HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        return HTTPConnection(host, port, timeout=timeout)


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
