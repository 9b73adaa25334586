"""Erasures of users: the ledger of who asked for one, and the receipts.

The ledger is a separate table. An erasure's item has `pk` = the user's pseudonym and `sk` = `erasure#<id>`. Until the
erasure is verified, it also has the user's `subject`, which leads to the user's partition. The ledger's stream starts
the erasure, so that no request is accepted without being carried out (docs/decisions/erasure.md).
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from serverless_api import BadRequest, Caller, NotFound, Problem, pseudonymize, read_setting
from serverless_api.http.collection import ITEM_ID, format_time
from serverless_api.storage import table

type State = Literal["running", "erased", "verified"]

NOUN = "erasure"
PREFIX = f"{NOUN}#"
_RUNS = "#state = :running AND #requestedAt = :requestedAt"
_IS_NEXT = "#requestedAt = :requestedAt AND (attribute_not_exists(#step) OR #step < :step OR #stepToken = :token)"
# A later request moves the time of an erasure that still runs, instead of starting another one beside it.
_RUNS_FOR_EARLIER = "#state = :running AND #requestedAt < :requestedAt"


class ErasureMovedOn(Exception):
    """The erasure has ended, or goes up to a later time."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure of one user.

    Attributes:
        user: the user's pseudonym.
        id: the erasure's ID, a UUID of version 7.
        requested_at: everything that the user's requests up to this time have written goes; milliseconds since 1970.
        state: `running`, `erased`, or `verified` after the backups have expired.
        subject: the user, until the erasure is verified.
        erased: how many items of each kind are gone.
        erased_at: when the last one went; milliseconds since 1970, or 0.
        backups_expire_at: when the table's recovery window ends; milliseconds since 1970, or 0.
        verified_at: when nothing was found any more; milliseconds since 1970, or 0.
        files_counted: the last file that is counted, or empty.
    """

    user: str
    id: str
    requested_at: int
    state: State
    subject: str
    erased: Mapping[str, int]
    erased_at: int
    backups_expire_at: int
    verified_at: int
    files_counted: str

    def to_document(self) -> dict[str, Any]:
        """Return the receipt as the API shows it."""
        times = {
            "requestedAt": self.requested_at,
            "erasedAt": self.erased_at,
            "backupsExpireAt": self.backups_expire_at,
            "verifiedAt": self.verified_at,
        }
        shown = {name: format_moment(moment) for name, moment in times.items() if moment}
        return {"id": self.id, "state": self.state, "erased": dict(self.erased), **shown}


def format_moment(moment: int) -> str:
    """Return a time in milliseconds since 1970 as RFC 3339."""
    return format_time(moment * 1_000_000)


def to_erasure(item: Mapping[str, Any]) -> Erasure:
    """Return the erasure that an item of the ledger describes."""
    # The transactions that delete the table's items count them. What lies elsewhere has an attribute for each kind.
    counts = {**item["erased"], **{kind: item.get(kind, 0) for kind in ("account", "file")}}
    return Erasure(
        user=item["pk"],
        id=item["sk"].removeprefix(PREFIX),
        requested_at=int(item["requestedAt"]),
        state=item["state"],
        subject=item.get("subject", ""),
        erased={kind: int(count) for kind, count in sorted(counts.items()) if count},
        erased_at=int(item.get("erasedAt", 0)),
        backups_expire_at=int(item.get("backupsExpireAt", 0)),
        verified_at=int(item.get("verifiedAt", 0)),
        files_counted=item.get("filesCounted", ""),
    )


def start_erasure(caller: Caller) -> Erasure:
    """Have everything erased that the caller's requests have written up to this one.

    Returns:
        A new erasure, or the caller's running one, which then goes up to this request.
    """
    ledger, user = read_setting("ERASURE_LEDGER"), pseudonymize(caller.subject)
    requested = {"requestedAt": caller.origin.requested_at, "writer": caller.origin.to_attribute()}
    if last := _find_last(user):
        values = {":running": "running", ":requestedAt": requested["requestedAt"]}
        key = {"pk": user, "sk": last["sk"]}
        # Its steps start again, and so does their count of files.
        removed = ["filesCounted", "step", "stepToken"]
        try:
            return to_erasure(table.update_item(key, requested, removed, _RUNS_FOR_EARLIER, values, table_name=ledger))
        except table.ConditionFailed as failure:
            if failure.item and failure.item["state"] == "running":
                return to_erasure(failure.item)
    item = {
        "pk": user,
        "sk": PREFIX + _make_id(user, last),
        "subject": caller.subject,
        "state": "running",
        "erased": {},
        **requested,
    }
    try:
        table.put_item(item, "attribute_not_exists(#pk)", table_name=ledger)
    except table.ConditionFailed:
        # Another request of the user has started it at the same time.
        return start_erasure(caller)
    return to_erasure(item)


def get_erasure(caller: Caller, erasure_id: str) -> Erasure:
    """Return one of the caller's erasures.

    Raises:
        NotFound: the caller has none with this ID.
    """
    erasure_id = erasure_id.lower()
    key = {"pk": pseudonymize(caller.subject), "sk": PREFIX + erasure_id}
    item = table.get_item(key, table_name=read_setting("ERASURE_LEDGER")) if ITEM_ID.fullmatch(erasure_id) else None
    if item is None:
        raise NotFound(f"There is no such {NOUN}")
    return to_erasure(item)


def list_erasures(caller: Caller, limit: int, after: str | None = None) -> list[Erasure]:
    """Return the caller's erasures, newest first.

    Args:
        caller: the user.
        limit: the most erasures.
        after: an ID; only older erasures are returned.

    Raises:
        BadRequest: `after` is no ID.
    """
    if after is not None and not ITEM_ID.fullmatch(after):
        raise BadRequest("The request is not valid", [Problem("after", "must be the ID of an erasure")])
    before, ledger = None if after is None else PREFIX + after, read_setting("ERASURE_LEDGER")
    found = table.query_items(pseudonymize(caller.subject), PREFIX, before, limit, table_name=ledger)
    return [to_erasure(item) for item in found]


def find_erasure(subject: str) -> tuple[str, int] | None:
    """Return the ID of the user's last erasure and its time in milliseconds since 1970, or None."""
    last = _find_last(pseudonymize(subject))
    return (last["sk"].removeprefix(PREFIX), int(last["requestedAt"])) if last else None


