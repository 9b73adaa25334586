"""Exit statuses of the commands, by the errors that lead to them."""

import sys
from enum import IntEnum
from pathlib import Path

from local_engine.bedrock.local_model import ModelUnavailableError
from local_engine.command_line.command_errors import ArgumentError, InputFileError, MissingToolError, PortError
from local_engine.console import mask_tokens
from local_engine.imports import INTERRUPTED as INTERRUPTED_STATUS
from local_engine.services.services_client import ServicesError
from local_engine.services.stack_resources import SeedError
from local_engine.state import StateError
from local_engine.template.errors import MissingFileError, ParameterError, TemplateError


class ExitStatus(IntEnum):
    """What a status means, in the words of `--help`."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitStatus":
        """Take a status and its meaning."""
        status = int.__new__(cls, value)
        status._value_ = value
        status.meaning = meaning
        return status

    DONE = 0, "the command is done, or the running engine was stopped"
    FAULT = 1, "the engine itself has a fault"
    ARGUMENT = 2, "a command, option or argument is wrong"
    TEMPLATE = 3, "the template is not valid, or nothing in it can run"
    FILE = 4, "a file is missing or cannot be used: the template, what it includes, --seed, --policy"
    PARAMETER = 5, "a parameter of the template is unknown, missing or not allowed"
    PORT = 6, "a port is in use"
    TOOL = 7, "something is not installed: Python 3.13, debugpy, the packages of --model"
    SERVICES = 8, "the local AWS services do not answer, or reject a resource or an item"
    STATE = 9, "the folder .local beside the template cannot be used"
    INTERRUPTED = INTERRUPTED_STATUS, "Ctrl-C before the engine was ready"


# The first match counts.
_STATUSES: tuple[tuple[type[Exception], ExitStatus], ...] = (
    (ArgumentError, ExitStatus.ARGUMENT),
    (InputFileError, ExitStatus.FILE),
    (SeedError, ExitStatus.FILE),
    (MissingFileError, ExitStatus.FILE),
    (ParameterError, ExitStatus.PARAMETER),
    (TemplateError, ExitStatus.TEMPLATE),
    (PortError, ExitStatus.PORT),
    (MissingToolError, ExitStatus.TOOL),
    (ModelUnavailableError, ExitStatus.TOOL),
    (ServicesError, ExitStatus.SERVICES),
    (StateError, ExitStatus.STATE),
)


def report_error(error: Exception) -> ExitStatus:
    """Write the sentence of an error, and return the status that the command exits with."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            print(mask_tokens(str(error)), file=sys.stderr)
            return status
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{Path(place.tb_frame.f_code.co_filename).name}, line {place.tb_lineno}" if place else "an unknown place"
    print(f"The engine has a fault, please report it: {type(error).__name__}: {error} ({where}).", file=sys.stderr)
    return ExitStatus.FAULT


def describe_statuses() -> str:
    """Return a line for each status."""
    return "\n".join(f"  {status.value:<4} {status.meaning}" for status in ExitStatus)
