"""Search by meaning: the caller's items of one collection that are nearest to a text."""

from collections.abc import Mapping
from typing import NamedTuple

from serverless_api import Caller, Collection, Entity


class Match(NamedTuple):
    """An item that a search has found, and how near it is: 1 is the same meaning, 0 is none in common."""

    entity: Entity
    score: float


def find_items(
    collection: Collection, caller: Caller, text: str, *, limit: int, filters: Mapping[str, str] | None = None
) -> list[Match]:
    """Return the caller's items that are nearest to a text, best first.

    Embeds the text, searches the vector index once, and reads what it found with one batch read. An item that was
    changed after it was embedded is returned as it is now; one that was deleted is left out.

    Args:
        collection: the items to search, such as `resources`.
        caller: the owner. Nobody else's items are ever returned.
        text: what to look for.
        limit: the most items, up to 50.
        filters: fields of the collection's `filters`, each with the value that an item must have; such as
            `{"type": "A"}`.

    Raises:
        NotFound: this deployment has no search.
        ServiceUnavailable: the model is throttled or down.
    """
    raise NotImplementedError
