"""The local issuer's client as programs find it: in Secrets Manager, in the form that the stack's own secret has."""

import json

from local_engine.command_line.token_command import issuer_url
from local_engine.gateway.routes import read_routes
from local_engine.issuer.issuer import CLIENT_ID, load_client_secret
from local_engine.services.aws_services import keep_secret
from local_engine.template.intrinsics import REGION
from local_engine.template.stack import HttpApi


def keep_machine_client(api: HttpApi, port: int, endpoint: str) -> None:
    """Put what a program needs to get tokens for an API into the secret `machine-client/<the API's logical id>`.

    An API without an authorizer gets none.

    Args:
        api: which the tokens are for.
        port: of the API.
        endpoint: URL of the AWS services.

    Raises:
        ServicesError: Secrets Manager refuses it.
        StateError: the client's secret cannot be read or written.
    """
    routes = [route for route in read_routes(api.document) if route.authorizer]
    if not routes:
        return
    value = {
        "clientId": CLIENT_ID,
        "clientSecret": load_client_secret(),
        "scope": " ".join(sorted({scope for route in routes for scope in route.scopes})),
        "tokenEndpoint": f"{issuer_url(port)}/oauth2/token",
    }
    keep_secret(_secret_name(api), json.dumps(value), endpoint)


def describe_environment(api: HttpApi, url: str, endpoint: str) -> str:
    """Return the environment of a machine client for an API, as a shell takes it in front of a command.

    Args:
        api: to be called.
        url: of the API, with its stage.
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


def _secret_name(api: HttpApi) -> str:
    return f"machine-client/{api.logical_id}"
