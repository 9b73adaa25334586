"""A page of the project that the engine serves."""

from pathlib import Path
from typing import NamedTuple


class ProjectPage(NamedTuple):
    """A page and its file."""

    name: str
    file: Path
