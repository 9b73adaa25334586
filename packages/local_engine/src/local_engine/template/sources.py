"""Files that a template is read from, and their edits."""

from collections.abc import Mapping
from pathlib import Path

type Edition = tuple[int, int, int] | None
"""A file's time of modification, size and inode. None if there is no such file."""
type Sources = Mapping[Path, Edition]


def read_edition(path: Path) -> Edition:
    """Return a value that changes with each edit of a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_editions(sources: Sources) -> Sources:
    """Return the files as they are at the moment."""
    return {path: read_edition(path) for path in sources}
