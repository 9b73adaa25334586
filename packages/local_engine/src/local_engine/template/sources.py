"""Files that a template is read from, and their edits."""

import os
from collections.abc import Mapping
from pathlib import Path

type Edition = tuple[int, int, int] | None
"""A file's time of modification, size and inode. None if there is no such file."""
type Sources = Mapping[Path, Edition]


def read_edition(path: Path) -> Edition:
    """Return a value that changes with each edit of a file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - each request pays for it, and Path.stat takes longer
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def are_edited(sources: Sources) -> bool:
    """Return whether a file is not as it was read."""
    return any(read_edition(path) != edition for path, edition in sources.items())


def read_editions(sources: Sources) -> Sources:
    """Return the files as they are at the moment."""
    return {path: read_edition(path) for path in sources}
