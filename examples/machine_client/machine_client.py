"""Calls the API as a machine: by client credentials, with a secret that rotates.

The environment provides `API_URL`, `CLIENT_SECRET_ID` (name or ARN of the secret in Secrets Manager), and AWS
credentials that may read the secret.
"""

import hashlib
import json
import os
import sys
import uuid
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import boto3
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
from requests import ConnectionError, RequestException, Response  # noqa: A004
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError
from urllib3.util import Retry

RENEW_BEFORE_EXPIRY = 30  # seconds
BODY = {"name": "made by a machine", "type": "A"}
TIMEOUT = (3.05, 35.0)  # seconds to connect and between bytes; the gateway answers within 30

# Retry-After is honoured. API Gateway's own 429 and 503 have none, so these back off exponentially. Every method is
# retried, because this client's POST requests carry an Idempotency-Key.
_RETRY = Retry(
    total=5,
    status_forcelist=(429, 503),
    allowed_methods=None,
    backoff_factor=0.5,
    backoff_jitter=0.5,
    backoff_max=20,
    raise_on_status=False,
)


class SecretError(Exception):
    """The secret cannot be used; the message does not contain it."""


class ExportError(Exception):
    """An export is not what its last line says."""


class MachineClient:
    """Sends requests with a token that it gets with a secret from Secrets Manager.

    It keeps the token until shortly before its expiry. After a 401, or if the secret no longer works, it fetches both
    again, once.
    """

    def __init__(self, secret_id: str) -> None:
        """Prepare a client without sending anything.

        Args:
            secret_id: name or ARN of a secret with `clientId`, `clientSecret`, `tokenEndpoint` and `scope`.
        """
        self._secret_id = secret_id
        self._secrets_manager = boto3.client("secretsmanager")
        self._session: OAuth2Session | None = None

    def request(self, method: str, url: str, **options: Any) -> Response:
        """Send a request and return the response, whatever its status.

        Args:
            method: HTTP method.
            url: URL of the API.
            options: options of `requests.Session.request`.

        Raises:
            requests.RequestException: there is no response.
            authlib.integrations.base_client.OAuthError: the issuer rejects the current secret.
            botocore.exceptions.ClientError: Secrets Manager refuses.
            botocore.exceptions.BotoCoreError: Secrets Manager does not answer.
            SecretError: the secret is empty or unsafe to send.
        """
        is_new = self._session is None
        session = self._session or self._open_session()
        try:
            response: Response = session.request(method, url, **options)
        except OAuthError:
            # The token has expired, and the secret has rotated twice since it was fetched.
            if is_new:
                raise
        else:
            if response.status_code != 401 or is_new:
                return response
            response.close()
        return self._open_session().request(method, url, **options)

    def export(self, url: str) -> Iterator[dict[str, Any]]:
        """Yield everything that the client has, as the API that streams shows it, and go on after a cut.

        Args:
            url: URL of the export.

        Raises:
            ExportError: the last line does not fit the lines before it, or a response holds nothing.
        """
        position: dict[str, str] = {}
        while True:
            digest, before, is_ended = hashlib.sha256(), position, False
            with self.request("GET", url, params=position, stream=True) as response:
                response.raise_for_status()
                for line in _read_whole_lines(response):
                    entry = json.loads(line)
                    if end := entry.get("end"):
                        is_ended = True
                        if end["checksum"] != f"sha256:{digest.hexdigest()}":
                            raise ExportError("The checksum of the export is wrong.")
                        if end["complete"]:
                            return
                    elif "at" in entry:  # the line of an error has none
                        digest.update(line)
                        position = {"from": entry["at"]}
                        yield entry
            if position == before and not is_ended:
                raise ExportError("The export breaks off again and again at the same place.")

    def _open_session(self) -> OAuth2Session:
        """Fetch the secret, and a token with it."""
        secret = json.loads(self._secrets_manager.get_secret_value(SecretId=self._secret_id)["SecretString"])
        if "clientSecret" not in secret:
            raise SecretError(f"{self._secret_id} contains no client secret yet; its first rotation writes it.")
        if not _is_safe(secret["tokenEndpoint"]):
            raise SecretError("The token endpoint is not an https URL: the secret would cross the network unencrypted.")
        session = OAuth2Session(
            secret["clientId"],
            secret["clientSecret"],
            token_endpoint=secret["tokenEndpoint"],
            grant_type="client_credentials",
            scope=secret.get("scope"),
            leeway=RENEW_BEFORE_EXPIRY,
            default_timeout=TIMEOUT,
        )
        session.mount("https://", HTTPAdapter(max_retries=_RETRY))
        session.mount("http://", HTTPAdapter(max_retries=_RETRY))
        session.fetch_token()
        self._session = session
        return session


def _read_whole_lines(response: Response) -> Iterator[bytes]:
    """Yield the lines of a response that ends or is cut, without the rest of a line."""
    rest = b""
    try:
        for chunk in response.iter_content(chunk_size=None):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line + b"\n" for line in lines)
    except ChunkedEncodingError:
        return


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    try:
        return parts.scheme == "https" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def main() -> int:
    """Create a resource and list the client's resources."""
    try:
        api_url, secret_id = os.environ["API_URL"], os.environ["CLIENT_SECRET_ID"]
    except KeyError as error:
        print(f"{error.args[0]} is not set: `make run` prints it in the line of the machine client.", file=sys.stderr)
        return 2
    url = f"{api_url}/api/v1/resources"
    try:
        client = MachineClient(secret_id)
        created = client.request("POST", url, json=BODY, headers={"Idempotency-Key": str(uuid.uuid4())})
        created.raise_for_status()
        page = client.request("GET", url)
        page.raise_for_status()
    except (ConnectionError, EndpointConnectionError):
        said = f"Nothing answers at {api_url} or its AWS services: start the API with `make run`"
        print(f"{said}, and set the environment that it prints.", file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError, OAuthError, RequestException, SecretError) as error:
        print(f"The API could not be called: {error}", file=sys.stderr)
        return 1
    print(f"Created {created.json()['id']}; the newest resources are:")
    for entry in page.json()["resources"]:
        print(json.dumps(entry))
    return 0


if __name__ == "__main__":
    sys.exit(main())
