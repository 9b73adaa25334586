"""Values of command lines, each refused with a sentence where it does not fit."""

import argparse


def parse_port(text: str) -> int:
    """Read a port.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 1 to 65535")
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
