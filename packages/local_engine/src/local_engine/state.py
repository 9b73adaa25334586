"""Files that the engine keeps between starts, in `.local` beside the template."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

_DIRECTORY = ".local"


class StateError(Exception):
    """A kept file cannot be read or written. The message is a sentence for the user."""


def state_directory(project: Path) -> Path:
    """Return the folder for kept files. It may not exist yet.

    Args:
        project: the folder of the template.
    """
    return project.resolve() / _DIRECTORY


def read_or_create(project: Path, name: str, create: Callable[[], bytes]) -> bytes:
    """Return the content of a kept file; `create` makes it the first time.

    The file appears whole or not at all, and only its owner can read it. If two processes start at once, both
    get the content that the first one wrote.

    Args:
        project: the folder of the template.
        name: the file's name.
        create: returns the content of a new file.

    Raises:
        StateError: the folder or the file cannot be read or written.
    """
    path = state_directory(project) / name
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_first(path, create())
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"{path} cannot be used ({error.strerror}). Check its owner, or delete it.") from error


def replace_file(project: Path, name: str, content: bytes) -> None:
    """Replace the content of a kept file at once, so that no reader finds a part of it.

    Args:
        project: the folder of the template.
        name: the file's name.
        content: its new content.

    Raises:
        StateError: the file cannot be written.
    """
    path = state_directory(project) / name
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError as error:
        raise StateError(f"{path} cannot be written ({error.strerror}). Check its owner, or delete it.") from error


def _write_first(path: Path, content: bytes) -> None:
    # mkstemp creates with mode 600. A hard link, unlike a rename, never replaces another process's file.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()
