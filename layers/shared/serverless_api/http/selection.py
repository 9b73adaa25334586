"""Lists of a collection in another order, or of some items only, by the table's indexes.

An index holds keys. The items are read from the table, so that a list shows none as it was, and none that is gone or no
longer matches. It may miss a write of the last moments. docs/decisions/filters-and-sorts.md has the reasons.
"""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import batched
from typing import Protocol

from serverless_api.http.errors import BadRequest, Problem
from serverless_api.http.validation import find_problems, load_model
from serverless_api.storage import table
from serverless_api.storage.json_text import dump_json

_BY_CREATION = ("-createdAt", "createdAt")
_BY_UPDATE = ("-updatedAt", "updatedAt")
_INDEX = "by_{}"


class IndexedCollection(Protocol):
    """What a selection needs to know of a `Collection`."""

    model: str
    prefix: str
    sorts_by_update: bool

    def make_filter_key(self, value: str, item_id: str) -> str:
        """Return a sort key in the index of a filter."""
        ...


class Selection:
    """Some items of a collection in some order.

    Args:
        collection: the collection.
        sort: `createdAt` or `updatedAt`, with `-` before it for the last one first.
        matching: the values of fields that the items have.

    Attributes:
        tag: what the tokens of this selection's pages start with.
        time_bytes: the size of the time in them.
        times: by the IDs of the items found, the times of their updates, in the order of updates.

    Raises:
        BadRequest: the collection has no such order or filter, or a value is none that its field may have.
    """

    def __init__(self, collection: IndexedCollection, sort: str, matching: Mapping[str, str]) -> None:
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
        self.tag = hashlib.sha256(content.encode()).digest()[:4]
        self.time_bytes = 8 if self._by_update else 0
        self.times: dict[str, bytes] = {}

    def find_items(self, partition: str, limit: int, start: tuple[str, str] | None) -> Iterator[table.Item]:
        """Yield items in order.

        Args:
            partition: the owner's.
            limit: how many items are of use.
            start: the ID of the item before the first one and, in the order of updates, the digits of its time.
        """
        if self._by_update or self._matching:
            return self._read_index(partition, limit, start)
        prefix = self._collection.prefix
        before = prefix + start[0] if start else None
        return table.query_items(partition, prefix, before, limit, ascending=self._ascending)

    def _read_index(self, partition: str, limit: int, start: tuple[str, str] | None) -> Iterator[table.Item]:
        collection = self._collection
        item_id, time = start or ("", "")
        if self._by_update:
            index, prefix = _INDEX.format("updatedAt"), collection.prefix
            key = prefix + time
        else:
            name, value = next(iter(self._matching.items()))
            index, prefix = _INDEX.format(name), f"{collection.prefix}{value}#"
            key = collection.make_filter_key(value, item_id)
        after = {"pk": partition, "sk": collection.prefix + item_id, index: key} if start else None
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
                    self.times[item_id] = bytes.fromhex(entry[index][len(prefix) :])
                yield item
