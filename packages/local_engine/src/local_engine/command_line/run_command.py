"""Starts and stops all that `python -m local_engine run` needs."""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import uvicorn
from starlette.routing import Mount, Router

from local_engine.cloudwatch.dashboard import DASHBOARD
from local_engine.cloudwatch.dashboard_page import DASHBOARD_PATH, create_dashboard_routes
from local_engine.cloudwatch.emf import MetricLines
from local_engine.cloudwatch.monitoring import Monitoring
from local_engine.cloudwatch.publishers import FunctionMetrics
from local_engine.command_line.arguments import parse_count, parse_parameter, parse_port, parse_seconds
from local_engine.command_line.token_command import AUDIENCE, ISSUER_PATH, issuer_url
from local_engine.console import Console
from local_engine.engine import AsgiApplication, Engine
from local_engine.functions.invocations import LAMBDA_PATH, Invocations
from local_engine.functions.pool import FunctionSettings
from local_engine.gateway.http_api import Gateway
from local_engine.gateway.routes import read_routes
from local_engine.issuer.issuer import create_issuer, load_signing_key, mint_token
from local_engine.issuer.machine_client import describe_environment, keep_machine_client
from local_engine.page.page import create_page
from local_engine.services.aws_services import (
    ServicesError,
    create_resources,
    seed_tables,
    send_message,
    start_services,
)
from local_engine.services.containers import listen
from local_engine.state import StateError
from local_engine.template.stack import HttpApi, Stack, TemplateError, load_template

HOST = "127.0.0.1"
DEMO_USER = "demo"
_CREATED_TYPES = ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::Events::EventBus", "AWS::Events::Rule")


class StartError(Exception):
    """The engine cannot start; the message is a sentence for the user."""


def run(arguments: Sequence[str]) -> None:
    """Serve the APIs of a template until it is interrupted.

    Raises:
        SystemExit: with status 2 after a sentence, where it cannot start.
    """
    options = _parse(arguments)
    try:
        asyncio.run(_serve(options, Console()))
    except (StartError, TemplateError, ServicesError, StateError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local_engine run", description="Serve the HTTP APIs of a SAM template.", allow_abbrev=False
    )
    parser.add_argument("--template", type=Path, default=Path("template.yaml"), help="default: template.yaml")
    parser.add_argument("--port", type=parse_port, default=3000, help="of the first API, others follow (default: 3000)")
    parser.add_argument(
        "--parameters", nargs="+", action="extend", type=parse_parameter, default=[], metavar="KEY=VALUE"
    )
    parser.add_argument("--seed", type=Path, metavar="FILE", help="items for the tables, as RequestItems in JSON")
    parser.add_argument(
        "--processes",
        type=parse_count,
        default=10,
        help="of one function at most; requests beyond wait (default: 10)",
    )
    parser.add_argument(
        "--minute",
        type=parse_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long a minute of metrics and alarms lasts; a period of 300 s is five of them (default: 60)",
    )
    parser.add_argument("--services", metavar="URL", help="of AWS services that run already; default: its own")
    return parser.parse_args(arguments)


async def _serve(options: argparse.Namespace, console: Console) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as cleanup:
        stack = load_template(options.template, dict(options.parameters))
        if not stack.apis:
            raise StartError(
                f"{options.template} has no AWS::Serverless::HttpApi with a route, so there is nothing to serve."
            )
        sockets = [_listen(options.port + offset) for offset in range(len(stack.apis))]
        for listener in sockets:
            cleanup.callback(listener.close)
        endpoint = options.services
        if endpoint is None:
            services = start_services()
            cleanup.callback(services.stop)
            endpoint = services.endpoint
        lifeline, held_end = os.pipe()
        cleanup.callback(os.close, lifeline)
        cleanup.callback(os.close, held_end)
        lambda_endpoint = f"http://{HOST}:{options.port}{LAMBDA_PATH}"
        invocations = Invocations(partial(send_message, endpoint=endpoint), console)
        monitoring = Monitoring(console, endpoint, options.minute)
        engine = Engine(
            stack,
            FunctionSettings(
                MetricLines(console, monitoring.store),
                lifeline,
                options.processes,
                endpoint,
                lambda_endpoint,
                FunctionMetrics(monitoring.store),
            ),
            console,
            monitoring,
            ports=range(options.port, options.port + len(sockets)),
            create_local_application=lambda api, port: _create_local_application(api, port, invocations, monitoring),
            create_resources=lambda added: _create_resources(added, endpoint),
            invocations=invocations,
        )
        cleanup.push_async_callback(engine.close)
        preparing = asyncio.create_task(asyncio.to_thread(_prepare_services, stack, endpoint, options))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return
        preparing.result()
        _show_start(console, stack, engine, endpoint, lambda_endpoint)
        server = _Server(
            uvicorn.Config(
                engine,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
            )
        )
        watching = asyncio.create_task(monitoring.run())
        cleanup.callback(watching.cancel)
        serving = asyncio.create_task(server.serve(sockets))
        await stopping
        server.should_exit = server.force_exit = True
        await serving


