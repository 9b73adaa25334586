"""Starts and stops the engine and everything that it needs except the AWS services."""

import argparse
import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import uvicorn
from starlette.routing import Mount, Route, Router

from local_engine.access.credentials import issue_role_credentials
from local_engine.access.user_pools import read_user_pools
from local_engine.building.search_paths import Builder
from local_engine.cloudwatch.dashboard_page import create_dashboard_routes
from local_engine.cloudwatch.emf import summarize_record
from local_engine.cloudwatch.monitoring import Monitoring
from local_engine.command_line.arguments import HOST, LARGEST_PORT, listen_at, read_parameters
from local_engine.command_line.command_errors import ArgumentError, MissingToolError, PortError
from local_engine.command_line.example_calls import make_signed_call
from local_engine.command_line.start_summary import show_start
from local_engine.console import Console
from local_engine.delivery_log import DELIVERIES_PATH, DeliveryLog
from local_engine.engine import AsgiApplication, Engine, Gateway
from local_engine.event_bus.installation import CLOCK_PATH
from local_engine.event_sources.event_source_mappings import EventSourceMappings
from local_engine.function_url.url_gateway import FunctionUrlGateway
from local_engine.functions.event_queue import EventQueue
from local_engine.functions.function_targets import FunctionTargets
from local_engine.functions.pool import FunctionPool
from local_engine.functions.process import FunctionSettings
from local_engine.gateway.authorizer_factory import find_identity_providers
from local_engine.gateway.clock_api import ClockApi
from local_engine.gateway.http_api import HttpApiGateway
from local_engine.gateway.http_connection import HttpConnection
from local_engine.gateway.invoke_api import LAMBDA_PATH, InvokeApi
from local_engine.gateway.routes import read_routes
from local_engine.issuer.access_tokens import (
    ISSUER_PATH,
    USER_POOLS_PATH,
    issuer_url,
    load_public_keys,
    load_signing_key,
    user_pool_url,
)
from local_engine.issuer.api_tokens import choose_token_settings, mint_api_token
from local_engine.issuer.machine_client import keep_machine_client
from local_engine.issuer.openid_provider import create_issuer, create_pool_issuer
from local_engine.observer import Observer, Observers
from local_engine.page.local_pages import create_pages
from local_engine.page.project_page import ProjectPage
from local_engine.page.project_pages import create_project_pages
from local_engine.rest_api.management_api import API_GATEWAY_PATH, create_management_api
from local_engine.rest_api.methods import read_methods
from local_engine.rest_api.response_cache import ResponseCache
from local_engine.rest_api.rest_gateway import RestApiGateway
from local_engine.services.aws_services import Services
from local_engine.services.destinations import send_record
from local_engine.services.host_names import LocalNamesOnly, is_loopback_name
from local_engine.services.kept_tables import KeptTables
from local_engine.services.services_client import ServicesError
from local_engine.services.stack_resources import create_resources, find_table_names, seed_tables
from local_engine.state import StateError
from local_engine.template.errors import TemplateError
from local_engine.template.function_urls import localize_urls
from local_engine.template.loader import load_template
from local_engine.template.stack import Api, Function, FunctionUrl, HttpApi, Resource, RestApi, Stack

# Targets that the AWS services reach without the engine.
_DELIVERED = tuple(f"arn:aws:{service}:" for service in ("events", "logs", "sns", "sqs"))


def serve(options: argparse.Namespace, services: Services | None) -> None:
    """Serve the APIs of a template until interrupted.

    Args:
        options: the arguments of `local-engine run`.
        services: the AWS services, which end with this call. None if `--services` names others.

    Raises:
        TemplateError: the template is not valid, or nothing in it can run.
        PortError: a port is taken.
        ServicesError: the services do not answer.
    """
    console = Console(is_verbose=options.verbose, summarize_metrics=summarize_record)
    asyncio.run(_serve(options, services, console))


