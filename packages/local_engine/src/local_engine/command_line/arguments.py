"""Values of command lines, each refused with a sentence where it does not fit."""

import argparse
import math


def parse_port(text: str) -> int:
    """Read a port.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 1 to 65535")
    return int(text)


def parse_count(text: str) -> int:
    """Read a whole number from 1.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def parse_parameter(text: str) -> tuple[str, str]:
    """Read a template parameter as its name and value.

    Raises:
        ArgumentTypeError: it has no name, or no equals sign.
    """
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form Key=Value")
    return name, value


def parse_seconds(text: str) -> float:
    """Read a time of at least a tenth of a second.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 86400")
    return seconds
