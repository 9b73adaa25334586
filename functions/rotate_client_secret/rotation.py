"""Rotates the secret of a Cognito machine client in the four steps that Secrets Manager defines, and retires old ones.

A Cognito client can have two secrets, and both work. A rotation deletes the previous secret, adds a new one, tests it
and makes it current. The secret that was current works for a grace period, until its retirement, so a program that
reads the secret once in that time never holds one that does not work.

Any step may run twice or stop anywhere. At worst it leaves a secret in Cognito that no version in Secrets Manager
names; the next rotation deletes that one first, or the next retirement does. The current secret is never deleted.

Sources: "Rotation by Lambda function", AWS Secrets Manager User Guide; `AddUserPoolClientSecret`,
`ListUserPoolClientSecrets` and `DeleteUserPoolClientSecret`, Amazon Cognito user pools API Reference.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import boto3
from botocore.config import Config

from serverless_api import fetch_json

MAX_SECRETS = 2  # of one client in Cognito
TOKEN_SECONDS = 5.0

_config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
_secrets_manager = boto3.client("secretsmanager", config=_config)
_cognito = boto3.client("cognito-idp", config=_config)


class RotationError(Exception):
    """A step cannot run; the message contains no secret."""


@dataclass(frozen=True)
class MachineClient:
    """The app client whose secret rotates.

    Attributes:
        user_pool_id: ID of its user pool.
        client_id: its ID, which is not secret.
        scope: its scopes, separated by spaces.
        token_endpoint: URL; https unless it is on this machine.
    """

    user_pool_id: str
    client_id: str
    scope: str
    token_endpoint: str

    @property
    def key(self) -> dict[str, str]:
        """Parameters that name the client in Cognito's operations."""
        return {"UserPoolId": self.user_pool_id, "ClientId": self.client_id}


class Rotation:
    """One rotation, which takes a version of the secret from pending to current."""

    def __init__(self, client: MachineClient, secret_id: str, version: str) -> None:
        """Prepare the rotation without sending anything.

        Args:
            client: the client whose secret rotates.
            secret_id: name or ARN of the secret in Secrets Manager.
            version: ID of the new version, the `ClientRequestToken` of Secrets Manager's event.
        """
        self._client = client
        self._secret_id = secret_id
        self._version = version

    def run(self, step: str) -> None:
        """Run a step, or the rest of it if an earlier run did not finish.

        Args:
            step: `createSecret`, `setSecret`, `testSecret` or `finishSecret`.

        Raises:
            RotationError: the step or the version does not exist, or Cognito no longer has the new secret or issues no
                token for it.
            botocore.exceptions.ClientError: Secrets Manager or Cognito refuses a call.
            botocore.exceptions.BotoCoreError: Secrets Manager or Cognito does not answer.
            OSError: the token endpoint does not answer.
        """
        stages = _secrets_manager.describe_secret(SecretId=self._secret_id).get("VersionIdsToStages", {})
        labels = stages.get(self._version, ())
        if "AWSCURRENT" in labels:
            return
        if "AWSPENDING" not in labels:
            raise RotationError("The secret is not being rotated to this version.")
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
                raise RotationError(f"{step!r} is not a rotation step.")

    def _create_secret(self) -> None:
        """Have Cognito create a secret, and store it as the pending version."""
        if self._read(VersionId=self._version):
            return
        held = _list_secrets(self._client)
        if len(held) >= MAX_SECRETS:
            _delete_secret(self._client, self._choose_dispensable(held))
        added = _cognito.add_user_pool_client_secret(**self._client.key)["ClientSecretDescriptor"]
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
        """Return the ID of the secret to delete: the newest that no version names, or else the previous one.

        Before the first rotation, no version names a secret. Somebody may have read the older one in Cognito and
        use it; the newer one can only come from a run that stopped before it stored the secret.
        """
        current = self._read(VersionStage="AWSCURRENT").get("clientSecretId")
        previous = self._read(VersionStage="AWSPREVIOUS").get("clientSecretId")
        candidates = [secret for secret in held if secret["ClientSecretId"] != current]
        choice = max(
            candidates, key=lambda entry: (entry["ClientSecretId"] != previous, entry["ClientSecretCreateDate"])
        )
        return str(choice["ClientSecretId"])

    def _check_secret(self) -> None:
        """Check that Cognito has the pending secret. Nothing is set: Cognito created the secret."""
        pending = self._read_pending()
        if pending["clientSecretId"] not in {secret["ClientSecretId"] for secret in _list_secrets(self._client)}:
            # A version cannot be written twice, so this one is lost. Without its label the next rotation can start.
            _secrets_manager.update_secret_version_stage(
                SecretId=self._secret_id, VersionStage="AWSPENDING", RemoveFromVersionId=self._version
            )
            raise RotationError("Cognito no longer has the new secret. This rotation ends here; start another one.")

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
            response, answer = fetch_json(connection, "POST", target, headers, form)
        finally:
            connection.close()
        if response.status != 200 or not answer.get("access_token"):
            raise RotationError(f"The token endpoint issues no token for the new secret (status {response.status}).")

    def _finish(self, current: str | None) -> None:
        """Make the pending version current; Secrets Manager makes the current one the previous one."""
        source = {"RemoveFromVersionId": current} if current else {}
        _secrets_manager.update_secret_version_stage(
            SecretId=self._secret_id, VersionStage="AWSCURRENT", MoveToVersionId=self._version, **source
        )

    def _read_pending(self) -> Mapping[str, str]:
        pending = self._read(VersionId=self._version)
        if not pending:
            raise RotationError("The new version has no value yet; createSecret must run first.")
        return pending

    def _read(self, **version: str) -> Mapping[str, str]:
        return _read_version(self._secret_id, **version)


