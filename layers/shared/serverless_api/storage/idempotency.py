"""Requests that are sent more than once and performed once, by the caller's `Idempotency-Key`.

A key is an item beside the one that the request writes. First the key is claimed, for slightly longer than a function
may run. Then one transaction, conditional on the claim, writes the item and marks the key as done. A crash between two
steps leaves either only a claim, which expires, or everything. A write that fails releases its claim.

Source: «The Idempotency-Key HTTP Header Field», draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from serverless_api.storage import table
from serverless_api.storage.json_text import dump_json

CLAIM_SECONDS = 30
"""How long a claim holds: no function runs longer than its 29 s."""

RETENTION_SECONDS = 24 * 3600
"""How long the first answer is remembered."""

_IS_FREE = "attribute_not_exists(#pk) OR #expiresAt <= :now OR (#fingerprint = :fingerprint AND #claimedUntil <= :now)"
_IS_CLAIMED = "#claim = :claim AND attribute_not_exists(#first)"


class KeyInUse(Exception):
    """A request with this key is still running."""


class KeyReused(Exception):
    """The key was used with other content."""


def write_once(
    partition: str,
    item_type: str,
    key: str,
    *,
    content: Any,
    writer: Mapping[str, Any],
    make_item: Callable[[], table.Item],
    remembered: Iterable[str],
) -> table.Item:
    """Write a new item once per key, and return what the first request with the key wrote.

    Args:
        partition: the `pk` of both the key and the item, so that callers never share keys.
        item_type: the namespace of the key: the same key of two types is two keys.
        key: the caller's `Idempotency-Key`.
        content: the content of the request, a JSON value; the same key with other content is rejected. The order of
            an object's members makes no other content, because clients do not keep it.
        writer: where the request comes from, as its item says.
        make_item: makes the item to write, once the key is claimed.
        remembered: the names of the attributes to remember: those that do not follow from the content.

    Returns:
        The remembered attributes of the item that the first request wrote.

    Raises:
        KeyInUse: a request with this key is still running.
        KeyReused: the key was used with other content.
        ItemTooLarge: the item is over DynamoDB's limit.
    """
    now = int(time.time())
    claim = {
        # A key may have any length and characters; its digest is a sort key of fixed size.
        "pk": partition,
        "sk": f"idempotency#{item_type}#{hashlib.sha256(key.encode()).hexdigest()}",
        "fingerprint": hashlib.sha256(dump_json(content, sorts_names=True).encode()).hexdigest(),
        "claim": secrets.token_hex(8),
        "claimedUntil": now + CLAIM_SECONDS,
        "expiresAt": now + RETENTION_SECONDS,
        "writer": writer,
    }
    try:
        table.put_item(claim, _IS_FREE, {":now": now, ":fingerprint": claim["fingerprint"]})
    except table.ConditionFailed as failure:
        return _read_first(claim, failure)
    except table.WriteConflict as conflict:
        raise KeyInUse from conflict
    return _write(claim, make_item, remembered)


def _write(claim: table.Item, make_item: Callable[[], table.Item], remembered: Iterable[str]) -> table.Item:
    key = {"pk": claim["pk"], "sk": claim["sk"]}
    try:
        item = make_item()
        first = {name: item[name] for name in remembered if name in item}
        done = table.Update(key, {"first": first}, ["claimedUntil"], _IS_CLAIMED, {":claim": claim["claim"]})
        table.transact([done], [item])
    except table.ConditionFailed as failure:
        # Another request took the claim over.
        return _read_first(claim, failure)
    except table.WriteConflict as conflict:
        _release(claim)
        raise KeyInUse from conflict
    except Exception:
        _release(claim)
        raise
    return first


def _release(claim: table.Item) -> None:
    """Release the claim, so that the caller can try again at once, even with a smaller body."""
    key = {"pk": claim["pk"], "sk": claim["sk"]}
    # If the table does not answer, the claim expires. If the write was performed after all, the key stays.
    with suppress(table.ConditionFailed, table.TableUnavailable):
        table.delete_item(key, _IS_CLAIMED, {":claim": claim["claim"]})


def _read_first(claim: table.Item, failure: table.ConditionFailed) -> table.Item:
    """Return what the key's first request wrote, given the failure to claim the key or to use the claim."""
    found = failure.item or {}
    if found.get("fingerprint") != claim["fingerprint"]:
        raise KeyReused from failure
    if "first" not in found:
        raise KeyInUse from failure
    return dict(found["first"])
