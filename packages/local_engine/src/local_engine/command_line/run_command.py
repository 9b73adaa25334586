"""`local-engine run`: reads the arguments, starts the AWS services, and then imports and starts everything else."""

import argparse
from collections.abc import Sequence

from local_engine.command_line.arguments import (
    DEFAULT_PORT,
    CommandParser,
    add_model_option,
    add_seed_option,
    add_template_options,
    parse_count,
    parse_page,
    parse_port,
    parse_seconds,
)
from local_engine.imports import import_quickly
from local_engine.services.aws_services import start_services

_DEBUG_PORT = 5678
_DESCRIPTION = """Serve the APIs of a SAM template until Ctrl-C. Authorizers are enforced. Edits of the template and of
the functions take effect at the next request. What the template has and the engine does not serve gets a line."""
_EXAMPLES = """examples:
  local-engine run
      template.yaml of this folder, at http://127.0.0.1:3000
  local-engine run --parameters Stage=dev 'Issuer={issuer}' --seed items.json
      with parameters, among them the URL of the local issuer, and with example data
  local-engine run --debug ListOrders
      the function ListOrders waits for a debugger at port 5678"""


def run(arguments: Sequence[str]) -> None:
    """Serve the APIs of a template until interrupted."""
    options = _parse(arguments)
    services = (
        None if options.services else start_services(model=options.model, project=options.template.resolve().parent)
    )
    # The services start meanwhile: their imports take longer than these.
    with import_quickly():
        from local_engine.command_line.serving import serve  # noqa: PLC0415

    serve(options, services)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser("run", _DESCRIPTION, _EXAMPLES)
    add_template_options(parser)
    add_seed_option(parser)
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the tables' items in .local for the next run with --keep, without --seed (default: they go)",
    )
    parser.add_argument(
        "--port",
        type=parse_port,
        default=DEFAULT_PORT,
        help=f"of the first API, others follow (default: {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="show all log lines and metrics of the functions (default: requests, warnings and errors)",
    )
    parser.add_argument(
        "--processes",
        type=parse_count,
        default=10,
        help="most processes of one function; further requests wait (default: 10)",
    )
    parser.add_argument(
        "--debug",
        metavar="FUNCTION",
        help="logical ID of a function to run under debugpy: one process, without timeouts (default: none)",
    )
    parser.add_argument(
        "--debug-port",
        type=parse_port,
        default=_DEBUG_PORT,
        help=f"where the function waits for a debugger (default: {_DEBUG_PORT})",
    )
    parser.add_argument(
        "--minute",
        type=parse_seconds,
        default=60.0,
        metavar="SECONDS",
        help="length of a minute of metrics and alarms; a period of 300 s is five of them (default: 60)",
    )
    add_model_option(parser)
    parser.add_argument(
        "--page",
        type=parse_page,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="an HTML page of the project to serve at /_local/NAME, with the files of its folder (default: none)",
    )
    parser.add_argument("--services", metavar="URL", help="of AWS services that already run (default: its own)")
    return parser.parse_args(arguments)