async def _serve(options: argparse.Namespace, services: Services | None, console: Console) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as cleanup:
        endpoint = options.services
        if services is not None:
            cleanup.callback(services.stop)
            reporting = asyncio.create_task(_report_end(services, console))
            cleanup.callback(reporting.cancel)
            endpoint = services.endpoint
        stack = load_template(options.template, read_parameters(options, issuer_url(options.port)))
        if not (stack.functions or _has_mock_methods(stack) or _list_deliverers(stack)):
            reasons = "".join(f"\n{reason}" for reason in _list_reasons(stack))
            raise TemplateError(
                f"{options.template} has no function that can run, so there is nothing to serve.{reasons}"
            )
        _check_debugging(stack, options)
        # Without an API, the port is that of the Invoke API.
        ports = range(options.port, options.port + max(1, len(stack.apis)))
        stack = localize_urls(stack, ports)
        sockets = [_listen(port) for port in ports]
        for listener in sockets:
            cleanup.callback(listener.close)
        lifeline, held_end = os.pipe()
        cleanup.callback(os.close, lifeline)
        cleanup.callback(os.close, held_end)
        lambda_endpoint = f"http://{HOST}:{options.port}{LAMBDA_PATH}"
        monitoring = Monitoring(endpoint, console.show_alarm, console.notice_given, options.minute)
        deliveries = DeliveryLog()
        observer = Observers([monitoring, console, deliveries])
        builder = Builder(stack.project, console.notice_given)
        send = partial(send_record, endpoint=endpoint)
        events = EventQueue(send, observer)
        caches: dict[str, Mapping[str, ResponseCache]] = {}
        invoke_api = InvokeApi(events, observer)

        def find_gateway(port: int) -> Gateway | None:
            return engine.gateways.get(port)

        engine: Engine = Engine(
            stack,
            FunctionSettings(
                observer=observer,
                lifeline=lifeline,
                largest_pool=options.processes,
                builder=builder,
                endpoint=endpoint,
                lambda_endpoint=lambda_endpoint,
                api_gateway_endpoint=f"http://{HOST}:{options.port}{API_GATEWAY_PATH}" if _has_cache(stack) else None,
                debugged=options.debug,
                debug_port=options.debug_port,
                find_credentials=partial(_find_credentials, stack.project),
            ),
            ports=ports,
            create_gateway=partial(create_gateway, caches=caches),
            create_local_application=partial(
                _create_local_application,
                invoke_api=invoke_api,
                management_api=create_management_api(caches),
                clock=ClockApi(endpoint),
                deliveries=deliveries,
                monitoring=monitoring,
                pages=options.page,
                apis={api.logical_id: (port, api.base_path) for port, api in zip(ports, stack.apis, strict=False)},
                find_gateway=find_gateway,
            ),
            create_resources=partial(create_resources, endpoint=endpoint),
            invoke_api=invoke_api,
            triggers=[EventSourceMappings(endpoint, observer), FunctionTargets(endpoint, events, send, observer)],
        )
        cleanup.push_async_callback(engine.close)
        kept = KeptTables(stack.project, endpoint, find_table_names(stack)) if options.keep else None
        preparing = asyncio.create_task(_prepare(stack, engine, endpoint, options, kept))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            # Its call fails when the services end.
            preparing.cancel()
            return
        preparing.result()
        show_start(
            console,
            stack,
            engine,
            endpoint,
            lambda_endpoint,
            failed_builds=builder.failed,
            pages=options.page,
            keeps=options.keep,
        )
        server = _Server(
            uvicorn.Config(
                engine,
                http=HttpConnection,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_level="error",
                access_log=False,
                server_header=False,
                # Otherwise the client or the environment could set the client's address.
                proxy_headers=False,
                workers=1,
                timeout_keep_alive=75,
            )
        )
        watching = asyncio.create_task(monitoring.run())
        cleanup.callback(watching.cancel)
        _keep(kept, console, cleanup)
        serving = asyncio.create_task(server.serve(sockets))
        await stopping
        server.should_exit = server.force_exit = True
        await serving


def _has_mock_methods(stack: Stack) -> bool:
    """Return whether the gateway itself answers a method, except preflights of methods that are not served."""
    apis = (api for api in stack.apis if isinstance(api, RestApi))
    return any(method.is_mock and method.method != "OPTIONS" for api in apis for method in read_methods(api))


def _list_deliverers(stack: Stack) -> list[str]:
    """Return the logical IDs of rules, schedules and subscriptions that deliver without a function."""

    def read_targets(_: str, resource: Resource) -> list[str]:
        match resource.type:
            case "AWS::Events::Rule":
                return [str(target["Arn"]) for target in resource.properties.get("Targets") or ()]
            case "AWS::Scheduler::Schedule":
                return [str(resource.properties["Target"]["Arn"])]
            case _:
                return [str(resource.properties.get("Endpoint"))]

    read = stack.read_parts(
        "AWS::Events::Rule", "AWS::Scheduler::Schedule", "AWS::SNS::Subscription", read=read_targets
    )
    return [name for name, targets in read.items() if any(target.startswith(_DELIVERED) for target in targets)]


def _list_reasons(stack: Stack) -> list[str]:
    """Return a sentence for each part of a stack that the engine does not start for."""
    routes = [route for api in stack.apis if isinstance(api, HttpApi) for route in read_routes(api.document)]
    methods = [method for api in stack.apis if isinstance(api, RestApi) for method in read_methods(api)]
    unserved = [f"{route.refusal}" for route in (*routes, *methods) if route.refusal]
    idle = [
        f"{logical_id} is not run: none of its targets is here."
        for logical_id, resource in stack.resources.items()
        if resource.type in ("AWS::Events::Rule", "AWS::Scheduler::Schedule")
    ]
    return list(dict.fromkeys([*stack.notices, *unserved, *idle]))


async def _report_end(services: Services, console: Console) -> None:
    status = await asyncio.to_thread(services.process.wait)
    console.notice_given(
        f"The AWS services ended with status {status}. Their tables and queues are gone, and what needs them fails. "
        "Start the engine again."
    )


