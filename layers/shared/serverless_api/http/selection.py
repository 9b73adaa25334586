"""Lists of a collection in another order, or of some items only, by the table's indexes.

An index holds keys. The items are read from the table, so that a list shows none as it was, and none that is gone or no
longer matches. It may miss a write of the last moments. docs/decisions/filters-and-sorts.md has the reasons.
"""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import batched
from typing import TYPE_CHECKING

from serverless_api.http.collection import (
    INDEX_PREFIX,
    NEWEST_FIRST,
    bad_token,
    make_filter_key,
    make_token,
    pack_item_id,
    read_item_id,
)
from serverless_api.http.errors import BadRequest, Problem
from serverless_api.http.validation import find_problems, load_model
from serverless_api.storage import table
from serverless_api.storage.json_text import dump_json

if TYPE_CHECKING:
    from serverless_api.http.collection import Collection, Entity
    from serverless_api.http.identity import Caller

_BY_CREATION = (NEWEST_FIRST, "createdAt")
_BY_UPDATE = ("-updatedAt", "updatedAt")
_TAG_BYTES = 4
_ID_BYTES = 16
_TIME_BYTES = 8


class Selection:
    """Some items of a collection in some order.

    A token has a tag of the selection, the ID of an item and, in the order of updates, the time of its update.

    Args:
        collection: the collection.
        sort: `createdAt` or `updatedAt`, with `-` before it for the last one first.
        matching: the values of fields that the items have.

    Raises:
        BadRequest: the collection has no such order or filter, or a value is none that its field may have.
    """

    def __init__(self, collection: "Collection", sort: str, matching: Mapping[str, str]) -> None:
        sorts = (*_BY_CREATION, *(_BY_UPDATE if collection.sorts_by_update else ()))
        problems = [] if sort in sorts else [Problem("sort", f"must be one of {', '.join(sorts)}")]
        fields = load_model(collection.model)["properties"]
        for name, value in matching.items():
            problems += find_problems(value, fields[name], name)
        if problems:
            raise BadRequest("The request is not valid", problems)
        self._collection = collection
        self._matching = dict(matching)
        self._ascending = not sort.startswith("-")
        self._by_update = sort in _BY_UPDATE
        content = dump_json([sort, sorted(self._matching.items())])
        self._tag = hashlib.sha256(content.encode()).digest()[:_TAG_BYTES]
        self._times: dict[str, bytes] = {}

    def find_items(self, caller: "Caller", limit: int, after: bytes | None) -> Iterator[table.Item]:
        """Yield items in order; the caller of this function stops at the limit.

        Args:
            caller: the owner.
            limit: how many items are of use.
            after: a decoded token of this selection, or None.

        Raises:
            BadRequest: the token is of another list.
        """
        start = None if after is None else self._read_position(after)
        if not self._by_update and not self._matching:
            prefix, before = self._collection.prefix, start and start[0]
            return table.query_items(
                caller.partition, prefix, before and prefix + before, limit, ascending=self._ascending
            )
        return self._read_index(caller.partition, limit, start)

    def find_position(self, entity: "Entity") -> str:
        """Return the pagination token of a found item."""
        return make_token(self._tag + pack_item_id(entity.id) + self._times.get(entity.id, b""))

    def _read_position(self, position: bytes) -> tuple[str, str]:
        """Return the ID in a decoded token and, in the order of updates, the digits of the time."""
        tag, item, time = position[:_TAG_BYTES], position[_TAG_BYTES:][:_ID_BYTES], position[_TAG_BYTES + _ID_BYTES :]
        if tag != self._tag or len(time) != (_TIME_BYTES if self._by_update else 0):
            raise bad_token()
        return read_item_id(item), time.hex()

    def _read_index(self, partition: str, limit: int, start: tuple[str, str] | None) -> Iterator[table.Item]:
        collection = self._collection
        if self._by_update:
            index, prefix = f"{INDEX_PREFIX}updatedAt", collection.prefix
        else:
            name, value = next(iter(self._matching.items()))
            index, prefix = INDEX_PREFIX + name, f"{collection.prefix}{value}#"
        after = None
        if start:
            item_id, time = start
            key = prefix + time if self._by_update else make_filter_key(collection.prefix, value, item_id)
            after = {"pk": partition, "sk": collection.prefix + item_id, index: key}
        entries = table.query_index(
            index,
            partition,
            prefix,
            after,
            limit,
            ascending=self._ascending,
            matching=self._matching if self._by_update else None,
        )
        for batch in batched(entries, min(limit, table.MAX_READ), strict=False):
            found = {item["sk"]: item for item in table.get_items([{"pk": partition, "sk": e["sk"]} for e in batch])}
            for entry in batch:
                item = found.get(entry["sk"])
                if item is None or any(item.get(name) != value for name, value in self._matching.items()):
                    continue
                if "deletedAt" in item:
                    continue
                if self._by_update:
                    item_id = entry["sk"][len(collection.prefix) :]
                    self._times[item_id] = bytes.fromhex(entry[index][len(prefix) :])
                yield item
