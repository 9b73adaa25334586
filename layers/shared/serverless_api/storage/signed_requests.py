"""Requests to AWS: where a service is, and the signature that it asks for.

Importing botocore's signer would load two thirds of botocore.

Source: «Create a signed AWS API request», AWS Identity and Access Management User Guide.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import quote

from serverless_api.storage.connection import KeptConnection
from serverless_api.storage.credentials import Credentials, CredentialSource

ALGORITHM = "AWS4-HMAC-SHA256"

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

# Domains of the partitions that do not use amazonaws.com, by prefix of the region.
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}


def regional_host(service: str, region: str) -> str:
    """Return the host of a service in a region.

    >>> regional_host("dynamodb", "eu-central-1")
    'dynamodb.eu-central-1.amazonaws.com'
    """
    suffix = next((name for prefix, name in _SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com")
    return f"{service}.{region}.{suffix}"


def find_endpoint(environ: Mapping[str, str], service: str) -> str | None:
    """Return the URL that the environment sets for a service, or None.

    Source: «Service-specific endpoints», AWS SDKs and Tools Reference Guide.

    >>> find_endpoint({"AWS_ENDPOINT_URL": "http://127.0.0.1:8000", "AWS_ENDPOINT_URL_DYNAMODB": ""}, "dynamodb")
    'http://127.0.0.1:8000'
    """
    return environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL") or None


def make_scope(moment: str, region: str, service: str) -> str:
    """Return what a signature is good for: a day, a region and a service."""
    return f"{moment[:8]}/{region}/{service}/aws4_request"


def compute_signature(credentials: Credentials, moment: str, scope: str, canonical_request: str) -> str:
    """Return the signature of a canonical request.

    Args:
        credentials: the keys to sign with.
        moment: the time of the request, as `x-amz-date` spells it.
        scope: what `make_scope` returns.
        canonical_request: the request in its canonical form.
    """
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (*scope.split("/"), f"{ALGORITHM}\n{moment}\n{scope}\n{digest}"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def list_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the names of the headers to sign, and the lines of a canonical request with names and values."""
    return ";".join(sorted(headers)), "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))


def sign(
    credentials: Credentials,
    region: str,
    service: str,
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
) -> dict[str, str]:
    """Return the headers of a request with its signature, and the session token if there is one.

    Args:
        credentials: the keys to sign with.
        region: the endpoint's region.
        service: the service's name in signatures, such as `dynamodb`.
        method: the HTTP method.
        path: the canonical path: as it is sent, and for every service except S3 encoded once more.
        headers: the headers to sign, named in lower case, including `x-amz-date`.
        body: the request's body.
    """
    moment = headers["x-amz-date"]
    if credentials.session_token:
        headers = {**headers, "x-amz-security-token": credentials.session_token}
    names, lines = list_headers(headers)
    scope = make_scope(moment, region, service)
    canonical_request = f"{method}\n{path}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    signature = compute_signature(credentials, moment, scope, canonical_request)
    credential = f"{credentials.access_key_id}/{scope}"
    authorization = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}


class SignedConnection:
    """A connection for signed POST requests to one URL of an AWS service. Each thread needs its own."""

    def __init__(self, url: str, region: str, service: str) -> None:
        """Create it without connecting.

        Args:
            url: the URL of all requests.
            region: the endpoint's region.
            service: the service's name in signatures, such as `dynamodb`.

        Raises:
            ValueError: `url` is not a usable URL.
        """
        self._connection = KeptConnection(url, is_aws=True)
        self._region = region
        self._service = service
        self._credentials = CredentialSource()
        self._clock_offset = 0.0
        self.scheme, self.host = self._connection.scheme, self._connection.host

    def post(self, headers: Mapping[str, str], body: bytes, timeout: float) -> tuple[HTTPResponse, bytes]:
        """Send a request and return the response with its body, whatever the status.

        Args:
            headers: the headers, named in lower case, except `host`, the date and the signature.
            body: the request's body.
            timeout: seconds for connecting and for each wait on the socket.

        Raises:
            OSError: no complete response arrived. The request may have been performed.
            CredentialsError: the environment has no credentials.
        """
        signed = self._sign(headers, body, self._credentials.find(timeout))
        return self._connection.fetch("POST", signed, body, timeout)

    def send(self, headers: Mapping[str, str], body: bytes, timeout: float) -> HTTPConnection:
        """Send a request on a new connection and return it before the response, for a body that is read as it comes.

        Args:
            headers: see `post`.
            body: the request's body.
            timeout: seconds for connecting and for each wait on the socket.

        Raises:
            OSError: the request could not be sent.
            CredentialsError: the environment has no credentials.
        """
        signed = self._sign(headers, body, self._credentials.find(timeout))
        return self._connection.send("POST", signed, body, timeout)

    def renew(self, response: HTTPResponse) -> None:
        """Sign the next request with fresh credentials and the server's time, after one of `SIGNATURE_ERRORS`."""
        self._credentials.forget()
        # A signature of another time is rejected.
        with suppress(TypeError, ValueError):
            self._clock_offset = parsedate_to_datetime(response.getheader("Date", "")).timestamp() - time.time()

    def dry_run(self, headers: Mapping[str, str], body: bytes, timeout: float) -> None:
        """Dry run: sign with dummy keys, connect and disconnect. Sends no request.

        Raises:
            OSError: the connection failed.
        """
        self._sign(headers, body, Credentials("AKIDEXAMPLE", "none", "none"))
        self._connection.dry_run(timeout)

    def hang_up(self) -> None:
        """Drop the connection; the next request opens another."""
        self._connection.close()

    def close(self) -> None:
        """Drop the connection and the credentials; the next request starts with new ones."""
        self._credentials.forget()
        self._clock_offset = 0.0
        self._connection.close()

    def _sign(self, headers: Mapping[str, str], body: bytes, credentials: Credentials) -> dict[str, str]:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + self._clock_offset))
        unsigned = {**headers, "host": self.host, "x-amz-date": moment}
        path = quote(self._connection.target)
        return sign(credentials, self._region, self._service, method="POST", path=path, headers=unsigned, body=body)
