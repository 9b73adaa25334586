"""Commands that call an API, with a token or with keys that it accepts."""

import re
import shlex
from collections.abc import Iterable
from typing import Any

from local_engine.access.credentials import issue_user_credentials
from local_engine.access.user_pools import read_user_pools
from local_engine.gateway.authorizer_factory import IAM
from local_engine.gateway.routes import Route
from local_engine.issuer.access_tokens import load_signing_key
from local_engine.issuer.api_tokens import find_token_settings, mint_api_token
from local_engine.template import REGION
from local_engine.template.stack import Api, Stack

_USER = "demo"
_PRINCIPAL = "local-engine-example"
"""A user of IAM whom the template does not have."""
_POLICY = {
    "Version": "2012-10-17",
    # Some methods also ask for the permission to invoke their function.
    "Statement": [{"Effect": "Allow", "Action": ["execute-api:Invoke", "lambda:InvokeFunction"], "Resource": "*"}],
}
_READING_METHODS = ("GET", "ANY")
_WRITING_METHODS = ("POST", "PUT", "PATCH")
_VARIABLE = re.compile(r"\{[^}]*\}")


def list_callable(routes: Iterable[Route]) -> list[Route]:
    """Return the served routes that an example may call, first those that read and have no path variables."""
    methods = (*_READING_METHODS, *_WRITING_METHODS)
    served = [route for route in routes if route.method in methods and not route.refusal]
    return sorted(served, key=lambda route: (route.method in _WRITING_METHODS, "{" in route.path))


def find_scheme(api: Api, route: Route) -> Any:
    """Return the security scheme of a route; None if the API's document has none of its name."""
    schemes = (api.document.get("components") or {}).get("securitySchemes") or {}
    return schemes.get(route.authorizer)


def is_signed(api: Api, route: Route) -> bool:
    """Return whether a route takes requests that are signed with IAM credentials."""
    scheme = find_scheme(api, route)
    authtype = scheme.get("x-amazon-apigateway-authtype") if isinstance(scheme, dict) else None
    return route.authorizer == IAM or authtype == "awsSigv4"


def make_example_call(api: Api, routes: Iterable[Route], url: str, stack: Stack) -> str:
    """Return a command that calls a served route; empty if there is none that the API lets an example call.

    Args:
        api: the API.
        routes: its routes.
        url: where it is served, with its stage.
        stack: its stack.
    """
    pools = read_user_pools(stack)
    for route in list_callable(routes):
        if route.authorizer is None:
            return f"curl{_describe_request(route, url)}"
        if is_signed(api, route):
            return make_signed_call(api, [route], url, stack)
        if settings := find_token_settings(api.document, route.authorizer, pools):
            token = mint_api_token(load_signing_key(stack.project), settings, _USER, route.scopes)
            return f"curl -H 'Authorization: Bearer {token}'{_describe_request(route, url)}"
    return ""


def make_signed_call(api: Api, routes: Iterable[Route], url: str, stack: Stack) -> str:
    """Return a command that calls a route for signed requests; empty if there is none."""
    route = next((route for route in list_callable(routes) if is_signed(api, route)), None)
    if route is None:
        return ""
    key = issue_user_credentials(stack.project, _PRINCIPAL, [_POLICY])
    user = shlex.quote(f"{key.access_key_id}:{key.secret_access_key}")
    return f"curl --aws-sigv4 aws:amz:{REGION}:execute-api --user {user}{_describe_request(route, url)}"


def _describe_request(route: Route, url: str) -> str:
    path = "/" if route.path == "$default" else _VARIABLE.sub("1", route.path)
    body = f" -X {route.method} -d '{{}}'" if route.method in _WRITING_METHODS else ""
    return f"{body} {url}{path}"
