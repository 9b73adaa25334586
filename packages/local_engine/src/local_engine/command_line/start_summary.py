"""What a started engine tells the user: the start page, routes, an example request, and what programs need."""

from collections.abc import Collection, Mapping, Sequence

from local_engine.command_line.example_calls import find_scheme, is_signed, list_callable, make_example_call
from local_engine.console import Console
from local_engine.engine import Engine, Gateway
from local_engine.function_url.url_access import is_public
from local_engine.gateway.routes import Route
from local_engine.issuer.machine_client import describe_environment, find_machine_client
from local_engine.page.local_pages import START_PATH
from local_engine.page.project_page import ProjectPage
from local_engine.services.stack_resources import find_table_names
from local_engine.template.stack import Api, FunctionUrl, HttpApi, RestApi, Stack


def show_start(
    console: Console,
    stack: Stack,
    engine: Engine,
    endpoint: str,
    lambda_endpoint: str,
    *,
    failed_builds: Collection[str],
    pages: Sequence[ProjectPage],
    keeps: bool,
) -> None:
    """Write what is served, and where, and what cannot be built or is lost at the end."""
    functions = {function.name: logical_id for logical_id, function in stack.functions.items()}
    if not stack.apis and stack.functions:
        console.show(f"\nThe template has no API. Its functions can be invoked: {', '.join(stack.functions)}\n")
    elif not stack.apis:
        console.show("\nThe template has no API and no function that can run. Its rules and subscriptions run.\n")
    for api, (port, gateway) in zip(stack.apis, engine.gateways.items(), strict=True):
        url = f"http://127.0.0.1:{port}"
        if isinstance(api, FunctionUrl):
            console.show(f"\n{_describe_function_url(api, gateway.routes[0], url, functions)}")
            continue
        console.show(f"\nStart page     {url}{START_PATH}  (API page, dashboard, tokens)\n")
        console.show(f"{api.logical_id} is served at {url}{api.base_path}\n")
        _show_routes(console, api, gateway, url, functions)
        _show_example(console, api, gateway, url, stack)
        if isinstance(api, HttpApi) and (origins := (api.cors or {}).get("allowOrigins")):
            console.show(f"Allowed origin {', '.join(origins)}  (its web pages may call the API)")
        if isinstance(api, HttpApi) and find_machine_client(api, port, stack):
            console.show(f"Machine client {describe_environment(api, url + api.base_path, endpoint)}")
    _show_pages(console, engine, pages)
    _show_data(console, stack, keeps=keeps)
    console.show(f"AWS services   {endpoint}\nLambda         {lambda_endpoint}")
    for sentence in stack.notices:
        console.show(sentence)
    state = "Ready"
    if failed_builds:
        state += f" except what needs {', '.join(sorted(failed_builds))}, which cannot be built (see above)"
    console.show(f"\n{state}. Ctrl-C stops everything.\n")


def _show_pages(console: Console, engine: Engine, pages: Sequence[ProjectPage]) -> None:
    first = min(engine.gateways, default=None)
    for page in pages if first else ():
        console.show(f"Page           http://127.0.0.1:{first}{START_PATH}{page.name}")


def _show_data(console: Console, stack: Stack, *, keeps: bool) -> None:
    if find_table_names(stack):
        lost = "lost when the engine stops; --keep keeps it for the next run"
        console.show(f"Data           {'kept for the next run with --keep' if keeps else lost}")


def _show_routes(console: Console, api: Api, gateway: Gateway, url: str, functions: Mapping[str, str]) -> None:
    shown = [_describe_route(api, route, url) for route in gateway.routes]
    width = max(map(len, shown), default=0)
    for name, route in zip(shown, gateway.routes, strict=True):
        if route.refusal:
            reason = route.refusal.removeprefix(f"Method {route.key} is not served: ")
            console.show(f"  {name:<{width}}  not served: {reason}")
            continue
        answerer = functions.get(route.function_name, "the gateway itself")
        console.show(f"  {name:<{width}}  {answerer}  ({_describe_access(api, route)})")


def _show_example(console: Console, api: Api, gateway: Gateway, url: str, stack: Stack) -> None:
    if not gateway.routes:
        console.show("  It has no routes.\n")
    elif command := make_example_call(api, gateway.routes, url + api.base_path, stack):
        console.show(f"\n  {command}\n")
    elif list_callable(gateway.routes):
        console.show("\n  Its routes ask for proof that the engine cannot make up for an example.\n")


def _describe_function_url(api: FunctionUrl, route: Route, url: str, functions: Mapping[str, str]) -> str:
    if route.refusal:
        return route.refusal
    access = "signed requests" if api.is_signed else "open"
    if not api.is_signed and not is_public(api):
        access = "nobody, because it takes permissions for lambda:InvokeFunctionUrl and lambda:InvokeFunction"
    streamed = ", streamed" if api.is_streamed else ""
    return f"{api.logical_id} is served at {url}/  {functions[api.function_name]}  ({access}{streamed})"


def _describe_route(api: Api, route: Route, url: str) -> str:
    # The stage of a REST API is easily forgotten.
    return f"{route.method} {url}{api.base_path}{route.path}" if isinstance(api, RestApi) else route.key


def _describe_access(api: Api, route: Route) -> str:
    if route.authorizer is None:
        return "open"
    if is_signed(api, route):
        return "signed"
    scheme = find_scheme(api, route)
    settings = scheme.get("x-amazon-apigateway-authorizer") if isinstance(scheme, dict) else None
    if isinstance(settings, dict) and settings.get("type") in ("token", "request"):
        return f"authorizer {route.authorizer}"
    return " or ".join(route.scopes) or "any valid token"
