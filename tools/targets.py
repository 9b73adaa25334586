"""Finds an API and a client that gets tokens for it."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote_plus, urlsplit

import httpx

from local_engine.issuer import CLIENT_ID, ISSUER_PATH, StateError, load_client_secret
from tools.profiles import ROOT, OperationError
from tools.stack import DeployedStack

# The first rotation starts when the stack is created, and writes the machine client's secret.
ROTATION_SECONDS = 300
_POLL_SECONDS = 3
_TOKEN_SECONDS = 15


@dataclass(frozen=True)
class Client:
    """A client of an issuer that uses client credentials (RFC 6749, section 4.4).

    Attributes:
        client_id: its ID.
        client_secret: its secret.
        token_endpoint: URL.
        options: further form fields that the issuer requires, such as `scope` and `audience`.
    """

    client_id: str
    client_secret: str
    token_endpoint: str
    options: Mapping[str, str]

    def get_token(self) -> str:
        """Return an access token.

        Raises:
            OperationError: the token endpoint does not answer, or issues none.
        """
        if not is_local(self.token_endpoint) and urlsplit(self.token_endpoint).scheme != "https":
            raise OperationError(f"{self.token_endpoint} is not an https URL: the secret would be sent unencrypted.")
        # The encoding is that of RFC 6749, section 2.3.1.
        credentials = (quote_plus(self.client_id), quote_plus(self.client_secret))
        try:
            with _connect(self.token_endpoint) as session:
                form = {"grant_type": "client_credentials", **self.options}
                answer = session.post(self.token_endpoint, data=form, auth=credentials)
                token: str = answer.raise_for_status().json()["access_token"]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            raise OperationError(
                f"{self.token_endpoint} issues no token to {self.client_id}: {_first_line(error)}"
            ) from error
        return token


@dataclass(frozen=True)
class Target:
    """An API and a client that may call all of its routes."""

    url: str
    client: Client


def find_local(url: str) -> Target:
    """Return the API that `make run` serves at a URL, with the local issuer's client.

    Raises:
        OperationError: the URL is not on this machine, or nothing answers there.
    """
    url = url.rstrip("/")
    check_url(url)
    if not is_local(url):
        raise OperationError(f"{url} is not on this machine; for a deployed stack set STAGE= or STACK= instead.")
    try:
        secret = load_client_secret(ROOT)
    except StateError as error:
        raise OperationError(str(error)) from error
    return Target(url, Client(CLIENT_ID, secret, _discover(url + ISSUER_PATH), {}))


def find_deployed(stack: DeployedStack, environment: Mapping[str, str] = os.environ) -> Target:
    """Return a stack's API, with its machine client or, for another issuer, with the client that the environment names.

    Args:
        stack: the deployed stack.
        environment: `SMOKE_CLIENT_ID`, `SMOKE_CLIENT_SECRET` and, if the issuer requires it, `SMOKE_SCOPE`.

    Raises:
        OperationError: an output, a secret or a client is missing.
    """
    outputs = stack.require_outputs("ApiUrl")
    client_id, secret = environment.get("SMOKE_CLIENT_ID", ""), environment.get("SMOKE_CLIENT_SECRET", "")
    if "MachineClientSecretArn" in outputs and not client_id:
        return Target(outputs["ApiUrl"], _read_machine_client(stack, outputs))
    if not client_id or not secret:
        raise OperationError(
            f"The stack {stack.name} accepts tokens of {outputs['Issuer']}: set SMOKE_CLIENT_ID and SMOKE_CLIENT_SECRET"
            " to a client there that may use client credentials, and SMOKE_SCOPE to its scopes if it must request them."
        )
    options = {"scope": environment.get("SMOKE_SCOPE", ""), "audience": outputs.get("Audience", "")}
    endpoint = outputs.get("TokenEndpoint") or _discover(outputs["Issuer"])
    client = Client(client_id, secret, endpoint, {name: value for name, value in options.items() if value})
    return Target(outputs["ApiUrl"], client)


def is_local(url: str) -> bool:
    """Return whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_url(url: str) -> None:
    """Check that a text is the URL of an API.

    Raises:
        OperationError: it is not.
    """
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # The port is not a number up to 65535, or an IPv6 address is malformed.
        is_usable = False
    if not is_usable:
        raise OperationError(
            f"{url} is not a URL such as http://127.0.0.1:3000; set URL=, or PORT= to a number from 1 to 65535."
        )


def describe_silence(url: str) -> str:
    """Return a sentence for an API that refuses connections, and what to do."""
    if not is_local(url):
        return f"Nothing answers at {url}."
    port = urlsplit(url).port or 80
    return f"Nothing answers at {url}: start the API with `make run{'' if port == 3000 else f' PORT={port}'}`."


def _connect(url: str) -> httpx.Client:
    # The environment's proxy leads out of this machine.
    return httpx.Client(timeout=_TOKEN_SECONDS, trust_env=not is_local(url))


def _first_line(error: Exception) -> str:
    """Return an error's message; httpx adds further lines about HTTP in general."""
    return str(error).partition("\n")[0]


def _discover(issuer: str) -> str:
    """Return an issuer's token endpoint from its discovery document (OpenID Connect Discovery 1.0, section 4)."""
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    try:
        with _connect(url) as session:
            answer = session.get(url)
            endpoint: str = answer.raise_for_status().json()["token_endpoint"]
    except httpx.ConnectError as error:
        raise OperationError(describe_silence(issuer.removesuffix(ISSUER_PATH))) from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise OperationError(f"{url} does not name the token endpoint: {_first_line(error)}") from error
    return endpoint


def _read_machine_client(stack: DeployedStack, outputs: Mapping[str, str]) -> Client:
    deadline = time.monotonic() + ROTATION_SECONDS
    while True:
        try:
            secret = json.loads(stack.read_secret(outputs["MachineClientSecretArn"]))
        except ValueError as error:
            raise OperationError("The machine client's secret is not JSON; rotate it in Secrets Manager.") from error
        if "clientSecret" in secret:
            return Client(outputs["MachineClientId"], secret["clientSecret"], outputs["TokenEndpoint"], {})
        if time.monotonic() > deadline:
            raise OperationError(
                f"{outputs['MachineClientSecretArn']} contains no client secret: its first rotation has not written it."
                " Rotate it, or set SMOKE_CLIENT_ID and SMOKE_CLIENT_SECRET to a client of the user pool."
            )
        time.sleep(_POLL_SECONDS)
