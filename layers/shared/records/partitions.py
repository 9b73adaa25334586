"""What a user's requests up to a moment have left in the table: found page by page, and deleted with a receipt.

Each item says which request wrote it, and when the gateway received that request (`writer.at`), so a write that is
committed late still belongs to its time. Items without a writer are older than all of them.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

MAX_FOUND = 1_000
"""The most items of a page. To delete them takes two seconds of the write units of a partition."""

MAX_DELETED = 99
"""A transaction has at most 100 actions, and one of them updates the receipt. Keys of one page never exceed its 4 MB,
because a page has at most 1 MB and one more item."""

_WRITTEN_BEFORE = "(attribute_not_exists(#writer) OR #writer.#at <= :before)"
_NAMES = {"#writer": "writer", "#at": "at"}
_ATTEMPTS = 8
_LONGEST_PAUSE = 2.0


class ReceiptClosed(Exception):
    """The receipt is not open for what is deleted: it has another time, or everything is erased."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where deletions are counted: an item with a map `erased`, which must still be open for `before`."""

    table: str
    user: str
    sort_key: str

    def count(self, counts: Counter[str], before: int) -> dict[str, Any]:
        """Return the update of a transaction that adds to the counts."""
        added = [f"#erased.#kind{n} = if_not_exists(#erased.#kind{n}, :zero) + :count{n}" for n in range(len(counts))]
        return {
            "TableName": self.table,
            "Key": {"pk": {"S": self.user}, "sk": {"S": self.sort_key}},
            "UpdateExpression": "SET " + ", ".join(added),
            "ConditionExpression": "#state = :running AND #requestedAt = :before",
            "ExpressionAttributeNames": {
                "#erased": "erased",
                "#state": "state",
                "#requestedAt": "requestedAt",
                **{f"#kind{n}": kind for n, kind in enumerate(counts)},
            },
            "ExpressionAttributeValues": {
                ":zero": {"N": "0"},
                ":running": {"S": "running"},
                ":before": {"N": str(before)},
                **{f":count{n}": {"N": str(count)} for n, count in enumerate(counts.values())},
            },
        }


@dataclass(frozen=True, slots=True)
class Partition:
    """A user's partition of a table, as far as requests up to `before` have written it.

    Attributes:
        client: a boto3 client of DynamoDB.
        table: the table's name.
        subject: the user.
        before: milliseconds since 1970.
    """

    client: Any
    table: str
    subject: str
    before: int

    def find_items(self, after: str = "") -> tuple[dict[str, str], str]:
        """Return the kinds of the items of one page by sort key, and where the next page starts: empty after the last.

        The kind is the start of the sort key, or `mark` for the mark of a deleted item.

        Args:
            after: where the page starts.
        """
        start = {"ExclusiveStartKey": self._key(after)} if after else {}
        page = self.client.query(
            TableName=self.table,
            KeyConditionExpression="#pk = :pk",
            FilterExpression=_WRITTEN_BEFORE,
            ProjectionExpression="#sk, #deletedAt",
            ExpressionAttributeNames={"#pk": "pk", "#sk": "sk", "#deletedAt": "deletedAt", **_NAMES},
            ExpressionAttributeValues={":pk": self._key("")["pk"], ":before": {"N": str(self.before)}},
            ConsistentRead=True,
            Limit=MAX_FOUND,
            **start,
        )
        keys = [(item["sk"]["S"], "deletedAt" in item) for item in page["Items"]]
        items = {key: "mark" if is_mark else key.partition("#")[0] for key, is_mark in keys}
        return items, page.get("LastEvaluatedKey", {}).get("sk", {}).get("S", "")

    def find_pages(self) -> Iterator[dict[str, str]]:
        """Yield the items of each page."""
        after, is_last = "", False
        while not is_last:
            items, after = self.find_items(after)
            yield items
            is_last = not after

    def delete(self, items: Mapping[str, str], receipt: Receipt | None = None) -> Counter[str]:
        """Delete items of one page, given by `find_items`, and count them on the receipt.

        Each is counted once, even if a step runs twice or is killed. An item that a later request has written stays.

        Returns:
            The number of deleted items by kind.

        Raises:
            ReceiptClosed: the receipt is not open for this moment.
        """
        deleted: Counter[str] = Counter()
        for keys in batched(items, MAX_DELETED, strict=False):
            deleted += self._delete_keys(keys, items, receipt)
        return deleted

    def _delete_keys(self, keys: Sequence[str], items: Mapping[str, str], receipt: Receipt | None) -> Counter[str]:
        for attempt in range(_ATTEMPTS):
            if not keys:
                break
            counts = Counter(items[key] for key in keys)
            actions: list[dict[str, Any]] = [{"Delete": self._deletion(key)} for key in keys]
            if receipt:
                actions.append({"Update": receipt.count(counts, self.before)})
            try:
                self.client.transact_write_items(TransactItems=actions)
            except self.client.exceptions.TransactionCanceledException as error:
                reasons = [reason["Code"] for reason in error.response["CancellationReasons"]]
                if len(reasons) > len(keys) and reasons[-1] == "ConditionalCheckFailed":
                    raise ReceiptClosed from error
                left = [key for key, reason in zip(keys, reasons, strict=False) if reason != "ConditionalCheckFailed"]
                if len(left) == len(keys):
                    # Another write to one of the items is in progress, or the partition is throttled.
                    time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.05 * 2**attempt)))  # noqa: S311
                keys = left
            else:
                return counts
        if keys:
            raise TimeoutError(f"{len(keys)} items could not be deleted in {_ATTEMPTS} attempts")
        return Counter()

    def _deletion(self, key: str) -> dict[str, Any]:
        return {
            "TableName": self.table,
            "Key": self._key(key),
            "ConditionExpression": f"attribute_exists(#pk) AND {_WRITTEN_BEFORE}",
            "ExpressionAttributeNames": {"#pk": "pk", **_NAMES},
            "ExpressionAttributeValues": {":before": {"N": str(self.before)}},
        }

    def _key(self, sort_key: str) -> dict[str, Any]:
        return {"pk": {"S": f"user#{self.subject}"}, "sk": {"S": sort_key}}
