"""Values and options of command lines. Each invalid value gets a sentence."""

import argparse
import math
import re
import socket
import textwrap
from pathlib import Path
from typing import NoReturn, override

from local_engine.bedrock.local_model import MODEL_NAMES, load_model
from local_engine.command_line.command_errors import ArgumentError, PortError
from local_engine.page.project_page import ProjectPage
from local_engine.services.containers import listen

HOST = "127.0.0.1"
"""Where the APIs are served."""
DEFAULT_PORT = 3000
LARGEST_PORT = 65535
_ISSUER = "{issuer}"
_PAGE_NAME = re.compile("[a-z][a-z0-9-]*")
_TAKEN_NAMES = {"apigateway", "apis", "clock", "dashboard", "docs", "issuer", "lambda", "token", "user-pools"}


class CommandParser(argparse.ArgumentParser):
    """A parser that answers a wrong argument with a sentence alone, without its usage."""

    def __init__(self, command: str, description: str, examples: str) -> None:
        """Take the command's name, and what its help says before and after the options."""
        super().__init__(
            prog=f"local-engine {command}",
            description=textwrap.fill(" ".join(description.split()), 100),
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    @override
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message.removeprefix('argument ')}. See: {self.prog} --help")


def add_template_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that read a template: `--template` and `--parameters`."""
    add_project_option(parser)
    parser.add_argument(
        "--parameters",
        type=parse_parameter,
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help=f"of the template (default: its own); {_ISSUER} in a value stands for the local issuer's URL",
    )


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    """Add `--seed`."""
    parser.add_argument(
        "--seed", type=Path, metavar="FILE", help="items for the tables, as RequestItems in JSON (default: none)"
    )


def read_parameters(options: argparse.Namespace, issuer: str) -> dict[str, str]:
    """Return the given parameters of the template.

    Args:
        options: what `add_template_options` reads.
        issuer: URL of the local issuer.
    """
    return {name: value.replace(_ISSUER, issuer) for name, value in options.parameters}


def listen_at(address: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        PortError: the port is taken or not allowed.
    """
    try:
        return listen(address, port)
    except OSError as error:
        raise PortError(
            f"Port {port} cannot be used ({error.strerror}). Stop the program that uses it, or choose another port."
        ) from error


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Add `--model`."""
    parser.add_argument(
        "--model",
        type=parse_model,
        default=MODEL_NAMES[0],
        metavar="NAME",
        help="behind Amazon Bedrock: hashing (deterministic, the default), small-embeddings (a real model "
        "embeds), or small (another one answers, too)",
    )


def add_project_option(parser: argparse.ArgumentParser) -> None:
    """Add `--template`. The folder of the template is the project, and holds the engine's state."""
    parser.add_argument(
        "--template",
        type=Path,
        default=Path("template.yaml"),
        metavar="FILE",
        help="the SAM template, whose folder is the project (default: template.yaml)",
    )


def parse_model(text: str) -> str:
    """Read the name of Bedrock's local model.

    Raises:
        ArgumentTypeError: there is no such model.
        ModelUnavailableError: its packages are not installed.
    """
    if text not in MODEL_NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a model; choose {', '.join(MODEL_NAMES)}")
    load_model(text)
    return text


def parse_port(text: str) -> int:
    """Read a port.

    Raises:
        ArgumentTypeError: it is not a port.
    """
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number; choose one from 1 to {LARGEST_PORT}")
    return int(text)


def parse_count(text: str) -> int:
    """Read a positive integer.

    Raises:
        ArgumentTypeError: it is not one.
    """
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; choose one from 1")
    return int(text)


def parse_page(text: str) -> ProjectPage:
    """Read an option's value.

    Raises:
        ArgumentTypeError: it is not a name and a file that exists.
    """
    name, separator, file = text.partition("=")
    if not separator or not _PAGE_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=FILE, with a name in lower case")
    if name in _TAKEN_NAMES:
        raise argparse.ArgumentTypeError(f"the engine itself serves /_local/{name}; choose another name")
    if not Path(file).is_file() or Path(file).suffix != ".html":
        raise argparse.ArgumentTypeError(f"{file!r} is not an HTML file")
    return ProjectPage(name, Path(file).resolve())


def parse_parameter(text: str) -> tuple[str, str]:
    """Read a template parameter as its name and value.

    Raises:
        ArgumentTypeError: the name or the equals sign is missing.
    """
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form Key=Value")
    return name, value


def parse_seconds(text: str) -> float:
    """Read a duration of at least a tenth of a second.

    Raises:
        ArgumentTypeError: it is not one.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds; choose one from 0.1 to 86400")
    return seconds