def begin_step(user: str, erasure_id: str, requested_at: int, number: int, token: str) -> Erasure:
    """Note which step an erasure has come to, and return the erasure.

    A function that is killed after it has sent the next step runs again, and sends that step again. Only one of both
    begins, so that an erasure has one chain of steps.

    Args:
        user: the user's pseudonym.
        erasure_id: the erasure's ID.
        requested_at: the time up to which the step erases.
        number: the step's place in the chain.
        token: names the step's message, so that a step that was killed may begin again.

    Raises:
        ErasureMovedOn: another message has begun this step or a later one, or the erasure goes up to a later time.
    """
    key, values = (
        {"pk": user, "sk": PREFIX + erasure_id},
        {":requestedAt": requested_at, ":step": number, ":token": token},
    )
    changes, ledger = {"step": number, "stepToken": token}, read_setting("ERASURE_LEDGER")
    try:
        return to_erasure(table.update_item(key, changes, [], _IS_NEXT, values, table_name=ledger))
    except table.ConditionFailed as failure:
        raise ErasureMovedOn from failure


def read_erasure(user: str, erasure_id: str) -> Erasure | None:
    """Return an erasure by the user's pseudonym and its ID, or None."""
    item = table.get_item({"pk": user, "sk": PREFIX + erasure_id}, table_name=read_setting("ERASURE_LEDGER"))
    return to_erasure(item) if item else None


def count_account(erasure: Erasure) -> None:
    """Note that the user has an account, before it goes.

    Raises:
        ErasureMovedOn: it has ended, or goes up to a later time.
    """
    _update(erasure, {"account": 1}, _RUNS)


def count_files(erasure: Erasure, files: Sequence[str]) -> Erasure:
    """Count the files that are not counted yet, before they go.

    Args:
        erasure: the erasure.
        files: what names them, in ascending order.

    Raises:
        ErasureMovedOn: it has ended, or goes up to a later time.
    """
    added = sum(file > erasure.files_counted for file in files)
    if not added:
        return erasure
    return _update(erasure, {"file": erasure.erased.get("file", 0) + added, "filesCounted": files[-1]}, _RUNS)


def finish_erasure(erasure: Erasure, recovery_days: int) -> Erasure:
    """Note that everything is gone, except from backups, and return the receipt.

    Raises:
        ErasureMovedOn: it has ended, or goes up to a later time.
    """
    now = time.time_ns() // 1_000_000
    expiry = now + recovery_days * 86_400_000
    return _update(erasure, {"state": "erased", "erasedAt": now, "backupsExpireAt": expiry}, _RUNS)


def close_receipt(erasure: Erasure) -> Erasure:
    """Note that nothing was found after the backups expired, and forget the subject.

    Raises:
        ErasureMovedOn: the receipt is closed.
    """
    changes = {"state": "verified", "verifiedAt": time.time_ns() // 1_000_000}
    return _update(erasure, changes, "#state = :erased", removed=["subject"])


def _update(erasure: Erasure, changes: table.Item, condition: str, removed: Sequence[str] = ()) -> Erasure:
    values = (
        {":running": "running", ":requestedAt": erasure.requested_at} if condition == _RUNS else {":erased": "erased"}
    )
    key, ledger = {"pk": erasure.user, "sk": PREFIX + erasure.id}, read_setting("ERASURE_LEDGER")
    try:
        return to_erasure(table.update_item(key, changes, removed, condition, values, table_name=ledger))
    except table.ConditionFailed as failure:
        raise ErasureMovedOn from failure


def _make_id(user: str, last: table.Item | None) -> str:
    """Return the ID that follows a user's last erasure, a UUID of version 7 whose time counts up.

    It is the same for all requests that see the same last erasure, so only one of them starts the next.
    """
    number = int(last["sk"].removeprefix(PREFIX).replace("-", "")[:12], 16) + 1 if last else 1
    digest = int(hashlib.sha256(f"{user}/{number}".encode()).hexdigest(), 16)
    bits = (number << 80) | (0x7 << 76) | (digest >> 64 & 0xFFF) << 64 | (0b10 << 62) | (digest & (1 << 62) - 1)
    return str(UUID(int=bits))


def _find_last(user: str) -> table.Item | None:
    return next(table.query_items(user, PREFIX, None, 1, table_name=read_setting("ERASURE_LEDGER")), None)
