"""DynamoDB's operations: each is one signed POST of JSON, over one connection that is kept open.

botocore's client reads models of every operation and shape, which costs more than all else that a function does when it
starts and when it is called; and its time-outs are fixed when it is made, while here each call gets the time that its
invocation has left.

Source: «DynamoDB low-level API», Amazon DynamoDB Developer Guide.
"""

import hashlib
import hmac
import json
import os
import select
import ssl
import time
from binascii import crc32
from collections.abc import Mapping
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
# Seconds. A frozen environment does not hear that the other side, or a gateway between, gave its connection up; the
# AWS SDKs for Java stop using one after as long.
_LONGEST_IDLE = 60
_REFRESH_BEFORE_EXPIRY = 300
_CREDENTIAL_HOSTS = {"localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"}

_encode_json = json.JSONEncoder(separators=(",", ":")).encode


class DynamoDBError(Exception):
    """DynamoDB refused a request.

    Attributes:
        code: of the error, as «Error handling with DynamoDB» names it: `ConditionalCheckFailedException`.
        message: what DynamoDB says about it.
        status: of the HTTP response.
        response: its whole body, with `Item` or `CancellationReasons` where DynamoDB gives them.
        request_id: what AWS Support asks for.
    """

    def __init__(self, status: int, response: dict[str, Any], request_id: str) -> None:
        self.code = str(response.get("__type") or status).rpartition("#")[2]
        self.message = str(response.get("message") or response.get("Message") or "")
        self.status = status
        self.response = response
        self.request_id = request_id
        super().__init__(f"{self.code}: {self.message}")


class DynamoDB:
    """A client for one request at a time, which is what a Lambda environment serves; threads need one each."""

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
        self._hostname, self._port, self._path = url.hostname, url.port, url.path or "/"
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        self._host = host if url.port in (None, {"http": 80, "https": 443}[url.scheme]) else f"{host}:{url.port}"
        # Reading the certificates takes longer than a handshake, so they are read once and not for each connection.
        self._tls = (
            ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
            if url.scheme == "https"
            else None
        )
        self._connection: HTTPConnection | None = None
        self._last_used = 0.0
        self._credentials: Credentials | None = None

    def call(self, operation: str, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Carry out one operation, and try it once only.

        Args:
            operation: as the «Amazon DynamoDB API Reference» names it: `GetItem`.
            request: its parameters, in DynamoDB JSON.
            timeout: seconds, for connecting and for each wait on the socket.

        Raises:
            DynamoDBError: DynamoDB refused the request.
            OSError: there was no answer, or not a whole one; the operation may have been carried out all the same.
            CredentialsError: the environment has no credentials.
        """
        if timeout <= 0:
            raise TimeoutError("No time is left to ask DynamoDB")
        body = _encode_json(request).encode()
        headers = {
            "content-type": "application/x-amz-json-1.0",
            "host": self._host,
            "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            "x-amz-target": f"DynamoDB_20120810.{operation}",
        }
        headers |= sign(self._find_credentials(timeout), self._region, self._path, headers, body)
        connection = self._take_connection(timeout)
        answered = False
        try:
            answer, document = _exchange(connection, "POST", self._path, headers, body)
            answered = True
        finally:
            # Whatever ended this call early, a signal's handler included, a late answer must not meet the next call.
            if not answered:
                connection.close()
        self._last_used = time.time()
        self._connection = connection
        if answer.status != 200:
            raise DynamoDBError(answer.status, document, answer.getheader("x-amzn-RequestId", ""))
        return document

    def close(self) -> None:
        """Drop the connection and the credentials that were fetched; the next call makes and fetches its own."""
        connection, self._connection, self._credentials = self._connection, None, None
        if connection:
            connection.close()

    def _take_connection(self, timeout: float) -> HTTPConnection:
        """Return the kept connection, if it still serves, or a new one; a call that succeeds hands it back."""
        connection, self._connection = self._connection, None
        # The wall clock and not the monotonic one, which may stand still in a frozen environment.
        if connection and connection.sock and time.time() - self._last_used < _LONGEST_IDLE:
            idle = select.poll()
            idle.register(connection.sock, select.POLLIN)
            # Between two calls only the end of the connection can have arrived. It is looked for before anything is
            # sent: after that, nobody could tell whether the request was carried out.
            if not idle.poll(0):
                connection.sock.settimeout(timeout)
                return connection
        if connection:
            connection.close()
        if self._tls:
            return HTTPSConnection(self._hostname, self._port, timeout=timeout, context=self._tls)
        return HTTPConnection(self._hostname, self._port, timeout=timeout)

    def _find_credentials(self, timeout: float) -> Credentials:
        if access_key_id := os.environ.get("AWS_ACCESS_KEY_ID"):
            secret_access_key = os.environ.get("AWS_SECRET_ACCESS_KEY", "")
            return _check(Credentials(access_key_id, secret_access_key, os.environ.get("AWS_SESSION_TOKEN", ""), 0))
        left = self._credentials.expires - time.time() if self._credentials else 0
        if not self._credentials or left < _REFRESH_BEFORE_EXPIRY:
            try:
                self._credentials = _check(_fetch_credentials(timeout))
            except OSError:
                if not self._credentials or left <= 0:
                    raise
        return self._credentials


def find_endpoint(environ: Mapping[str, str]) -> str | None:
    """Return the URL that the environment names for DynamoDB, or None.

    Source: «Service-specific endpoints», AWS SDKs and Tools Reference Guide.

    >>> find_endpoint({"AWS_ENDPOINT_URL": "http://127.0.0.1:8000", "AWS_ENDPOINT_URL_DYNAMODB": ""})
    'http://127.0.0.1:8000'
    """
    return environ.get("AWS_ENDPOINT_URL_DYNAMODB") or environ.get("AWS_ENDPOINT_URL") or None


def sign(credentials: Credentials, region: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the headers that a POST needs besides `headers`, all of which it signs.

    Importing botocore's signer imports nearly all of botocore.

    Args:
        credentials: whose request it is.
        region: of the endpoint.
        path: of the URL, as it is sent.
        headers: in lower case and sorted, with `x-amz-date`.
        body: as it is sent.

    Source: «Create a signed AWS API request», AWS Identity and Access Management User Guide.
    """
    moment = headers["x-amz-date"]
    token = {"x-amz-security-token": credentials.session_token} if credentials.session_token else {}
    signed = dict(sorted({**headers, **token}.items()))
    names = ";".join(signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    canonical = f"POST\n{quote(path)}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/dynamodb/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{credentials.access_key_id}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return {**token, "authorization": authorization}
