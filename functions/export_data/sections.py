"""What an export contains, section by section. A part that a team leaves out takes its line of `SECTIONS` with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from records.erasures import list_erasures
from records.imports import list_imports
from records.trail import list_entries
from resources import resources
from serverless_api import Caller

type Entry = tuple[str, dict[str, Any]]
"""The position of an item, to go on after it, and the item as the API shows it."""

type List = Callable[[Caller, int, str | None], Sequence[Entry]]
"""Returns up to a number of entries after a position, or the first ones; none at the end of the section.

Raises BadRequest for what is not a position of the section.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of what a caller has.

    Attributes:
        name: the plural, in the counts of the last line.
        item: the member of a line that holds an item.
        list: lists the items, newest first.
    """

    name: str
    item: str
    list: List


def _list_resources(caller: Caller, limit: int, after: str | None) -> list[Entry]:
    return [(resource.position, resource.to_document()) for resource in resources.list(caller, limit, after).items]


def _list_audit_entries(caller: Caller, limit: int, after: str | None) -> list[Entry]:
    return [(entry.token, entry.to_document()) for entry in list_entries(caller, limit, after).items]


def _list_imports(caller: Caller, limit: int, after: str | None) -> list[Entry]:
    return [(document["id"], document) for document in list_imports(caller, limit, after)]


def _list_erasures(caller: Caller, limit: int, after: str | None) -> list[Entry]:
    return [(erasure.id, erasure.to_document()) for erasure in list_erasures(caller, limit, after)]


SECTIONS = (
    Section("resources", "resource", _list_resources),
    Section("auditEntries", "auditEntry", _list_audit_entries),
    Section("imports", "import", _list_imports),
    Section("erasures", "erasure", _list_erasures),
)
