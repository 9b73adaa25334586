"""Collections: everything that a noun of the API needs, from IDs to conditional writes.

An item of a collection has `pk` = `user#<subject>` and `sk` = `<noun>#<id>`. The subject always comes from the caller's
token and nothing follows it in the key, so no ID, token or name leads to another caller's partition.
"""

import base64
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from serverless_api.http.errors import (
    BadRequest,
    Conflict,
    NotFound,
    PreconditionFailed,
    Problem,
    UnprocessableContent,
)
from serverless_api.http.identity import Caller
from serverless_api.http.preconditions import ANY_VERSION, Preconditions
from serverless_api.http.validation import ModelError, check_value, load_model
from serverless_api.resilience.deadline import current_deadline
from serverless_api.resilience.retry import RetryableError, RetryBudget, RetryPolicy
from serverless_api.storage import idempotency, table
from serverless_api.storage.json_text import JSONText, dump_json, merge_patch, parse_json
from serverless_api.telemetry.observability import Metric, count

MAX_PAGE_CHARACTERS = 1_400_000
"""A Lambda response is at most 6 MB; a page that would exceed this ends before its limit."""

ITEM_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""The form of every ID: a UUID of version 7, in lower case."""
_NOUN = re.compile("[a-z][a-z ]*")
RESERVED = frozenset({"pk", "sk", "id", "createdAt", "updatedAt", "version", "writer", "deletedAt", "expiresAt"})
"""Names of attributes that no model may name: the house's own."""
INDEX_PREFIX = "by_"
"""The start of the names of the table's indexes and of their sort keys, which no model may use either."""
NEWEST_FIRST = "-createdAt"
_EXISTS = "attribute_exists(#pk) AND attribute_not_exists(#deletedAt)"
# Of several writers to one item, one succeeds in each round.
_overtaken_policy = RetryPolicy(retries=10, base=0.05, cap=1.0)


class _OvertakenError(RetryableError):
    """Another write came between the read of an item and the write that builds on it."""


class Entity:
    """One item of a collection, in one version.

    Attributes:
        id: its ID, a UUID of version 7; IDs sort by time of creation.
        version: different after each write.
    """

    __slots__ = ("_attributes", "_collection", "id", "version")

    def __init__(self, collection: "Collection", attributes: table.Item) -> None:
        self._collection = collection
        self._attributes = attributes
        self.id: str = attributes["sk"][len(collection.prefix) :]
        self.version: str = attributes["version"]

    @property
    def etag(self) -> str:
        """The strong entity tag of this version (RFC 9110, section 8.8.3)."""
        return f'"{self.version}"'

    @property
    def position(self) -> str:
        """A pagination token: a page `after` it starts below this item."""
        return _make_token(self.id)

    @property
    def created_at(self) -> str:
        """The time of creation in UTC: RFC 3339 with milliseconds."""
        created_at: str = self._attributes["createdAt"]
        return created_at

    @property
    def fields(self) -> dict[str, Any]:
        """The fields as the request model describes them, numbers with every digit."""
        fields = self._collection.fields
        return {
            name: value if fields[name] else parse_json(value)
            for name, value in self._attributes.items()
            if name in fields
        }

    def to_document(self) -> dict[str, Any]:
        """Return the item as the API shows it."""
        attributes = self._attributes
        shown = self._collection.show(attributes)
        return {"id": self.id, **shown, "createdAt": attributes["createdAt"], "updatedAt": attributes["updatedAt"]}


