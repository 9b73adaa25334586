"""Credentials of the issuer's client for programs, kept in Secrets Manager as a deployed stack keeps its own."""

import json
from pathlib import Path

from local_engine.gateway.routes import read_routes
from local_engine.issuer.access_tokens import CLIENT_ID, issuer_url, load_client_secret
from local_engine.services.aws_services import keep_secret
from local_engine.template.intrinsics import REGION
from local_engine.template.stack import Api


def keep_machine_client(api: Api, port: int, endpoint: str, project: Path) -> None:
    """Write the settings of a program that calls an API into the secret `machine-client/<logical ID of the API>`.

    An API without an authorizer gets no secret.

    Args:
        api: the API to call.
        port: the API's port.
        endpoint: URL of the AWS services.
        project: the folder of the template.

    Raises:
        ServicesError: Secrets Manager rejects the secret.
        StateError: the client's secret cannot be read or written.
    """
    routes = [route for route in read_routes(api.document) if route.authorizer]
    if not routes:
        return
    value = {
        "clientId": CLIENT_ID,
        "clientSecret": load_client_secret(project),
        "scope": " ".join(sorted({scope for route in routes for scope in route.scopes})),
        "tokenEndpoint": f"{issuer_url(port)}/oauth2/token",
    }
    keep_secret(_secret_name(api), json.dumps(value), endpoint)


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
