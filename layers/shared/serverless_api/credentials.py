"""The AWS credentials of the environment, in the two ways that Lambda gives them."""

import os
import time
from collections.abc import Mapping
from datetime import datetime
from http.client import HTTPConnection
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from serverless_api.exchange import exchange


class CredentialsError(Exception):
    """There are no credentials, or none that can be used; trying again does not help."""


class Credentials(NamedTuple):
    """What requests are signed with; `expires` in seconds since 1970."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires: float

    def __repr__(self) -> str:
        """Name the key only: logs hold what is printed."""
        return f"<credentials {self.access_key_id}>"


def _fetch_credentials(timeout: float) -> Credentials:
    """Return the credentials of the container endpoint, which Lambda offers with SnapStart.

    Source: «Container credential provider», AWS SDKs and Tools Reference Guide.
    """
    uri = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if not uri:
        raise CredentialsError(
            "There are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            " (inside Lambda the execution role does it)."
        )
    url = urlsplit(uri)
    if url.scheme != "http" or not _is_local(url.hostname or ""):
        raise CredentialsError(f"AWS_CONTAINER_CREDENTIALS_FULL_URI names {url.hostname}, which is not this machine.")
    headers = {"accept": "application/json", "authorization": os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")}
    connection = HTTPConnection(url.hostname or "", url.port, timeout=timeout)
    try:
        path = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
        answer, document = _exchange(connection, "GET", path, headers)
    finally:
        connection.close()
    try:
        expires = datetime.fromisoformat(document["Expiration"]).timestamp()
        return Credentials(document["AccessKeyId"], document["SecretAccessKey"], document["Token"], expires)
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectionError(f"The credentials endpoint gave no credentials (status {answer.status})") from error


def _is_local(hostname: str) -> bool:
    try:
        return hostname in _CREDENTIAL_HOSTS or ip_address(hostname).is_loopback
    except ValueError:
        return False


def _check(credentials: Credentials) -> Credentials:
    # Told here, since http.client's own complaint about a line end quotes the secret.
    texts = (credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
    if not all(text.isascii() and text.isprintable() for text in texts) or not all(texts[:2]):
        raise CredentialsError("The AWS credentials are incomplete, or hold characters that no credential has.")
    return credentials
