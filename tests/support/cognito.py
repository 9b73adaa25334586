"""The part of Cognito that a machine client's rotation uses.

It follows the service model and the API Reference of Amazon Cognito user pools: a client has one or two secrets, a
value is returned only when it is created, and IDs have the form `<client id>--<time>`.
"""

import base64
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local_engine.issuer import mint_token

USER_POOL_ID = "us-east-1_Machines1"
CLIENT_ID = "machineclient0123456789"
SCOPE = "resources/read resources/write"


class Refused(Exception):
    """An error of the service, by its name in the service model."""


@dataclass
class ClientSecret:
    id: str
    value: str
    created: float

    def describe(self) -> dict[str, Any]:
        return {"ClientSecretId": self.id, "ClientSecretCreateDate": self.created}


@dataclass
class Cognito:
    """A user pool with one app client, and its domain."""

    issuer: str = ""
    token_seconds: int = 900
    secrets: list[ClientSecret] = field(default_factory=list)
    refused_tokens: int = 0

    def __post_init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._make_secret()

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out an operation of the API."""
        if parameters["UserPoolId"] != USER_POOL_ID or parameters["ClientId"] != CLIENT_ID:
            raise Refused("ResourceNotFoundException")
        match operation:
            case "AddUserPoolClientSecret":
                if len(self.secrets) == 2:
                    raise Refused("LimitExceededException")
                secret = self._make_secret(parameters.get("ClientSecret"))
                # A value that the caller provides is not returned.
                told = {} if "ClientSecret" in parameters else {"ClientSecretValue": secret.value}
                return {"ClientSecretDescriptor": {**secret.describe(), **told}}
            case "ListUserPoolClientSecrets":
                return {"ClientSecrets": [secret.describe() for secret in self.secrets]}
            case "DeleteUserPoolClientSecret":
                found = [secret for secret in self.secrets if secret.id == parameters["ClientSecretId"]]
                if not found:
                    raise Refused("ResourceNotFoundException")
                if len(self.secrets) == 1:
                    raise Refused("InvalidParameterException")
                self.secrets.remove(found[0])
                return {}
        raise Refused("UnknownOperationException")

    def give_token(self, authorization: str, body: str) -> tuple[int, dict[str, Any]]:
        """Answer a request to the token endpoint: client credentials, by HTTP Basic."""
        form = {name: values[0] for name, values in parse_qs(body).items()}
        client, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if unquote_plus(client) != CLIENT_ID or unquote_plus(secret) not in {known.value for known in self.secrets}:
            self.refused_tokens += 1
            return 400, {"error": "invalid_client"}
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        scopes = form.get("scope", SCOPE).split()
        if not set(scopes) <= set(SCOPE.split()):
            return 400, {"error": "invalid_scope"}
        token = mint_token(
            self._key,
            issuer=self.issuer,
            audience="",
            subject=CLIENT_ID,
            scopes=scopes,
            client_id=CLIENT_ID,
            expires_in=self.token_seconds,
            claims={"aud": None, "version": 2},
        )
        return 200, {"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer"}

    def describe_issuer(self) -> dict[str, Any]:
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/.well-known/jwks.json"}

    def list_keys(self) -> dict[str, Any]:
        token = mint_token(self._key, issuer="", audience="", subject="", scopes=())
        key_id = jwt.get_unverified_header(token)["kid"]
        return {"keys": [{**RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True), "kid": key_id, "use": "sig"}]}

    def _make_secret(self, value: str | None = None) -> ClientSecret:
        value = secrets.token_hex(26) if value is None else value
        assert re.fullmatch(r"[\w+]{24,64}", value)
        now = time.time()
        while any(secret.created == now for secret in self.secrets):
            now += 0.001
        secret = ClientSecret(f"{CLIENT_ID}--{int(now * 1000)}", value, now)
        self.secrets.append(secret)
        return secret


def write_error(error: Refused) -> str:
    return json.dumps({"__type": str(error), "message": f"{error} by the stand-in"})
