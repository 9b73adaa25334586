"""What an export contains, section by section: the items of every noun, then what the parts keep.

A part that a team leaves out takes its line of `_PARTS` with it. A noun needs no line.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import records
from records.erasures import list_erasures
from records.imports import list_imports
from records.trail import list_entries
from serverless_api import Caller, Collection

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
        scope: the scope that the caller's token needs, as for the route that lists the items.
        list: lists the items, newest first.
    """

    name: str
    item: str
    scope: str
    list: List


def find_collections() -> Iterator[tuple[str, Collection]]:
    """Yield the collection of every noun's package in the layer, with the package's name, which it has too."""
    layer = Path(records.__file__).parents[1]
    for module in sorted(layer.glob("*/__init__.py")):
        # Only a package that names the class is loaded: others are libraries.
        if "Collection" in module.read_text(encoding="utf-8"):
            name = module.parent.name
            collection = getattr(importlib.import_module(name), name, None)
            if isinstance(collection, Collection):
                yield name, collection


def _make_section(name: str, collection: Collection) -> Section:
    def list_items(caller: Caller, limit: int, after: str | None) -> list[Entry]:
        return [(item.position, item.to_document()) for item in collection.list(caller, limit, after).items]

    return Section(_to_camel_case(name), _to_camel_case(collection.noun.replace(" ", "_")), f"read:{name}", list_items)


def _to_camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _list_audit_entries(caller: Caller, limit: int, after: str | None) -> list[Entry]:
    return [(entry.token, entry.to_document()) for entry in list_entries(caller, limit, after).items]


def _list_imports(caller: Caller, limit: int, after: str | None) -> list[Entry]:
    return [(document["id"], document) for document in list_imports(caller, limit, after)]


def _list_erasures(caller: Caller, limit: int, after: str | None) -> list[Entry]:
    return [(erasure.id, erasure.to_document()) for erasure in list_erasures(caller, limit, after)]


_PARTS = (
    Section("auditEntries", "auditEntry", "read:audit", _list_audit_entries),
    Section("imports", "import", "read:resources", _list_imports),
    Section("erasures", "erasure", "erase:self", _list_erasures),
)

SECTIONS = (*(_make_section(name, collection) for name, collection in find_collections()), *_PARTS)