class _Server(uvicorn.Server):
    """A server that leaves signals to the engine."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(port: int) -> socket.socket:
    if port > 65535:
        raise StartError("The template has more APIs than there are ports; choose a lower --port.")
    try:
        return listen(HOST, port)
    except OSError as error:
        raise StartError(
            f"Port {port} cannot be used ({error.strerror}): stop what uses it, or choose another with PORT= or --port."
        ) from error


def _prepare_services(stack: Stack, endpoint: str, options: argparse.Namespace) -> None:
    _create_resources(stack, endpoint)
    for port, api in enumerate(stack.apis, options.port):
        keep_machine_client(api, port, endpoint)
    if options.seed is not None:
        names = {
            logical_id: resource.properties.get("TableName", logical_id)
            for logical_id, resource in stack.resources.items()
            if resource.type == "AWS::DynamoDB::Table"
        }
        seed_tables(options.seed, endpoint, names)


def _create_resources(stack: Stack, endpoint: str) -> None:
    # A stack without any need not wait until the services answer.
    if any(resource.type in _CREATED_TYPES for resource in stack.resources.values()):
        create_resources(stack, endpoint)


def _create_local_application(
    api: HttpApi, port: int, invocations: Invocations, monitoring: Monitoring
) -> AsgiApplication:
    issuer = issuer_url(port)
    scopes = sorted({scope for route in read_routes(api.document) for scope in route.scopes})
    return Router(
        [
            Mount(ISSUER_PATH, create_issuer(issuer, AUDIENCE, scopes)),
            *create_dashboard_routes(monitoring),
            Mount(LAMBDA_PATH, invocations),
            Mount("/", create_page(api.document, issuer, lambda granted: _mint_demo_token(port, granted))),
        ]
    )


def _mint_demo_token(port: int, scopes: Sequence[str]) -> str:
    return mint_token(load_signing_key(), issuer=issuer_url(port), audience=AUDIENCE, subject=DEMO_USER, scopes=scopes)


def _show_start(console: Console, stack: Stack, engine: Engine, endpoint: str, lambda_endpoint: str) -> None:
    for api, (port, gateway) in zip(stack.apis, engine.gateways.items(), strict=True):
        prefix = "" if api.stage == "$default" else f"/{api.stage}"
        url = f"http://{HOST}:{port}"
        console.show(f"\n{api.logical_id} is served at {url}{prefix}\n")
        width = max(len(route.key) for route in gateway.table.routes)
        for route in gateway.table.routes:
            access = " or ".join(route.scopes) or "any valid token" if route.authorizer else "open"
            console.show(f"  {route.key:<{width}}  {route.function_name}  ({access})")
        console.show()
        console.show(f"  {_example_call(gateway, url + prefix, port)}\n")
        console.show(f"Documentation  {url}/_local/docs")
        console.show(f"OpenAPI        {url}/_local/openapi.json")
        if any(resource.type == DASHBOARD for resource in stack.resources.values()):
            console.show(f"Dashboard      {url}{DASHBOARD_PATH}")
        if any(route.authorizer for route in gateway.table.routes):
            console.show(f"Machine client {describe_environment(api, url + prefix, endpoint)}")
    console.show(f"AWS services   {endpoint}\nLambda         {lambda_endpoint}\n\nReady. Ctrl-C stops everything.\n")


def _example_call(gateway: Gateway, url: str, port: int) -> str:
    """Return a command for the first route that can be called without a body or path variables."""
    readable = (route for route in gateway.table.routes if route.method in ("GET", "ANY") and "{" not in route.path)
    route = next(readable, None)
    path = "/" if route is None or route.path == "$default" else route.path
    if route is None or route.authorizer is None:
        return f"curl {url}{path}"
    return f"curl -H 'Authorization: Bearer {_mint_demo_token(port, route.scopes)}' {url}{path}"
