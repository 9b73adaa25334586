"""Changes of resources, read from the records of the table's stream.

A record is a change if its item belongs to a `Collection` of any noun. Technical items, such as idempotency keys and
circuits, are not changes, and neither is the removal of a deletion's mark.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from serverless_api import Origin
from serverless_api.http.collection import INDEX_PREFIX, ITEM_ID, RESERVED, format_time
from serverless_api.http.identity import PARTITION_PREFIX

_SORT_KEY = re.compile(rf"(?P<noun>[a-z][a-z ]*)#(?P<id>{ITEM_ID.pattern})")
ERASURE_DOOR = "erasure"
UNKNOWN_DOOR = "unknown"

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
"""What reading a record may raise if its item was not written by this code."""


class Change(NamedTuple):
    """A committed change of a resource.

    Attributes:
        noun: what the resource is, such as `resource`.
        id: the resource's ID.
        owner: the `sub` of the user who owns the resource.
        action: `created`, `updated` or `deleted`.
        before: the version before, or None.
        after: the version after, or None.
        fields: names of the changed fields, sorted.
        time: RFC 3339.
        origin: the request that made the change. What is really deleted goes through the door of erasure, and its
            record does not say by which request.
        sequence: number of the stream's record. The numbers of one resource's records increase.
    """

    noun: str
    id: str
    owner: str
    action: str
    before: str | None
    after: str | None
    fields: tuple[str, ...]
    time: str
    origin: Origin
    sequence: str


def read_change(record: Mapping[str, Any]) -> Change | None:
    """Return the change that a stream's record describes, or None if it describes none of a resource.

    Args:
        record: a record as Lambda's event has it.

    Raises:
        KeyError: the record's item lacks an attribute that every resource has.
    """
    change = record["dynamodb"]
    keys = change["Keys"]
    found = _SORT_KEY.fullmatch(keys["sk"]["S"])
    owner = keys["pk"]["S"]
    if not found or not owner.startswith(PARTITION_PREFIX):
        return None
    old, new = (_read_image(change.get(name)) for name in ("OldImage", "NewImage"))
    image: Mapping[str, Any] = change.get("NewImage") or {}
    if new:
        action, time = ("updated" if old else "created"), image["updatedAt"]["S"]
    elif not old:
        return None
    else:
        action = "deleted"
        # A record's own time is in whole seconds, and would be before an update of the same second.
        recorded = max(format_time(int(change["ApproximateCreationDateTime"]) * 1_000_000_000), old["updatedAt"]["S"])
        time = image["deletedAt"]["S"] if image else recorded
    before, after = (entry["version"]["S"] if entry else None for entry in (old, new))
    if before == after:
        return None
    names = (old.keys() | new.keys()) - RESERVED
    return Change(
        noun=found["noun"],
        id=found["id"],
        owner=owner.removeprefix(PARTITION_PREFIX),
        action=action,
        before=before,
        after=after,
        fields=tuple(
            sorted(name for name in names if not name.startswith(INDEX_PREFIX) and old.get(name) != new.get(name))
        ),
        time=time,
        origin=_read_origin(image) if image else Origin(door=ERASURE_DOOR),
        sequence=change["SequenceNumber"],
    )


def find_mark(record: Mapping[str, Any]) -> dict[str, str] | None:
    """Return `pk`, `sk` and `version` of the mark that a record's write left in place of an item, or None."""
    image = record["dynamodb"].get("NewImage") or {}
    return {name: image[name]["S"] for name in ("pk", "sk", "version")} if "deletedAt" in image else None


def _read_image(image: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return an item's attributes in wire form; none of a deletion's mark."""
    return {} if image is None or "deletedAt" in image else image


def _read_origin(image: Mapping[str, Any]) -> Origin:
    """Return the request that wrote an item; none if something else did, such as an import of existing data."""
    if "writer" not in image:
        return Origin(door=UNKNOWN_DOOR)
    writer = image["writer"]["M"]
    return Origin(
        door=writer["door"]["S"],
        request_id=writer["request"]["S"],
        requested_at=int(writer["at"]["N"]),
        actor=writer.get("actor", {}).get("S", ""),
    )