class Showable(Protocol):
    """What a page can hold."""

    def to_document(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        ...


class Page[Item: Showable](NamedTuple):
    """Some items, newest first; `next_token` is None on the last page."""

    items: Sequence[Item]
    next_token: str | None

    def to_document(self, name: str) -> dict[str, Any]:
        """Return the page as the API shows it, with the items under `name`."""
        document: dict[str, Any] = {name: [item.to_document() for item in self.items], "count": len(self.items)}
        if self.next_token is not None:
            document["nextToken"] = self.next_token
        return document


class Collection:
    """All items of one noun; each caller sees only its own.

    A field whose type is `string` is stored as it is, any other as JSON text: numbers keep every digit, and objects and
    lists nest as deep as a request may. docs/decisions/metadata-as-json.md has the reasons.

    Override the methods marked as hooks for rules of a noun.

    Args:
        noun: the noun in the singular, as errors and sort keys spell it.
        model: the request model `models/<model>.json`, which lists the fields that a caller may write.
        plural: the plural of the noun, if adding an `s` does not make it.
        filters: names of text fields by which a list or a search may be limited. Lists need an index of the table for
            each (docs/decisions/filters-and-sorts.md), searches an entry in the search schema of its vector indexes.
        sorts_by_update: whether a list can be sorted by `updatedAt`; it needs an index too.

    Attributes:
        model: the name of the request model, for `Request.read_body`.
        fields: the names of the fields, and whether each is stored as plain text.
        prefix: the start of each item's sort key.
        derived: names of attributes that `derive` returns, stored and shown like the fields.
        reads_before_update: whether an update reads the item first, so that `derive` knows its `createdAt` and is
            called only if the item exists in an allowed version.

    Raises:
        ModelError: the model is missing or cannot state the fields of a collection.

    Example:
        >>> widgets = Collection("widget", model="WidgetInput")
        >>> widget = widgets.create(request.caller, request.read_body(widgets.model))
        >>> widgets.get(request.caller, widget.id).to_document()
    """

    derived: tuple[str, ...] = ()
    reads_before_update = False

    def __init__(
        self,
        noun: str,
        model: str,
        plural: str | None = None,
        filters: Sequence[str] = (),
        *,
        sorts_by_update: bool = False,
    ) -> None:
        if not _NOUN.fullmatch(noun):
            raise ValueError(f"The noun of a collection must be lower-case words, not {noun!r}.")
        self.noun = noun
        self.model = model
        self.filters = tuple(filters)
        self.sorts_by_update = sorts_by_update
        self.prefix = f"{noun}#"
        label = (plural or f"{noun}s").title().replace(" ", "")
        self._retrieved = Metric(f"{label}Retrieved")
        self._changed = Metric(f"{label}Changed")
        self.fields = _read_fields(model, reserved=RESERVED.union(self.derived))
        self._stored = (*self.fields.items(), *((name, False) for name in self.derived))
        self._names = tuple(name for name, _ in self._stored)
        indexed = (*self.filters, *(["updatedAt"] if sorts_by_update else []))
        self._index_keys = tuple(INDEX_PREFIX + name for name in indexed)
        self._written = (*self._names, *self._index_keys, "updatedAt", "version", "writer")
        self._remembered = ("sk", "createdAt", "version", *self.derived)

    def create(self, caller: Caller, fields: dict[str, Any], key: str | None = None) -> Entity:
        """Create an item, once per idempotency key.

        Args:
            caller: the owner.
            fields: the fields, as the request model describes them.
            key: the request's `Idempotency-Key`. The same key and fields return the item as it was first created.

        Raises:
            Conflict: a request with this key is still running.
            UnprocessableContent: the key was used with other fields.
        """
        now = time.time_ns()
        draft = self._make_draft(caller, {"pk": caller.partition, "sk": self.prefix + make_id(now)}, fields, now)
        if key is None:
            item = self._complete(draft)
            table.put_item(item, "attribute_not_exists(#pk)")
        else:
            first = create_once(
                self.noun,
                key,
                fields,
                draft=draft,
                make_item=lambda: self._complete(draft),
                remembered=self._remembered,
            )
            item = {**draft, **first, "updatedAt": first["createdAt"]}
        # A replay has the version that the first request wrote.
        if item["version"] == draft["version"]:
            count(self._changed)
        return self._to_entity(item)

    def make_item(self, caller: Caller, item_id: str, fields: dict[str, Any]) -> table.Item:
        """Return the item that `create` would write, with an ID of the caller's choice, for a write of many items.

        Args:
            caller: the owner.
            item_id: an ID that the owner has not used.
            fields: the fields, as the request model describes them.
        """
        key = self._make_key(caller, item_id)
        return self._complete(self._make_draft(caller, key, fields, time.time_ns()))

    def get(self, caller: Caller, item_id: str, preconditions: Preconditions = ANY_VERSION) -> Entity:
        """Return an item.

        Args:
            caller: the owner.
            item_id: the item's ID.
            preconditions: the request's. Those of `If-None-Match` are the handler's: its response to a version that the
                caller has is 304.

        Raises:
            NotFound: the caller has no item with this ID.
            PreconditionFailed: `If-Match` lists another version.
        """
        item = table.get_item(self._make_key(caller, item_id))
        if item is None or "deletedAt" in item:
            raise self._not_found()
        if not preconditions.allow(item["version"]):
            raise self._precondition_failed(preconditions, item["version"])
        count(self._retrieved)
        return self._to_entity(item)

    def get_many(self, caller: Caller, item_ids: Sequence[str]) -> list[Entity]:
        """Return the caller's items with these IDs, in this order, without those that do not exist.

        Args:
            caller: the owner.
            item_ids: different IDs of items. Fewer are returned if all would be too large for one response.
        """
        keys = [self._make_key(caller, item_id) for item_id in item_ids]
        found = {item["sk"]: item for item in table.get_items(keys) if "deletedAt" not in item}
        items: list[Entity] = []
        characters = 0
        for key in keys:
            if item := found.get(key["sk"]):
                characters += self._mark_json(item)
                if items and characters > MAX_PAGE_CHARACTERS:
                    break
                items.append(Entity(self, item))
        count(self._retrieved, len(items))
        return items

    def update(
        self, caller: Caller, item_id: str, fields: dict[str, Any], preconditions: Preconditions = ANY_VERSION
    ) -> Entity:
        """Replace the fields of an item, in one write.

        Args:
            caller: the owner.
            item_id: the item's ID.
            fields: the new fields, as the request model describes them.
            preconditions: the request's; the write is conditional on them.

        Raises:
            NotFound: the caller has no item with this ID.
            PreconditionFailed: the item's version violates a precondition.
        """
        condition, values = _make_condition(preconditions)
        key = self._make_key(caller, item_id)
        draft = self._make_draft(caller, key, fields, time.time_ns())
        if self.reads_before_update:
            current = self.get(caller, item_id, preconditions)
            if preconditions.exclude(current.version):
                raise self._precondition_failed(preconditions, current.version)
            draft["createdAt"] = current.created_at
        item = self._complete(draft)
        changes = {name: item[name] for name in self._written if name in item}
        removed = [name for name in self._written if name not in item]
        try:
            updated = table.update_item(key, changes, removed, condition, values)
        except table.ConditionFailed as failure:
            raise self._explain(failure, preconditions) from failure
        count(self._changed)
        return self._to_entity(updated)

    def patch(
        self, caller: Caller, item_id: str, patch: dict[str, Any], preconditions: Preconditions = ANY_VERSION
    ) -> Entity:
        """Merge a JSON Merge Patch (RFC 7396) into the fields of an item.

        The write is conditional on the version that was read, and a patch that another write overtakes is merged again,
        so concurrent patches of different fields are all kept.

        Args:
            caller: the owner.
            item_id: the item's ID.
            patch: the changes; null removes a field of the model.
            preconditions: the request's.

        Raises:
            BadRequest: the fields would violate the request model.
            NotFound: the caller has no item with this ID.
            PreconditionFailed: the item's version violates a precondition.
            TableUnavailable: other writes overtook this one again and again.
        """

        def attempt() -> Entity:
            current = self.get(caller, item_id, preconditions)
            if preconditions.exclude(current.version):
                raise self._precondition_failed(preconditions, current.version)
            fields = merge_patch(current.fields, patch)
            # Removing a field that the model does not know would change nothing, and hide a mistyped name.
            unknown = dict.fromkeys(patch.keys() - self.fields.keys())
            check_value(fields | unknown, self.model)
            try:
                return self.update(caller, item_id, fields, Preconditions(match=frozenset({current.version})))
            except PreconditionFailed as error:
                raise _OvertakenError(str(error)) from error

        try:
            return _overtaken_policy.call(attempt, current_deadline(), RetryBudget())
        except _OvertakenError as error:
            raise table.WriteConflict from error

    def delete(self, caller: Caller, item_id: str, preconditions: Preconditions = ANY_VERSION) -> None:
        """Delete an item: replace it with a mark that says who deleted it and when.

        The table's stream shows only what an item was, so a plain deletion could not say who deleted it. A mark costs
        the same write units, no read returns it, and it expires (docs/decisions/audit-trail.md).

        Args:
            caller: the owner.
            item_id: the item's ID.
            preconditions: the request's; the deletion is conditional on them.

        Raises:
            NotFound: the caller has no item with this ID.
            PreconditionFailed: the item's version violates a precondition.
        """
        condition, values = _make_condition(preconditions)
        now = time.time_ns()
        mark = {
            "deletedAt": format_time(now),
            "expiresAt": now // 1_000_000_000,
            "version": make_version(),
            "writer": caller.origin.to_attribute(),
        }
        try:
            table.mark_deleted(
                self._make_key(caller, item_id),
                mark,
                [*self._names, *self._index_keys, "createdAt", "updatedAt"],
                condition,
                values,
            )
        except table.ConditionFailed as failure:
            raise self._explain(failure, preconditions) from failure
        count(self._changed)

    def list(
        self,
        caller: Caller,
        limit: int,
        after: str | None = None,
        *,
        sort: str | None = None,
        matching: Mapping[str, str] | None = None,
    ) -> Page[Entity]:
        """Return a page of the caller's items, by default all of them, newest first.

        A page starts below the last item of the page before. Writes in between move nothing: each item that exists
        throughout is on exactly one page.

        Args:
            caller: the owner.
            limit: the most items; fewer if the page would be too large for one response.
            after: the previous page's `next_token`, or None for the first page.
            sort: `createdAt` or `updatedAt`, with `-` before it for the last one first.
            matching: the values that the fields of `filters` must have. With them, and in the order of `updatedAt`, the
                list follows writes within moments; what it shows is as last written.

        Raises:
            BadRequest: the token was not issued by an earlier page of the same list, or there is no such list.
        """
        if sort in (None, NEWEST_FIRST) and not matching:
            before = None if after is None else self.prefix + _read_token(after)[0]
            # One more than asked for tells whether another page follows.
            found = table.query_items(caller.partition, self.prefix, before, limit + 1)
            tag, times = b"", dict[str, bytes]()
        else:
            # Loaded at first use: most lists are of all items, newest first.
            from serverless_api.http.selection import Selection  # noqa: PLC0415

            selection = Selection(self, NEWEST_FIRST if sort is None else sort, matching or {})
            start = None if after is None else _read_token(after, selection.tag, selection.time_bytes)
            found = selection.find_items(caller.partition, limit + 1, start)
            tag, times = selection.tag, selection.times
        items: list[Entity] = []
        characters = 0
        for item in found:
            characters += self._mark_json(item)
            if len(items) == limit or (items and characters > MAX_PAGE_CHARACTERS):
                last = items[-1].id
                next_token = _make_token(last, tag, times.get(last, b""))
                break
            items.append(Entity(self, item))
        else:
            next_token = None
        count(self._retrieved, len(items))
        return Page(items, next_token)

    def prepare(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields to store. A hook: by default they are stored as they are."""
        return fields

    def derive(self, draft: Entity) -> Mapping[str, JSONText]:  # noqa: ARG002 - for those who override it
        """Return those attributes of `derived` that a new version has. A hook, called before the write."""
        return {}

    def show(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the part of a document between `id` and `createdAt`. A hook."""
        return {name: attributes[name] for name in self._names if name in attributes}

    def _make_draft(self, caller: Caller, key: table.Item, fields: dict[str, Any], now: int) -> table.Item:
        """Return a new version of an item, without what `derive` adds."""
        stored = {
            name: value if self.fields[name] else dump_json(value) for name, value in self.prepare(fields).items()
        }
        stamp = format_time(now)
        return {
            **key,
            **stored,
            **self._make_index_keys(key, stored, now),
            "createdAt": stamp,
            "updatedAt": stamp,
            "version": make_version(),
            "writer": caller.origin.to_attribute(),
        }

    def make_filter_key(self, value: str, item_id: str) -> str:
        """Return a sort key in the index of a filter: items with one value are in the order of their creation."""
        # An ID's first 16 digits hold its time.
        return f"{self.prefix}{value}#{item_id.replace('-', '')[:16]}"

    def _make_index_keys(self, key: table.Item, stored: table.Item, now: int) -> dict[str, str]:
        """Return the sort keys of the item in the table's indexes, as short as they can be: they are paid like data."""
        keys = {
            f"{INDEX_PREFIX}{name}": self.make_filter_key(stored[name], key["sk"][len(self.prefix) :])
            for name in self.filters
            if name in stored
        }
        if self.sorts_by_update:
            keys[f"{INDEX_PREFIX}updatedAt"] = f"{self.prefix}{now:016x}"
        return keys

    def _complete(self, draft: table.Item) -> table.Item:
        return {**draft, **self.derive(Entity(self, draft))}

    def _make_key(self, caller: Caller, item_id: str) -> table.Item:
        # A UUID may have either case (RFC 9562, section 4); sort keys have lower case.
        item_id = item_id.lower()
        if not ITEM_ID.fullmatch(item_id):
            raise self._not_found()
        return {"pk": caller.partition, "sk": self.prefix + item_id}

    def _to_entity(self, item: table.Item) -> Entity:
        self._mark_json(item)
        return Entity(self, item)

    def _mark_json(self, item: table.Item) -> int:
        """Mark what an item holds as JSON text, and return a bound of how many characters it takes in a response."""
        characters = 0
        for name, is_text in self._stored:
            value = item.get(name)
            if value is None:
                continue
            characters += len(value)
            if is_text:
                # Control characters grow when they are escaped.
                characters += len(value)
            else:
                item[name] = JSONText(value)
        return characters

    def _explain(self, failure: table.ConditionFailed, preconditions: Preconditions) -> NotFound | PreconditionFailed:
        if failure.item is None or "deletedAt" in failure.item:
            return self._not_found()
        return self._precondition_failed(preconditions, failure.item["version"])

    def _precondition_failed(self, preconditions: Preconditions, version: str) -> PreconditionFailed:
        if preconditions.allow(version):
            return PreconditionFailed(f"If-None-Match excludes the current version of the {self.noun}")
        return PreconditionFailed(f"The {self.noun} has changed since it was read")

    def _not_found(self) -> NotFound:
        return NotFound(f"There is no such {self.noun}")


def create_once(
    noun: str,
    key: str,
    content: Any,
    *,
    draft: table.Item,
    make_item: Callable[[], table.Item],
    remembered: Iterable[str],
) -> table.Item:
    """Create an item once per idempotency key, and return what is remembered of the one that the first request wrote.

    Args:
        noun: what is created; the same key of two nouns is two keys.
        key: the request's `Idempotency-Key`.
        content: the content of the request, a JSON value.
        draft: an item with the owner's `pk` and the request's `writer`.
        make_item: makes the item, once the key is claimed.
        remembered: the names of the attributes that do not follow from the content.

    Raises:
        Conflict: a request with this key is still running.
        UnprocessableContent: the key was used with other content.
    """
    try:
        return idempotency.write_once(
            draft["pk"],
            noun,
            key,
            content=content,
            writer=draft["writer"],
            make_item=make_item,
            remembered=remembered,
        )
    except idempotency.KeyInUse as error:
        raise Conflict("A request with this Idempotency-Key is still running", headers={"Retry-After": "1"}) from error
    except idempotency.KeyReused as error:
        raise UnprocessableContent("This Idempotency-Key was used with another body") from error


def _read_fields(model: str, reserved: frozenset[str]) -> dict[str, bool]:
    schema = load_model(model)
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        raise ModelError(f"The request model {model} must have the type object and additionalProperties: false.")
    properties: dict[str, Any] = schema.get("properties", {})
    if taken := {name for name in properties if name in reserved or name.startswith(INDEX_PREFIX)}:
        raise ModelError(f"The request model {model} names {', '.join(sorted(taken))}, which is reserved.")
    return {name: schema.get("type") == "string" for name, schema in properties.items()}


def _make_condition(preconditions: Preconditions) -> tuple[str, dict[str, str]]:
    """Return the condition of a write to an existing item, so that no other write comes between check and write."""
    match, none_match = preconditions.match, preconditions.none_match
    if none_match is None:
        return table.one_of("version", ())
    if match is not None:
        return table.one_of("version", match - none_match)
    if not none_match:
        return _EXISTS, {}
    excluded, values = table.one_of("version", none_match)
    return f"{_EXISTS} AND NOT {excluded}", values


def make_version() -> str:
    """Return a version that no item has had."""
    return secrets.token_hex(8)


def make_id(now: int) -> str:
    """Return an ID that sorts by time: a UUID of version 7 with twelve more bits of time (RFC 9562, section 6.2)."""
    milliseconds, rest = divmod(now, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    bits = (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | secrets.randbits(62)
    return _format_id(f"{bits:032x}")


def _format_id(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def format_time(now: int) -> str:
    """Return nanoseconds since 1970 as RFC 3339 with milliseconds, in UTC."""
    seconds, rest = divmod(now, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03}Z"


def _make_token(item_id: str, tag: bytes = b"", time: bytes = b"") -> str:
    """Return a pagination token: the position of an item. It names no caller; the partition is always the caller's."""
    position = tag + bytes.fromhex(item_id.replace("-", "")) + time
    return base64.urlsafe_b64encode(position).decode().rstrip("=")


def _read_token(token: str, tag: bytes = b"", time_bytes: int = 0) -> tuple[str, str]:
    """Return the ID in a pagination token, and the digits of the time.

    Raises:
        BadRequest: the token was not issued by an earlier page of the same list.
    """
    try:
        position = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        position = b""
    start, end = len(tag), len(position) - time_bytes
    item_id = _format_id(position[start : max(start, end)].hex())
    if position[:start] != tag or not ITEM_ID.fullmatch(item_id):
        raise BadRequest("The request is not valid", [Problem("nextToken", "must be the nextToken of another page")])
    return item_id, position[end:].hex() if time_bytes else ""
