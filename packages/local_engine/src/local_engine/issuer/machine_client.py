"""Credentials of the issuer's client for programs, kept in Secrets Manager as a deployed stack keeps its own."""

import json
from collections.abc import Sequence

from local_engine.access.user_pools import read_user_pools
from local_engine.account import REGION
from local_engine.gateway.routes import read_routes
from local_engine.issuer.access_tokens import CLIENT_ID, issuer_url, load_client_secret, user_pool_url
from local_engine.issuer.api_tokens import find_token_settings
from local_engine.services.aws_services import keep_secret
from local_engine.template.stack import Api, Stack


def keep_machine_client(api: Api, port: int, endpoint: str, stack: Stack) -> None:
    """Write the settings of a program that calls an API into the secret `machine-client/<logical ID of the API>`.

    An API that accepts none of the local issuer's tokens gets no secret.

    Args:
        api: the API to call.
        port: the API's port.
        endpoint: URL of the AWS services.
        stack: the API's stack.

    Raises:
        ServicesError: Secrets Manager rejects the secret.
        StateError: the client's secret cannot be read or written.
    """
    client = find_machine_client(api, port, stack)
    if client is None:
        return
    client_id, token_endpoint, allowed = client
    asked = {scope for route in read_routes(api.document) for scope in route.scopes}
    value = {
        "clientId": client_id,
        "clientSecret": load_client_secret(stack.project, client_id),
        "scope": " ".join(sorted(asked if allowed is None else asked & set(allowed))),
        "tokenEndpoint": token_endpoint,
    }
    keep_secret(_secret_name(api), json.dumps(value), endpoint)


def find_machine_client(api: Api, port: int, stack: Stack) -> tuple[str, str, Sequence[str] | None] | None:
    """Return the client whose tokens an API accepts: its ID, its token endpoint, and its scopes.

    Return None if there is no such client. The scopes are None if the client may have any.

    Args:
        api: the API.
        port: its port.
        stack: its stack.
    """
    routes = read_routes(api.document)
    pools = read_user_pools(stack)
    for name in dict.fromkeys(route.authorizer for route in routes if route.authorizer):
        settings = find_token_settings(api.document, name, pools)
        if settings is None:
            continue
        if not settings.is_user_pool:
            return CLIENT_ID, f"{issuer_url(port)}/oauth2/token", None
        pool = next(pool for pool in pools if pool.issuer == settings.issuer)
        for client in pool.clients:
            if client.id == settings.audience and client.has_secret:
                return client.id, f"{user_pool_url(port, pool.id)}/oauth2/token", client.scopes
    return None


def describe_environment(api: Api, url: str, endpoint: str) -> str:
    """Return a machine client's environment variables, to be written before a shell command.

    Args:
        api: the API to call.
        url: URL of the API, with its stage.
        endpoint: URL of the AWS services.
    """
    variables = {
        "API_URL": url,
        "CLIENT_SECRET_ID": _secret_name(api),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    return " ".join(f"{name}={value}" for name, value in variables.items())


def _secret_name(api: Api) -> str:
    return f"machine-client/{api.logical_id}"
