"""Blocks of a YAML file, found by their indentation and edited as text: comments and order stay."""

import re
from collections.abc import Iterable, Iterator

_SEPARATOR = re.compile(r" *# -{4,}")


class Blocks:
    """The lines of a YAML file in block style.

    A block is an entry of a mapping with everything below it. Its path is the keys that lead to it:
    `("Resources", "Table")`. Comments directly above an entry belong to it, except the headings of sections.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    @property
    def text(self) -> str:
        """The whole file."""
        return "\n".join(self._lines) + "\n"

    def has(self, *path: str) -> bool:
        """Return whether there is such a block."""
        return self._find(path) is not None

    def read(self, *path: str) -> str:
        """Return the lines of a block, its key included."""
        start, end = self._require(path)
        return "\n".join(self._lines[start:end]) + "\n"

    def list_keys(self, *path: str) -> Iterator[str]:
        """Yield the keys of the entries directly below a block."""
        start, end = self._require(path)
        indent = self._find_indent(start + 1, end)
        for line in self._lines[start + 1 : end]:
            if found := re.match(rf' {{{indent}}}"?([^\s"#{{\[-][^\s"]*?)"?:(?: |$)', line):
                yield found[1]

    def insert_after(self, path: Iterable[str], text: str) -> None:
        """Insert lines below the last line of a block; below that of a section, they become its last entry."""
        _, end = self._require(tuple(path))
        self._lines[end:end] = text.splitlines()

    def replace(self, path: Iterable[str], text: str) -> None:
        """Replace the lines of a block, its key included."""
        start, end = self._require(tuple(path))
        self._lines[start:end] = text.splitlines()

    def remove(self, *path: str) -> None:
        """Remove a block with the comments above it."""
        start, end = self._require(path)
        indent = _measure(self._lines[start])
        while start and self._is_comment(start - 1, indent):
            start -= 1
        del self._lines[start:end]

    def _is_comment(self, index: int, indent: int) -> bool:
        line = self._lines[index]
        return line.lstrip().startswith("#") and _measure(line) == indent and not _SEPARATOR.match(line)

    def _require(self, path: tuple[str, ...]) -> tuple[int, int]:
        found = self._find(path)
        if found is None:
            raise KeyError(" / ".join(path))
        return found

    def _find(self, path: tuple[str, ...]) -> tuple[int, int] | None:
        start, end, indent = -1, len(self._lines), 0
        for key in path:
            pattern = re.compile(rf' {{{indent}}}"?{re.escape(key)}"?:(?: |$)')
            places = (index for index in range(start + 1, end) if pattern.match(self._lines[index]))
            place = next(places, None)
            if place is None:
                return None
            start, end = place, self._find_end(place, end)
            indent = self._find_indent(start + 1, end)
        return start, end

    def _find_end(self, start: int, most: int) -> int:
        indent = _measure(self._lines[start])
        end = start + 1
        for index in range(start + 1, most):
            line = self._lines[index]
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if _measure(line) <= indent:
                break
            end = index + 1
        return end

    def _find_indent(self, start: int, end: int) -> int:
        lines = (line for line in self._lines[start:end] if line.strip() and not line.lstrip().startswith("#"))
        return min((_measure(line) for line in lines), default=0)


def _measure(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
