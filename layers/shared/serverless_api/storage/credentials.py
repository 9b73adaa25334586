"""The AWS credentials of a function: in its environment, or with SnapStart from a local endpoint."""

import os
import time
from datetime import datetime
from http.client import HTTPConnection
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from serverless_api.storage.exchange import exchange_json

_REFRESH_BEFORE_EXPIRY = 300  # seconds
# Besides loopback addresses: Amazon ECS, Amazon EKS by IPv4 and IPv6.
_LOCAL_HOSTS = {"localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"}


class CredentialsError(Exception):
    """There are no credentials, or none that can be used; trying again does not help."""


class Credentials(NamedTuple):
    """What requests are signed with; `session_token` is empty for a user's own keys."""

    access_key_id: str
    secret_access_key: str
    session_token: str

    def __repr__(self) -> str:
        """Name the key only, since what is printed ends up in logs."""
        return f"<credentials {self.access_key_id}>"


class CredentialSource:
    """Finds the credentials for each request, since Lambda replaces them in a running environment."""

    def __init__(self) -> None:
        self._fetched: Credentials | None = None
        self._expires = 0.0

    def find(self, timeout: float) -> Credentials:
        """Return the credentials as they are now.

        Args:
            timeout: seconds, for each wait on the local endpoint.

        Raises:
            CredentialsError: the environment has none.
            OSError: the local endpoint gives none.
        """
        environ = os.environ
        if access_key_id := environ.get("AWS_ACCESS_KEY_ID"):
            return _check(access_key_id, environ.get("AWS_SECRET_ACCESS_KEY"), environ.get("AWS_SESSION_TOKEN"))
        left = self._expires - time.time()
        if self._fetched and left > _REFRESH_BEFORE_EXPIRY:
            return self._fetched
        try:
            self._fetched, self._expires = _fetch(timeout)
        except OSError:
            if not self._fetched or left <= 0:
                raise
        return self._fetched

    def forget(self) -> None:
        """Drop what was fetched, which a snapshot must not hold."""
        self._fetched = None


def _fetch(timeout: float) -> tuple[Credentials, float]:
    """Ask the local endpoint for credentials and when they expire, in seconds since 1970.

    Source: «Container credential provider», AWS SDKs and Tools Reference Guide.
    """
    uri = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not uri:
        raise CredentialsError(
            "There are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            " (in Lambda the function's role provides them)."
        )
    url = urlsplit(uri)
    if url.scheme != "http" or not url.hostname or not _is_local(url.hostname):
        raise CredentialsError(f"AWS_CONTAINER_CREDENTIALS_FULL_URI names {url.hostname}, not a local endpoint.")
    token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if not _is_header_value(token):
        raise CredentialsError("AWS_CONTAINER_AUTHORIZATION_TOKEN holds characters that no token has.")
    headers = {"accept": "application/json"} | ({"authorization": token} if token else {})
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection = HTTPConnection(url.hostname, url.port, timeout=timeout)
    try:
        answer, document = exchange_json(connection, "GET", target, headers)
    finally:
        connection.close()
    try:
        expires = datetime.fromisoformat(document["Expiration"]).timestamp()
        return _check(document["AccessKeyId"], document["SecretAccessKey"], document["Token"]), expires
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectionError(f"The endpoint for credentials gave none (status {answer.status})") from error


def _is_local(hostname: str) -> bool:
    try:
        return hostname in _LOCAL_HOSTS or ip_address(hostname).is_loopback
    except ValueError:
        return False


def _check(access_key_id: str, secret_access_key: str | None, session_token: str | None) -> Credentials:
    # Said here, since the complaint of http.client about a stray line end quotes the whole value.
    if not secret_access_key or not _is_header_value(f"{access_key_id}{secret_access_key}{session_token}"):
        raise CredentialsError("The AWS credentials are incomplete, or hold characters that no credential has.")
    return Credentials(access_key_id, secret_access_key, session_token or "")


def _is_header_value(text: str) -> bool:
    return text.isascii() and text.isprintable()
