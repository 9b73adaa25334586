"""Rotates the secret of a machine client of Cognito, by the four steps that Secrets Manager calls for.

Cognito holds two secrets of a client at once, and both work. A rotation makes room by deleting the one before the
current one, adds another, tries it and makes it the current one; the one that was current works until the rotation
after. Whoever reads the secret once in each rotation never holds one that does not work.

Any step may run twice, or end anywhere. What it leaves behind at worst is a secret in Cognito that no version in
Secrets Manager names, which is the first to be deleted when room is needed. The one that is current is never deleted.

Source: «Rotation by Lambda function», AWS Secrets Manager User Guide; `AddUserPoolClientSecret`,
`ListUserPoolClientSecrets` and `DeleteUserPoolClientSecret`, Amazon Cognito user pools API Reference.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import boto3
from botocore.config import Config

from serverless_api.storage.exchange import exchange_json

MOST_SECRETS = 2  # that Cognito holds of one client
TOKEN_SECONDS = 5.0

_config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
_secrets_manager = boto3.client("secretsmanager", config=_config)
_cognito = boto3.client("cognito-idp", config=_config)


class RotationError(Exception):
    """A step cannot be carried out; the message holds no secret."""


@dataclass(frozen=True)
class MachineClient:
    """The app client whose secret rotates.

    Attributes:
        user_pool_id: of the pool that it belongs to.
        client_id: its id, which is no secret.
        scope: the scopes that it may have, separated by blanks.
        token_endpoint: URL, https except on this machine.
    """

    user_pool_id: str
    client_id: str
    scope: str
    token_endpoint: str


class Rotation:
    """One rotation: the way of one version of the secret from pending to current."""

    def __init__(self, client: MachineClient, secret_id: str, version: str) -> None:
        """Prepare the rotation; nothing is sent yet.

        Args:
            client: whose secret rotates.
            secret_id: name or ARN of the secret in Secrets Manager.
            version: id of the version to be made, the `ClientRequestToken` of Secrets Manager's event.
        """
        self._client = client
        self._key = {"UserPoolId": client.user_pool_id, "ClientId": client.client_id}
        self._secret_id = secret_id
        self._version = version

    def run(self, step: str) -> None:
        """Carry out a step, or what a run before has left of it.

        Args:
            step: `createSecret`, `setSecret`, `testSecret` or `finishSecret`.

        Raises:
            RotationError: there is no such step or no such version, Cognito no longer has the new secret or gives no
                token for it.
            botocore.exceptions.ClientError: Secrets Manager or Cognito refuses.
            botocore.exceptions.BotoCoreError: one of them does not answer.
            OSError: the token endpoint does not answer.
        """
        stages = _secrets_manager.describe_secret(SecretId=self._secret_id).get("VersionIdsToStages", {})
        labels = stages.get(self._version, ())
        if "AWSCURRENT" in labels:
            return
        if "AWSPENDING" not in labels:
            raise RotationError("This version is not the one that the secret is being rotated to.")
        match step:
            case "createSecret":
                self._create_secret()
            case "setSecret":
                self._check_secret()
            case "testSecret":
                self._test_secret()
            case "finishSecret":
                self._finish(next((version for version, labels in stages.items() if "AWSCURRENT" in labels), None))
            case _:
                raise RotationError(f"{step!r} is no step of a rotation.")

    def _create_secret(self) -> None:
        """Have Cognito make another secret, and keep it as the pending version."""
        if self._read(VersionId=self._version):
            return
        held = _cognito.list_user_pool_client_secrets(**self._key)["ClientSecrets"]
        if len(held) >= MOST_SECRETS:
            _cognito.delete_user_pool_client_secret(**self._key, ClientSecretId=self._choose_dispensable(held))
        added = _cognito.add_user_pool_client_secret(**self._key)["ClientSecretDescriptor"]
        value = {
            "clientId": self._client.client_id,
            "clientSecret": added["ClientSecretValue"],
            "clientSecretId": added["ClientSecretId"],
            "scope": self._client.scope,
            "tokenEndpoint": self._client.token_endpoint,
        }
        _secrets_manager.put_secret_value(
            SecretId=self._secret_id,
            ClientRequestToken=self._version,
            SecretString=json.dumps(value),
            VersionStages=["AWSPENDING"],
        )

    def _choose_dispensable(self, held: list[dict[str, Any]]) -> str:
        """Return the id of the secret that is missed least: the newest that no version names, else the previous one.

        Before the first rotation no version names any. The older one may be in use then by someone who has read it in
        Cognito itself; the newer one can only come from a run that ended before it could be kept.
        """
        current = self._read(VersionStage="AWSCURRENT").get("clientSecretId")
        previous = self._read(VersionStage="AWSPREVIOUS").get("clientSecretId")
        candidates = [secret for secret in held if secret["ClientSecretId"] != current]
        choice = max(
            candidates, key=lambda entry: (entry["ClientSecretId"] != previous, entry["ClientSecretCreateDate"])
        )
        return str(choice["ClientSecretId"])

    def _check_secret(self) -> None:
        """Check that Cognito has the pending secret; there is nothing to set, since Cognito has made it itself."""
        pending = self._read_pending()
        held = _cognito.list_user_pool_client_secrets(**self._key)["ClientSecrets"]
        if pending["clientSecretId"] not in {secret["ClientSecretId"] for secret in held}:
            # A version cannot be written twice, so this one is beyond help; without its label the next one can begin.
            _secrets_manager.update_secret_version_stage(
                SecretId=self._secret_id, VersionStage="AWSPENDING", RemoveFromVersionId=self._version
            )
            raise RotationError("Cognito no longer has the new secret: this rotation is given up. Start another one.")

    def _test_secret(self) -> None:
        """Get a token with the pending secret, as a machine client does (RFC 6749, sections 2.3.1 and 4.4)."""
        pending = self._read_pending()
        credentials = f"{quote_plus(pending['clientId'])}:{quote_plus(pending['clientSecret'])}"
        headers = {
            "accept": "application/json",
            "authorization": f"Basic {b64encode(credentials.encode()).decode()}",
            "content-type": "application/x-www-form-urlencoded",
        }
        form = urlencode({"grant_type": "client_credentials", "scope": pending["scope"]}).encode()
        connection, target = _connect(pending["tokenEndpoint"])
        try:
            response, answer = exchange_json(connection, "POST", target, headers, form)
        finally:
            connection.close()
        if response.status != 200 or not answer.get("access_token"):
            raise RotationError(f"The token endpoint gives no token for the new secret (status {response.status}).")

    def _finish(self, current: str | None) -> None:
        """Make the pending version the current one; Secrets Manager makes the current one the previous."""
        source = {"RemoveFromVersionId": current} if current else {}
        _secrets_manager.update_secret_version_stage(
            SecretId=self._secret_id, VersionStage="AWSCURRENT", MoveToVersionId=self._version, **source
        )

    def _read_pending(self) -> Mapping[str, str]:
        pending = self._read(VersionId=self._version)
        if not pending:
            raise RotationError("The new version has no value yet: createSecret has to run first.")
        return pending

    def _read(self, **version: str) -> Mapping[str, str]:
        """Return a version's value, empty where there is no such version or it has none."""
        try:
            answer = _secrets_manager.get_secret_value(SecretId=self._secret_id, **version)
        except _secrets_manager.exceptions.ResourceNotFoundException:
            return {}
        value: dict[str, str] = json.loads(answer["SecretString"])
        return value


def _connect(url: str) -> tuple[HTTPConnection, str]:
    """Return a connection, not open yet, to the server of a URL, and the path there.

    Raises:
        RotationError: the secret would cross a network unencrypted.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "https" and host:
        return HTTPSConnection(host, parts.port, timeout=TOKEN_SECONDS), target
    if parts.scheme == "http" and _is_loopback(host):
        return HTTPConnection(host, parts.port, timeout=TOKEN_SECONDS), target
    raise RotationError("The token endpoint must be an https URL.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
