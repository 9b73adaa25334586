"""DynamoDB's operations: each is one signed POST of JSON, over one connection that is kept open.

botocore's client reads a model of every operation and shape, which costs more than all else that a function does at its
start and in a call, and its time-outs are fixed when it is made; here each call gets the time that its invocation has.

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
from typing import Any
from urllib.parse import quote, urlsplit

from serverless_api.storage.credentials import Credentials, CredentialSource
from serverless_api.storage.exchange import exchange_json

# Where a region is not in one of the partitions that share amazonaws.com, by how its name starts.
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
# Seconds, as in the AWS SDK for Java. A frozen environment does not hear that the other side hung up.
_LONGEST_IDLE = 60

_encode_json = json.JSONEncoder(separators=(",", ":")).encode


class DynamoDBError(Exception):
    """DynamoDB refused a request.

    Attributes:
        code: of the error, as «Error handling with DynamoDB» has it: `ConditionalCheckFailedException`.
        message: what DynamoDB says about it.
        status: of the HTTP response.
        response: its whole body, with `Item` or `CancellationReasons` where DynamoDB gives them.
        request_id: what AWS Support asks for; empty where there is none.
    """

    def __init__(self, status: int, response: dict[str, Any], request_id: str) -> None:
        self.code = str(response.get("__type") or status).rpartition("#")[2]
        self.message = str(response.get("message") or response.get("Message") or "")
        self.status = status
        self.response = response
        self.request_id = request_id
        super().__init__(f"{self.code}: {self.message}")


class DynamoDB:
    """A client for one request at a time, which is what a Lambda environment serves; threads need one each.

    Attributes:
        response: the whole answer that the last call got, whatever its status, or None where it got none.
    """

    def __init__(self, region: str, endpoint: str | None = None) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            region: as AWS names it: `eu-central-1`.
            endpoint: the URL to use instead of the region's own.

        Raises:
            ValueError: `endpoint` is not a URL that can be used.
        """
        if not endpoint:
            suffix = next((of for prefix, of in _SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com")
            endpoint = f"https://dynamodb.{region}.{suffix}"
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"The DynamoDB endpoint {endpoint!r} must be a URL that starts with https:// or http://.")
        self._region = region
        self._address = url.hostname, url.port
        self._path = url.path or "/"
        name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        self._host = name if url.port in (None, 443 if url.scheme == "https" else 80) else f"{name}:{url.port}"
        # Made once: reading the certificates takes longer than a handshake.
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
        self._credentials = CredentialSource()
        self._connection: HTTPConnection | None = None
        self.response: HTTPResponse | None = None
        self._last_used = 0.0

    def call(self, operation: str, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Carry out one operation; it is tried once only.

        Args:
            operation: as the «Amazon DynamoDB API Reference» names it: `GetItem`.
            request: its parameters, in DynamoDB JSON.
            timeout: seconds, for connecting and for each wait on the socket.

        Raises:
            DynamoDBError: DynamoDB refused the request.
            OSError: no whole answer arrived; the operation may have been carried out all the same.
            CredentialsError: the environment has no credentials.
        """
        self.response = None
        if timeout <= 0:
            raise TimeoutError("No time is left to ask DynamoDB.")
        body = _encode_json(request).encode()
        signed = self._sign(operation, body, self._credentials.find(timeout))
        # Taken from the client while in use and given back after a whole answer: whatever ends the call before, a
        # signal's handler included, no later call can read the answer to this one.
        connection, self._connection = self._connect(timeout), None
        answered = False
        try:
            answer, document = exchange_json(connection, "POST", self._path, signed, body)
            answered = True
        finally:
            if not answered:
                connection.close()
        self._connection, self._last_used, self.response = connection, time.time(), answer
        if answer.status != 200:
            raise DynamoDBError(answer.status, document, answer.getheader("x-amzn-RequestId", ""))
        return document

    def rehearse(self, timeout: float) -> None:
        """Do what a call does, but for sending anything: sign a request with keys that are nobody's, connect, hang up.

        Args:
            timeout: seconds, for connecting.

        Raises:
            OSError: there is no connection to be had.
        """
        self._sign("GetItem", _encode_json({}).encode(), Credentials("AKIDEXAMPLE", "none", "none"))
        connection = self._connect(timeout)
        try:
            connection.connect()
        finally:
            connection.close()

    def close(self) -> None:
        """Drop the connection and what is known of credentials; the next call starts with new ones."""
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
        """Return the kept connection if it still serves, or else one that opens when it is used."""
        kept = self._connection
        # By the clock on the wall: others may stand still while the environment is frozen.
        if kept and kept.sock and 0 <= time.time() - self._last_used < _LONGEST_IDLE:
            # Between two calls nothing but the connection's end can have arrived. It is looked for before the request
            # is sent, because afterwards nobody could tell whether the request was carried out.
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
    """Return the URL that the environment names for DynamoDB, or None.

    Source: «Service-specific endpoints», AWS SDKs and Tools Reference Guide.

    >>> find_endpoint({"AWS_ENDPOINT_URL": "http://127.0.0.1:8000", "AWS_ENDPOINT_URL_DYNAMODB": ""})
    'http://127.0.0.1:8000'
    """
    return environ.get("AWS_ENDPOINT_URL_DYNAMODB") or environ.get("AWS_ENDPOINT_URL") or None


def sign(credentials: Credentials, region: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the headers of a POST to DynamoDB with its signature, and the session token if there is one.

    Not by botocore's signer, whose import brings two thirds of botocore along.

    Args:
        credentials: whose request it is.
        region: of the endpoint.
        path: of the URL, as it is sent.
        headers: all to be signed, named in lower case, `x-amz-date` among them.
        body: as it is sent.

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
