"""What the local engine keeps between starts: the issuer's signing key, the machine client's secret."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

STATE_DIRECTORY = Path(".local").resolve()


class StateError(Exception):
    """A kept file cannot be read or written; the message is a sentence for the user."""


def read_or_create(name: str, create: Callable[[], bytes], directory: Path = STATE_DIRECTORY) -> bytes:
    """Return the content of a kept file, made by `create` the first time.

    The file appears whole or not at all and is readable by its owner only. Of two processes that start at
    once, both get the content of the one that was first.

    Raises:
        StateError: the directory or file cannot be read or written.
    """
    path = directory / name
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_first(path, create())
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"{path} cannot be used ({error.strerror}); check who owns it, or delete it.") from error


def _write_first(path: Path, content: bytes) -> None:
    # mkstemp creates with mode 600; a hard link, unlike a rename, never replaces what another process wrote.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()