def retire_secrets(client: MachineClient, secret_id: str, grace: timedelta) -> int:
    """Delete the client's secrets except the current one, once they and the last rotation are older than `grace`.

    A rotation that begins at the same time adds a secret that is too young to be deleted. While one runs, nothing is
    deleted: it has already deleted the previous secret, or is about to.

    Args:
        client: the client whose secrets are retired.
        secret_id: name or ARN of the secret in Secrets Manager.
        grace: how long the previous secret works beside the current one.

    Returns:
        The number of deleted secrets.

    Raises:
        RotationError: Cognito no longer has the current secret, so another one may be all that the client has.
        botocore.exceptions.ClientError: Secrets Manager or Cognito refuses a call.
        botocore.exceptions.BotoCoreError: Secrets Manager or Cognito does not answer.
    """
    deadline = datetime.now(UTC) - grace
    described = _secrets_manager.describe_secret(SecretId=secret_id)
    versions = {label: version for version, labels in described["VersionIdsToStages"].items() for label in labels}
    is_rotating = versions.get("AWSPENDING") not in (None, versions["AWSCURRENT"])
    rotated = described.get("LastRotatedDate")
    if is_rotating or rotated is None or rotated > deadline:
        return 0
    current = _read_version(secret_id, VersionId=versions["AWSCURRENT"]).get("clientSecretId")
    held = _list_secrets(client)
    if current not in {secret["ClientSecretId"] for secret in held}:
        raise RotationError("Cognito no longer has the current secret; start a rotation.")
    retired = [
        secret["ClientSecretId"]
        for secret in held
        if secret["ClientSecretId"] != current and secret["ClientSecretCreateDate"] <= deadline
    ]
    for client_secret_id in retired:
        _delete_secret(client, client_secret_id)
    return len(retired)


def _list_secrets(client: MachineClient) -> list[dict[str, Any]]:
    secrets: list[dict[str, Any]] = _cognito.list_user_pool_client_secrets(**client.key)["ClientSecrets"]
    return secrets


def _delete_secret(client: MachineClient, client_secret_id: str) -> None:
    """Delete a secret in Cognito, unless a rotation and a retirement at the same time have done it."""
    with suppress(_cognito.exceptions.ResourceNotFoundException):
        _cognito.delete_user_pool_client_secret(**client.key, ClientSecretId=client_secret_id)


def _read_version(secret_id: str, **version: str) -> Mapping[str, str]:
    """Return a version's value; empty if the version does not exist or has no value."""
    try:
        answer = _secrets_manager.get_secret_value(SecretId=secret_id, **version)
    except _secrets_manager.exceptions.ResourceNotFoundException:
        return {}
    value: dict[str, str] = json.loads(answer["SecretString"])
    return value


def _connect(url: str) -> tuple[HTTPConnection, str]:
    """Return an unopened connection to a URL's server, and the request target.

    Raises:
        RotationError: the secret would cross the network unencrypted.
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