class _Server(uvicorn.Server):
    """A server that leaves signals to the engine."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _check_debugging(stack: Stack, options: argparse.Namespace) -> None:
    if options.debug is None:
        return
    if options.debug not in stack.functions:
        raise ArgumentError(f"There is no function {options.debug}; there are {', '.join(stack.functions)}.")
    if importlib.util.find_spec("debugpy") is None:
        raise MissingToolError(f"debugpy is not installed. Install it with: {sys.executable} -m pip install debugpy")


def _listen(port: int) -> socket.socket:
    if port > LARGEST_PORT:
        raise PortError("The template has more APIs than there are ports. Choose a lower --port.")
    return listen_at(HOST, port)


async def _prepare(
    stack: Stack, engine: Engine, endpoint: str, options: argparse.Namespace, kept: KeptTables | None
) -> None:
    await asyncio.to_thread(create_resources, stack, endpoint)
    # Before the triggers: functions have seen these items in an earlier run.
    is_filled = kept is not None and await kept.load()
    # Before the example data, because a deployed stack is complete before anything is written.
    await engine.start_triggers()
    await asyncio.to_thread(_fill_services, stack, endpoint, options, None if is_filled else options.seed)


def _keep(kept: KeptTables | None, console: Console, cleanup: contextlib.AsyncExitStack) -> None:
    """Have the tables' items saved from now on, and a last time before the services end."""
    if kept:
        cleanup.callback(_save, kept, console)
        cleanup.callback(asyncio.create_task(kept.run()).cancel)


def _save(kept: KeptTables, console: Console) -> None:
    try:
        kept.save()
    except (ServicesError, StateError) as error:
        console.notice_given(f"The tables' items of the last seconds are not kept: {error}")


def _fill_services(stack: Stack, endpoint: str, options: argparse.Namespace, seed: Path | None) -> None:
    for port, api in enumerate(stack.apis, options.port):
        if isinstance(api, HttpApi):
            keep_machine_client(api, port, endpoint, stack)
    if seed is not None:
        seed_tables(seed, endpoint, find_table_names(stack))


def _find_credentials(project: Path, function: Function) -> dict[str, str]:
    role = function.role or f"{function.logical_id}Role".replace("/", "-")
    return issue_role_credentials(project, role, function.name).variables


def _has_cache(stack: Stack) -> bool:
    return any(stage.has_cache for api in stack.apis if isinstance(api, RestApi) for stage in (api, *api.other_stages))


def create_gateway(
    api: Api,
    stack: Stack,
    functions: Mapping[str, FunctionPool],
    observer: Observer,
    *,
    caches: dict[str, Mapping[str, ResponseCache]],
) -> Gateway:
    """Return the gateway of an API of any kind, and put its response caches among others by API ID.

    See `engine.GatewayFactory`.
    """
    providers = find_identity_providers(stack, partial(load_public_keys, stack.project))
    match api:
        case RestApi():
            gateway = RestApiGateway(api, functions, stack, observer, providers)
            caches[api.id] = gateway.caches
            return gateway
        case FunctionUrl():
            return FunctionUrlGateway(api, functions, stack, observer, providers.principals)
        case HttpApi():
            return HttpApiGateway(api, functions, stack, observer, providers)
        case _:
            raise AssertionError(f"No gateway serves {api!r}.")


def _create_local_application(
    api: Api | None,
    port: int,
    stack: Stack,
    *,
    invoke_api: InvokeApi,
    management_api: AsgiApplication,
    clock: ClockApi,
    deliveries: DeliveryLog,
    monitoring: Monitoring,
    pages: Sequence[ProjectPage],
    apis: Mapping[str, tuple[int, str]],
    find_gateway: Callable[[int], Gateway | None],
) -> AsgiApplication:
    issuer, project = issuer_url(port), stack.project
    scopes = sorted({scope for route in read_routes(api.document) for scope in route.scopes}) if api else []
    pools = read_user_pools(stack)
    routes = [
        Mount(ISSUER_PATH, create_issuer(issuer, scopes, project)),
        *(
            Mount(f"{USER_POOLS_PATH}/{pool.id}", create_pool_issuer(pool, user_pool_url(port, pool.id), project))
            for pool in pools
        ),
        *create_dashboard_routes(monitoring),
        Mount(LAMBDA_PATH, invoke_api),
        Route(CLOCK_PATH, clock.answer, methods=["GET", "POST"]),
        Route(DELIVERIES_PATH, deliveries.answer),
        Mount(API_GATEWAY_PATH, management_api),
        *create_project_pages(pages, apis, find_gateway),
    ]
    if api is not None:
        # By issuer, or by ARN for Cognito authorizers.
        token_paths = {issuer: ISSUER_PATH}
        token_paths |= {name: f"{USER_POOLS_PATH}/{pool.id}" for pool in pools for name in (pool.issuer, pool.arn)}
        settings = choose_token_settings(api.document, pools, port)

        def mint_token(subject: str, scopes: Sequence[str]) -> str:
            return mint_api_token(load_signing_key(project), settings, subject, scopes)

        def make_command(origin: str) -> str:
            gateway = find_gateway(port)
            return make_signed_call(api, gateway.routes, origin + api.base_path, stack) if gateway else ""

        routes.append(Mount("/", create_pages(api, token_paths, settings, mint_token, make_command)))
    # The page holds a token.
    return LocalNamesOnly(Router(routes), is_loopback_name)
