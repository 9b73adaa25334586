"""AWS credentials of a function: from its environment or, with SnapStart, from a local endpoint."""

import os
import time
from datetime import datetime
from http.client import HTTPConnection
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from serverless_api.storage.fetch import fetch_json

_REFRESH_BEFORE_EXPIRY = 300  # seconds
_REFRESH_AGAIN_AFTER = 10  # seconds after a failed refresh
# In addition to loopback addresses: Amazon ECS, and Amazon EKS over IPv4 and IPv6.
_LOCAL_HOSTS = {"localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"}


class CredentialsError(Exception):
    """There are no usable credentials. Retrying does not help."""


class Credentials(NamedTuple):
    """The keys that sign a request; `session_token` is empty for long-term keys."""

    access_key_id: str
    secret_access_key: str
    session_token: str

    def __repr__(self) -> str:
        """Show the key's ID only, because printed objects end up in logs."""
        return f"<credentials {self.access_key_id}>"


class CredentialSource:
    """Finds the credentials anew for each request, because Lambda replaces them in a running environment."""

    def __init__(self) -> None:
        self._fetched: Credentials | None = None
        self._expires = 0.0
        self._refresh_at = 0.0

    def find(self, timeout: float) -> Credentials:
        """Return the current credentials.

        Args:
            timeout: seconds to wait for the local endpoint, each time.

        Raises:
            CredentialsError: the environment has none.
            OSError: the local endpoint does not return any.
        """
        environ = os.environ
        if access_key_id := environ.get("AWS_ACCESS_KEY_ID"):
            return _check(access_key_id, environ.get("AWS_SECRET_ACCESS_KEY"), environ.get("AWS_SESSION_TOKEN"))
        now = time.time()
        usable = self._fetched if now < self._expires else None
        if usable and now < self._refresh_at:
            return usable
        # Set first: an endpoint that is silent or slow must not delay every request.
        self._refresh_at = now + _REFRESH_AGAIN_AFTER
        try:
            self._fetched, self._expires = _fetch(timeout / 4 if usable else timeout)
        except OSError:
            if not usable:
                raise
            return usable
        self._refresh_at = self._expires - _REFRESH_BEFORE_EXPIRY
        return self._fetched

    def forget(self) -> None:
        """Drop the fetched credentials, which a snapshot must not hold."""
        self._fetched = None


def _fetch(timeout: float) -> tuple[Credentials, float]:
    """Return credentials from the local endpoint, and when they expire in seconds since 1970.

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
        raise CredentialsError("AWS_CONTAINER_AUTHORIZATION_TOKEN has characters that no token has.")
    headers = {"accept": "application/json"} | ({"authorization": token} if token else {})
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection = HTTPConnection(url.hostname, url.port, timeout=timeout)
    try:
        response, document = fetch_json(connection, "GET", target, headers)
    finally:
        connection.close()
    try:
        expires = datetime.fromisoformat(document["Expiration"]).timestamp()
        return _check(document["AccessKeyId"], document["SecretAccessKey"], document["Token"]), expires
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectionError(f"The credentials endpoint returned none (status {response.status})") from error


def _is_local(hostname: str) -> bool:
    try:
        return hostname in _LOCAL_HOSTS or ip_address(hostname).is_loopback
    except ValueError:
        return False


def _check(access_key_id: str, secret_access_key: str | None, session_token: str | None) -> Credentials:
    # Checked here, because http.client's error about a stray line break quotes the whole value.
    if not secret_access_key or not _is_header_value(f"{access_key_id}{secret_access_key}{session_token}"):
        raise CredentialsError("The AWS credentials are incomplete or have characters that no credential has.")
    return Credentials(access_key_id, secret_access_key, session_token or "")


def _is_header_value(text: str) -> bool:
    return text.isascii() and text.isprintable()
