"""Requests that are sent more than once and carried out once: the `Idempotency-Key` of a caller.

A key is an item of its own beside what the request writes. First it is claimed, for a little longer than a function may
run; then the write and the mark that it is done are one transaction, conditional on the claim. A crash between any two
steps leaves either nothing but a claim that runs out, or all of it. A write that fails gives its claim back.

Source: «The Idempotency-Key HTTP Header Field», draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from serverless_api.http.errors import Conflict, ServiceUnavailable, UnprocessableContent
from serverless_api.storage import table

CLAIM_SECONDS = 30
"""How long a claim holds: no function runs longer than its 29 s."""

RETENTION_SECONDS = 24 * 3600
"""How long the first answer is kept."""

REMEMBERED = ("sk", "createdAt", "version", "enrichment")
"""The attributes of an item that are kept with its key."""

_IS_FREE = "attribute_not_exists(#pk) OR #expiresAt <= :now OR (#fingerprint = :fingerprint AND #claimedUntil <= :now)"


def write_once(partition: str, key: str, content: str, make_item: Callable[[], table.Item]) -> dict[str, Any]:
    """Write a new item once for each key of a partition, and return what the first request wrote.

    Args:
        partition: the `pk` of both the key and the item; keys of one caller never meet another's.
        key: the caller's `Idempotency-Key`.
        content: what the request says; the same key with other content is refused.
        make_item: makes what to write, once the key is claimed.

    Returns:
        Of the item that the first request with this key wrote, what does not follow from the content: `REMEMBERED`.

    Raises:
        Conflict: a request with this key is still running.
        UnprocessableContent: the key was used with other content.
        ContentTooLarge: the item is over DynamoDB's limit.
    """
    now = int(time.time())
    claim = {
        # A key may have any length and characters; its digest is a sort key of known size.
        "pk": partition,
        "sk": f"idempotency#{hashlib.sha256(key.encode()).hexdigest()}",
        "fingerprint": hashlib.sha256(content.encode()).hexdigest(),
        "claim": secrets.token_hex(8),
        "claimedUntil": now + CLAIM_SECONDS,
        "expiresAt": now + RETENTION_SECONDS,
    }
    first = _claim(claim, now)
    return first or _write(claim, make_item)


def _claim(claim: table.Item, now: int) -> dict[str, Any] | None:
    """Claim the key; return what its first request wrote where that is done."""
    try:
        table.put_item(claim, _IS_FREE, {":now": now, ":fingerprint": claim["fingerprint"]})
    except table.ConditionFailed as failure:
        return _read_first(claim, failure.item or {})
    return None


def _write(claim: table.Item, make_item: Callable[[], table.Item]) -> dict[str, Any]:
    try:
        item = make_item()
        first = {name: item[name] for name in REMEMBERED if name in item}
        table.put_and_update(
            item,
            {"pk": claim["pk"], "sk": claim["sk"]},
            update="SET #first = :first REMOVE #claimedUntil",
            condition="#claim = :claim AND attribute_not_exists(#first)",
            values={":first": first, ":claim": claim["claim"]},
        )
    except table.ConditionFailed as failure:
        return _read_first(claim, failure.item or {}) or first
    except table.TransactionConflict as conflict:
        raise _still_running() from conflict
    except Exception:
        _release(claim)
        raise
    return first


def _release(claim: table.Item) -> None:
    """Give the claim back, so that the caller can try again at once, with a smaller body too."""
    key = {"pk": claim["pk"], "sk": claim["sk"]}
    # Where the table does not answer, the claim runs out by itself; where the write was done after all, it stays.
    with suppress(table.ConditionFailed, ServiceUnavailable):
        table.delete_item(key, "#claim = :claim AND attribute_not_exists(#first)", {":claim": claim["claim"]})


def _read_first(claim: table.Item, found: table.Item) -> dict[str, Any] | None:
    """Return what the key's first request wrote, or None where the key is this request's to use."""
    if found.get("fingerprint") != claim["fingerprint"]:
        raise UnprocessableContent("This Idempotency-Key was used with another body")
    if "first" in found:
        return dict(found["first"])
    # An attempt whose answer was lost may have made this very claim.
    if found.get("claim") == claim["claim"]:
        return None
    raise _still_running()


def _still_running() -> Conflict:
    return Conflict("A request with this Idempotency-Key is still running", headers={"Retry-After": "1"})
