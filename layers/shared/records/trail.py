"""The audit trail: one entry for every committed change of a resource, in a separate table.

An entry has `pk` = the owner's pseudonym, and its `sk` follows from the change: a change that arrives again is the
entry that is there. Entries of a resource form a chain, because `before` of each is `after` of the one before it
(docs/decisions/audit-trail.md).
"""

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from records.changes import Change
from serverless_api import BadRequest, Caller, Page, Problem, pseudonymize, read_setting
from serverless_api.storage import table

PREFIX = "entry#"
# Numbers of a stream's records have at most 40 digits ("StreamRecord", DynamoDB API Reference).
_DIGITS = 40
_POSITION = re.compile(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z#[a-z][a-z ]*#[0-9a-f-]{{36}}#\d{{{_DIGITS}}}")
_DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the trail.

    Attributes:
        position: its place in the owner's trail; positions sort by time.
        time: when the change was made, RFC 3339.
        actor: who made it: the user's pseudonym, or the ARN of an IAM role or user.
        action: `created`, `updated` or `deleted`.
        noun: what was changed, such as `resource`.
        id: the resource's ID.
        before: the version before, or None.
        after: the version after, or None.
        fields: names of the changed fields.
        request_id: the request that made the change, or the job.
        door: the way in, such as `api`; `unknown` if nothing in the stack has made the change.
    """

    position: str
    time: str
    actor: str
    action: str
    noun: str
    id: str
    before: str | None
    after: str | None
    fields: tuple[str, ...]
    request_id: str
    door: str

    @property
    def token(self) -> str:
        """A pagination token: a page after it starts below this entry."""
        return _make_token(self.position)

    def to_document(self) -> dict[str, Any]:
        """Return the entry as the API shows it."""
        document: dict[str, Any] = {
            "time": self.time,
            "actor": self.actor,
            "action": self.action,
            "type": self.noun,
            "id": self.id,
            "before": self.before,
            "after": self.after,
            "fields": list(self.fields),
            "requestId": self.request_id,
            "door": self.door,
        }
        return {name: value for name, value in document.items() if value is not None}


def append_change(change: Change, retention_days: int) -> None:
    """Append the entry of a change, unless it is there.

    Args:
        change: the change.
        retention_days: days after which the entry expires.

    Raises:
        TableUnavailable: the trail's table is throttled, down or out of time.
    """
    # An update that is repeated because its answer was lost makes its version once more, if another one came between.
    # So the key names the record, not the versions.
    item = {
        "pk": pseudonymize(change.owner),
        "sk": f"{PREFIX}{change.time}#{change.noun}#{change.id}#{change.sequence:0>{_DIGITS}}",
        "actor": change.origin.actor or pseudonymize(change.owner),
        "action": change.action,
        "before": change.before,
        "after": change.after,
        "fields": change.fields,
        "request": change.origin.request_id,
        "door": change.origin.door,
        "expiresAt": int(datetime.fromisoformat(change.time).timestamp()) + retention_days * _DAY_SECONDS,
    }
    try:
        table.put_item(item, "attribute_not_exists(#pk)", table_name=read_setting("AUDIT_TABLE"))
    except table.ConditionFailed:
        return


def remove_mark(mark: Mapping[str, str]) -> None:
    """Remove the mark of a deletion, which has its entry.

    Args:
        mark: its `pk`, `sk` and `version`.
    """
    key = {name: mark[name] for name in ("pk", "sk")}
    with suppress(table.ConditionFailed):
        table.delete_item(key, "#version = :version", {":version": mark["version"]})


def to_entry(item: Mapping[str, Any]) -> Entry:
    """Return the entry that an item of the trail's table describes."""
    position = item["sk"].removeprefix(PREFIX)
    time, noun, resource_id, *_ = position.split("#")
    return Entry(
        position=position,
        time=time,
        actor=item["actor"],
        action=item["action"],
        noun=noun,
        id=resource_id,
        before=item["before"],
        after=item["after"],
        fields=tuple(item["fields"]),
        request_id=item["request"],
        door=item["door"],
    )


def list_entries(caller: Caller, limit: int, after: str | None = None) -> Page[Entry]:
    """Return a page of the caller's own trail, newest first.

    Args:
        caller: the owner.
        limit: the most entries.
        after: the previous page's `next_token`, or None for the first page.

    Raises:
        BadRequest: the token was not issued by an earlier page.
    """
    before = None if after is None else PREFIX + _read_token(after)
    owner = pseudonymize(caller.subject)
    # One more than asked for tells whether another page follows.
    found = table.query_items(owner, PREFIX, before, limit + 1, table_name=read_setting("AUDIT_TABLE"))
    entries = [to_entry(item) for item in found]
    next_token = entries[limit - 1].token if len(entries) > limit else None
    return Page(entries[:limit], next_token)


def _make_token(position: str) -> str:
    """Return a pagination token: the position of an entry. It names no owner; that is always the caller."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def _read_token(token: str) -> str:
    try:
        position = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        position = ""
    if not _POSITION.fullmatch(position):
        raise BadRequest("The request is not valid", [Problem("nextToken", "must be the nextToken of another page")])
    return position
