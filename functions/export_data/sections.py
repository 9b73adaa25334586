"""What an export contains, section by section."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from resources import resources
from serverless_api import Caller

FIRST_PAGE = 1
"""How many items the first page has: the caller waits for it."""
GROWTH = 8
"""How many times larger each further page is."""
LARGEST_PAGE = 1000
"""How many items a page has at most. A page also ends where its items take about a megabyte."""

type Entry = tuple[str, dict[str, Any]]
"""The position of an item, to go on after it, and the item as the API shows it."""


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of what a caller has.

    Attributes:
        name: the plural, in the counts of the last line.
        item: the member of a line that holds an item.
        read: yields pages of entries, after a position or from the start. Raises BadRequest for a position of another
            section.
    """

    name: str
    item: str
    read: Callable[[Caller, str | None], Iterator[Sequence[Entry]]]


def read_resources(caller: Caller, after: str | None) -> Iterator[list[Entry]]:
    """Yield the caller's resources, newest first."""
    limit, token = FIRST_PAGE, after
    while True:
        page = resources.list(caller, limit, token)
        yield [(item.position, item.to_document()) for item in page.items]
        token = page.next_token
        if token is None:
            return
        limit = min(limit * GROWTH, LARGEST_PAGE)


SECTIONS = (Section("resources", "resource", read_resources),)
