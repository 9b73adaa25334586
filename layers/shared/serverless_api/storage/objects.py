"""Objects of an S3 bucket: written and deleted by signed requests, or uploaded by a client with a presigned URL.

Source: «Amazon S3 API Reference»; «Authenticating Requests: Using Query Parameters», Amazon S3 API Reference.
"""

import hashlib
import os
import re
import time
from collections.abc import Mapping
from http.client import HTTPResponse
from urllib.parse import quote, urlencode, urlsplit

from serverless_api.environment import settings
from serverless_api.resilience.circuit_breaker import DependencyUnavailable
from serverless_api.resilience.deadline import current_deadline
from serverless_api.resilience.retry import RetryBudget, RetryPolicy
from serverless_api.storage.connection import KeptConnection
from serverless_api.storage.credentials import CredentialSource
from serverless_api.storage.signed_requests import (
    ALGORITHM,
    compute_signature,
    find_endpoint,
    list_headers,
    make_scope,
    regional_host,
    sign,
)
from serverless_api.telemetry.tracing import HTTPCall

ATTEMPT_SECONDS = 5.0
"""Time limit of each wait of an attempt. S3 takes 6 MB, the most that a function's request has, within a second."""

_CREDENTIALS_SECONDS = 1.0
_REQUEST_TIMEOUT, _CONFLICT, _PRECONDITION_FAILED, _TOO_MANY_REQUESTS = 408, 409, 412, 429
_ERROR_CODE = re.compile(rb"<Code>(\w+)</Code>")

_policy = RetryPolicy()
_budget = RetryBudget()


class ObjectExists(Exception):
    """The bucket has an object with this key."""


class BucketError(Exception):
    """S3 rejected a request. It takes a change of the code, the permissions or the bucket."""


class Bucket:
    """A bucket in the function's own region."""

    def __init__(self, name: str) -> None:
        endpoint = find_endpoint(os.environ, "s3")
        # A custom endpoint has no name for each bucket.
        self._url = f"{endpoint}/{name}" if endpoint else f"https://{name}.{regional_host('s3', settings.REGION)}"
        self._credentials = CredentialSource()

    def put(self, key: str, content: bytes, headers: Mapping[str, str]) -> None:
        """Write a new object.

        Args:
            key: its key.
            content: its content.
            headers: further headers, named in lower case, such as those of the object's metadata.

        Raises:
            ObjectExists: an object with this key exists; it is not changed.
            DependencyUnavailable: S3 is down, busy or out of time.
            BucketError: S3 rejected the request.
        """
        self._send("PUT", key, content, {"if-none-match": "*", **headers})

    def delete(self, key: str) -> None:
        """Delete an object, if there is one.

        Raises:
            DependencyUnavailable: S3 is down, busy or out of time.
            BucketError: S3 rejected the request.
        """
        self._send("DELETE", key, b"", {})

    def presign_put(self, key: str, headers: Mapping[str, str], seconds: int) -> str:
        """Return a URL that lets anybody write an object without keys.

        Args:
            key: the object's key.
            headers: the headers that the request must have, named in lower case.
            seconds: how long the URL is good for. It ends earlier if the function's credentials do.
        """
        credentials = self._credentials.find(_CREDENTIALS_SECONDS)
        url = urlsplit(f"{self._url}/{quote(key)}")
        moment = _read_clock()
        scope = make_scope(moment, settings.REGION, "s3")
        names, lines = list_headers({"host": url.netloc, **headers})
        query = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": names,
        }
        if credentials.session_token:
            query["X-Amz-Security-Token"] = credentials.session_token
        text = urlencode(sorted(query.items()), quote_via=quote, safe="")
        request = f"PUT\n{url.path}\n{text}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        signature = compute_signature(credentials, moment, scope, request)
        return f"{url.geturl()}?{text}&X-Amz-Signature={signature}"

    def _send(self, method: str, key: str, content: bytes, headers: Mapping[str, str]) -> None:
        url = f"{self._url}/{quote(key)}"
        _policy.call(lambda: self._attempt(method, url, content, headers), current_deadline(), _budget)

    def _attempt(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        deadline = current_deadline()
        # Opened for each request: these are few, and far between.
        connection = KeptConnection(url, is_aws=True)
        try:
            with HTTPCall(method, connection.scheme, connection.host) as subsegment:
                credentials = self._credentials.find(deadline.cut(_CREDENTIALS_SECONDS))
                unsigned = {
                    **headers,
                    "host": connection.host,
                    "x-amz-content-sha256": hashlib.sha256(content).hexdigest(),
                    "x-amz-date": _read_clock(),
                }
                signed = sign(
                    credentials,
                    settings.REGION,
                    "s3",
                    method=method,
                    path=connection.target,
                    headers=unsigned,
                    body=content,
                )
                response, answer = connection.fetch(method, signed, content, deadline.cut(ATTEMPT_SECONDS))
                subsegment.response = response
        except OSError as error:
            raise DependencyUnavailable(f"S3 cannot be reached: {type(error).__name__}") from error
        finally:
            connection.close()
        _check(response, answer)


def _check(response: HTTPResponse, answer: bytes) -> None:
    found = _ERROR_CODE.search(answer)
    code = found[1].decode() if found else str(response.status)
    status = response.status
    if status == _PRECONDITION_FAILED:
        raise ObjectExists
    if status >= 500 or status in (_REQUEST_TIMEOUT, _CONFLICT, _TOO_MANY_REQUESTS):
        raise DependencyUnavailable(f"S3 answered {code}")
    if status >= 300:
        raise BucketError(f"S3 answered {code}")


def _read_clock() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
