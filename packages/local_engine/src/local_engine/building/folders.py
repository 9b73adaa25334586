"""Files of a folder with code, and whether they have changed."""

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

_ENVIRONMENT_MARK = "pyvenv.cfg"


class FileState(NamedTuple):
    """A file with its time of modification in nanoseconds and its size."""

    path: str
    modified: int
    size: int


def list_files(directory: Path) -> Iterator[FileState]:
    """Yield each file below a folder.

    Leaves out hidden folders (tools keep their state there), `__pycache__`, `node_modules` and virtual environments.
    """
    yield from _list_files(str(directory), set())


def _list_files(directory: str, entered: set[tuple[int, int]]) -> Iterator[FileState]:
    folders = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    if not entry.is_dir():
                        status = entry.stat()
                        yield FileState(entry.path, status.st_mtime_ns, status.st_size)
                    elif not entry.name.startswith((".", "__pycache__", "node_modules")):
                        folders.append(entry)
                except FileNotFoundError:
                    # A link to nothing, or a file that an editor has just replaced.
                    yield FileState(entry.path, 0, 0)
        for folder in folders:
            status = folder.stat()
            # A link may lead back up.
            identity = status.st_dev, status.st_ino
            if identity not in entered and not Path(folder.path, _ENVIRONMENT_MARK).exists():
                entered.add(identity)
                yield from _list_files(folder.path, entered)
    except OSError:
        # A missing folder means a change, and the next look finds the new one.
        yield FileState(directory, 0, 0)


def keep_folder(unfinished: Path, folder: Path) -> None:
    """Give a finished folder its name, unless another process was faster."""
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


class FolderWatch:
    """Notices edits in a folder. All functions with code in it share the watch."""

    def __init__(self, directory: Path) -> None:
        """Watch a folder from the first look on."""
        self._directory = directory
        self._next_look = 0.0
        self._seen: set[FileState] | None = None
        self._version = 0

    def look(self) -> int:
        """Return a number that grows when a file is edited, created or removed."""
        started = time.monotonic()
        if started < self._next_look:
            return self._version
        seen = set(list_files(self._directory))
        if self._seen is not None and seen != self._seen:
            self._version += 1
            for path, _, _ in self._seen - seen:
                # Python recognizes an edit by second and size, and a quick edit can leave both unchanged.
                if path.endswith(".py"):
                    Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)
        self._seen = seen
        # Looking takes at most a tenth of the time, whatever the number of files and requests.
        ended = time.monotonic()
        self._next_look = ended + 9 * (ended - started)
        return self._version


_watches: WeakValueDictionary[Path, FolderWatch] = WeakValueDictionary()


def watch_folder(directory: Path) -> FolderWatch:
    """Return the watch of a folder."""
    watch = _watches.get(directory)
    if watch is None:
        watch = _watches[directory] = FolderWatch(directory)
    return watch
