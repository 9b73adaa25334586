"""Values and options of command lines. Each invalid value gets a sentence."""

import argparse
import math
import sys
from pathlib import Path
from typing import NoReturn, override

from local_engine.bedrock.local_model import MODEL_NAMES, ModelUnavailableError, load_model
from local_engine.console import mask_tokens


class CommandParser(argparse.ArgumentParser):
    """A parser that answers a wrong argument with a sentence alone, without its usage."""

    @override
    def error(self, message: str) -> NoReturn:
        print(mask_tokens(f"{message.removeprefix('argument ')}."), file=sys.stderr)
        raise SystemExit(2)


def add_template_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that read a template: `--template`, `--parameters` and `--seed`."""
    add_project_option(parser)
    parser.add_argument(
        "--parameters", type=parse_parameter, nargs="+", action="extend", default=[], metavar="KEY=VALUE"
    )
    parser.add_argument("--seed", type=Path, metavar="FILE", help="items for the tables, as RequestItems in JSON")


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Add `--model`."""
    parser.add_argument(
        "--model",
        type=parse_model,
        default=MODEL_NAMES[0],
        metavar="NAME",
        help="behind Amazon Bedrock: hashing (deterministic, the default) or small (a small real one)",
    )


def add_project_option(parser: argparse.ArgumentParser) -> None:
    """Add `--template`. The folder of the template is the project, and holds the engine's state."""
    parser.add_argument("--template", type=Path, default=Path("template.yaml"), help="default: template.yaml")


def parse_model(text: str) -> str:
    """Read the name of Bedrock's local model.

    Raises:
        ArgumentTypeError: there is no such model, or its packages are not installed.
    """
    if text not in MODEL_NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a model; choose {' or '.join(MODEL_NAMES)}")
    try:
        load_model(text)
    except ModelUnavailableError as error:
        raise argparse.ArgumentTypeError(str(error).removesuffix(".")) from None
    return text


def parse_port(text: str) -> int:
    """Read a port.

    Raises:
        ArgumentTypeError: it is not a port.
    """
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number; choose one from 1 to 65535")
    return int(text)


def parse_count(text: str) -> int:
    """Read a positive integer.

    Raises:
        ArgumentTypeError: it is not one.
    """
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; choose one from 1")
    return int(text)


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
