"""What the command and its workers tell each other."""

from typing import NamedTuple


class Request(NamedTuple):
    """A run of pytest."""

    arguments: list[str]
    seconds: float
    """When to end it."""
    context: str = ""
    """Name of the run in the coverage data. Without one nothing is measured."""
    settings: str = ""
    """coverage.py's settings file."""


class Answer(NamedTuple):
    """The end of a run."""

    status: int | None
    """pytest's exit status, or None if the run took too long."""
    processor_seconds: float
