"""What a started engine tells the user: the start page, routes, an example request, and what programs need."""

from collections.abc import Collection, Sequence
from pathlib import Path

from local_engine.console import Console
from local_engine.engine import Engine
from local_engine.gateway.http_api import Gateway
from local_engine.issuer.access_tokens import AUDIENCE, issuer_url, load_signing_key, mint_token
from local_engine.issuer.machine_client import describe_environment
from local_engine.page.local_pages import START_PATH
from local_engine.template.stack import Stack

_EXAMPLE_USER = "demo"


def show_start(
    console: Console,
    stack: Stack,
    engine: Engine,
    endpoint: str,
    lambda_endpoint: str,
    *,
    failed_builds: Collection[str],
) -> None:
    """Write what is served, and where, and what cannot be built."""
    functions = {function.name: logical_id for logical_id, function in stack.functions.items()}
    if not stack.apis:
        console.show(f"\nThe template has no HTTP API. Its functions can be invoked: {', '.join(stack.functions)}\n")
    for api, (port, gateway) in zip(stack.apis, engine.gateways.items(), strict=True):
        prefix = "" if api.stage == "$default" else f"/{api.stage}"
        url = f"http://127.0.0.1:{port}"
        console.show(f"\nStart page     {url}{START_PATH}  (API page, dashboard, tokens)\n")
        console.show(f"{api.logical_id} is served at {url}{prefix}\n")
        width = max((len(route.key) for route in gateway.table.routes), default=0)
        for route in gateway.table.routes:
            if route.refusal:
                console.show(f"  {route.key:<{width}}  not served: {route.refusal}")
                continue
            access = " or ".join(route.scopes) or "any valid token" if route.authorizer else "open"
            console.show(f"  {route.key:<{width}}  {functions[route.function_name]}  ({access})")
        if gateway.table.routes:
            console.show(f"\n  {_example_call(gateway, url + prefix, port, stack.project)}\n")
        else:
            console.show("  It has no routes.\n")
        if origins := (api.cors or {}).get("allowOrigins"):
            console.show(f"Allowed origin {', '.join(origins)}  (its web pages may call the API)")
        if any(route.authorizer for route in gateway.table.routes):
            console.show(f"Machine client {describe_environment(api, url + prefix, endpoint)}")
    console.show(f"AWS services   {endpoint}\nLambda         {lambda_endpoint}")
    for sentence in stack.notices:
        console.show(sentence)
    state = "Ready"
    if failed_builds:
        state += f" except what needs {', '.join(sorted(failed_builds))}, which cannot be built (see above)"
    console.show(f"\n{state}. Ctrl-C stops everything.\n")


def mint_user_token(port: int, project: Path, subject: str, scopes: Sequence[str]) -> str:
    """Return a token of a user for the API on a port."""
    key = load_signing_key(project)
    return mint_token(key, issuer=issuer_url(port), audience=AUDIENCE, subject=subject, scopes=scopes)


def _example_call(gateway: Gateway, url: str, port: int, project: Path) -> str:
    """Return a command that calls the first route without a body or path variables."""
    readable = (
        route
        for route in gateway.table.routes
        if route.method in ("GET", "ANY") and "{" not in route.path and not route.refusal
    )
    route = next(readable, None)
    path = "/" if route is None or route.path == "$default" else route.path
    if route is None or route.authorizer is None:
        return f"curl {url}{path}"
    return f"curl -H 'Authorization: Bearer {mint_user_token(port, project, _EXAMPLE_USER, route.scopes)}' {url}{path}"
