"""`local-engine backend`: AWS services and the issuer for functions under `sam local`."""

import argparse
import contextlib
import platform
import shlex
from collections.abc import Sequence
from socket import socket

import uvicorn

from local_engine.command_line.arguments import (
    DEFAULT_PORT,
    CommandParser,
    add_model_option,
    add_seed_option,
    add_template_options,
    listen_at,
    parse_port,
    read_parameters,
)
from local_engine.gateway.routes import read_routes
from local_engine.issuer.access_tokens import ISSUER_PORT, issuer_url
from local_engine.issuer.openid_provider import create_issuer
from local_engine.services.aws_services import SERVICES_PORT, Services, serve_moto
from local_engine.services.containers import ContainerNetwork, LocalPeersOnly, find_container_network
from local_engine.services.stack_resources import create_resources, find_table_names, seed_tables
from local_engine.template.loader import load_template
from local_engine.template.stack import Stack

_DESCRIPTION = """Serve the AWS services and the issuer that functions use under `sam local`, until Ctrl-C. It prints
the commands to build and to start them."""
_EXAMPLES = """example:
  local-engine backend --seed items.json
      then, in another terminal: sam build && sam local start-api"""


def run_backend(arguments: Sequence[str]) -> None:
    """Serve until Ctrl-C."""
    options = _parse(arguments)
    stack = load_template(options.template, read_parameters(options, issuer_url(options.port)))
    network = find_container_network()
    service_sockets = _listen(options.services_port, network)
    issuer_sockets = _listen(options.issuer_port, network)
    services = serve_moto(service_sockets, [network.subnet] if network else [], model=options.model)
    try:
        create_resources(stack, services.endpoint)
        if options.seed:
            seed_tables(options.seed, services.endpoint, find_table_names(stack))
        _print_next_steps(stack, options, services)
        scopes = {scope for api in stack.apis for route in read_routes(api.document) for scope in route.scopes}
        issuer = create_issuer(issuer_url(options.port), sorted(scopes), stack.project)
        application = LocalPeersOnly(issuer, [network.subnet] if network else [])
        configuration = uvicorn.Config(
            application,
            lifespan="off",
            log_level="warning",
            timeout_graceful_shutdown=1,
            # Otherwise the client or the environment could set the client's address.
            proxy_headers=False,
            workers=1,
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(configuration).run(issuer_sockets)
    finally:
        services.stop()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser("backend", _DESCRIPTION, _EXAMPLES)
    add_template_options(parser)
    add_seed_option(parser)
    add_model_option(parser)
    parser.add_argument(
        "--port", type=parse_port, default=DEFAULT_PORT, help=f"of `sam local start-api` (default: {DEFAULT_PORT})"
    )
    parser.add_argument(
        "--services-port",
        type=parse_port,
        default=SERVICES_PORT,
        help=f"of the AWS services (default: {SERVICES_PORT})",
    )
    parser.add_argument(
        "--issuer-port", type=parse_port, default=ISSUER_PORT, help=f"of the issuer (default: {ISSUER_PORT})"
    )
    return parser.parse_args(arguments)


def _listen(port: int, network: ContainerNetwork | None) -> list[socket]:
    return [listen_at(address, port) for address in ("127.0.0.1", *([network.gateway] if network else []))]


def _print_next_steps(stack: Stack, options: argparse.Namespace, services: Services) -> None:
    overrides: list[str] = []
    if "Architecture" in stack.parameters and platform.machine() in ("x86_64", "AMD64"):
        overrides = ["--parameter-overrides", "Architecture=x86_64"]
    port = [] if options.port == DEFAULT_PORT else ["--port", str(options.port)]
    print(f"AWS services   {services.endpoint}  (in a container: http://host.docker.internal:{options.services_port})")
    print(f"Issuer         http://127.0.0.1:{options.issuer_port}  (for tokens of {issuer_url(options.port)})")
    print("\nNow, in another terminal:\n")
    print("  " + shlex.join(["sam", "build", *overrides]))
    print("  " + shlex.join(["sam", "local", "start-api", *port, *overrides]))
    print("\nCtrl-C stops.", flush=True)
