"""The resources of a user: what they are, and how they are kept.

A resource is an item with `pk` = `user#<subject>` and `sk` = `resource#<id>`. The subject always comes from the
caller's token and nothing follows it in the key, so that no id, token or name leads to another user's partition.
"""

import base64
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from serverless_api.environment import settings
from serverless_api.http.errors import BadRequest, NotFound, PreconditionFailed, Problem
from serverless_api.storage import idempotency, table
from serverless_api.storage.json_text import JSONText, dump_json
from serverless_api.telemetry.observability import Metric, count

if settings.ENRICHMENT_URL:
    # Loaded while the environment starts, and only where it is used: the circuit's store is half a second of imports.
    from resources.enrichment import request_enrichment

# A Lambda response is at most 6 MB; a page that would pass this many characters ends before its limit.
MAX_PAGE_CHARACTERS = 1_400_000

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource.

    Attributes:
        id: given when it is created; ids sort by time.
        name: 1 to 100 characters.
        type: `A`, `B` or `C`.
        metadata: whatever else the caller keeps with it, as a JSON document, so that it comes back digit by digit.
        created_at: in UTC, RFC 3339 with milliseconds.
        updated_at: likewise.
        version: another one after each write; the resource's entity tag.
        enrichment: what the enrichment service says of it, as a JSON document; shown as a part of the metadata.
    """

    id: str
    name: str
    type: str
    metadata: JSONText | None
    created_at: str
    updated_at: str
    version: str
    enrichment: JSONText | None = None

    @property
    def etag(self) -> str:
        """The strong entity tag of this version (RFC 9110, section 8.8.3)."""
        return f'"{self.version}"'

    def to_document(self) -> dict[str, Any]:
        """Return the resource as the API shows it."""
        document = {"id": self.id, "name": self.name, "type": self.type}
        metadata = self.metadata
        if self.enrichment is not None:
            others = (metadata or "{}")[1:-1]
            metadata = JSONText(f'{{{others}{"," if others else ""}"enrichment":{self.enrichment}}}')
        if metadata is not None:
            document["metadata"] = metadata
        return {**document, "createdAt": self.created_at, "updatedAt": self.updated_at}


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a user's resources, newest first; `next_token` is None on the last page."""

    resources: Sequence[Resource]
    next_token: str | None


def create_resource(subject: str, fields: dict[str, Any], key: str | None) -> Resource:
    """Create a resource, once for each idempotency key.

    Args:
        subject: whose it is.
        fields: what `models/ResourceInput.json` describes.
        key: the request's `Idempotency-Key`; the same key and fields return the resource as it was created first.

    Raises:
        Conflict: a request with this key is still running.
        UnprocessableContent: the key was used with other fields.
        ContentTooLarge: the resource is over DynamoDB's limit.
    """
    resource = _make_resource(fields)
    if key is not None:
        content = dump_json(fields)
        first = idempotency.write_once(_partition(subject), key, content, lambda: _to_item(subject, _enrich(resource)))
        # Any other version is that of an earlier request with this key.
        if first["version"] == resource.version:
            count(Metric.RESOURCES_CHANGED)
        return replace(
            resource,
            id=_to_id(first["sk"]),
            created_at=first["createdAt"],
            updated_at=first["createdAt"],
            version=first["version"],
            enrichment=_to_json_text(first, "enrichment"),
        )
    resource = _enrich(resource)
    try:
        table.put_item(_to_item(subject, resource), "attribute_not_exists(#pk)")
    except table.ConditionFailed as failure:
        # The id is this request's alone: what stands there was put by an attempt whose answer was lost.
        if failure.item is None or failure.item["version"] != resource.version:
            raise
    count(Metric.RESOURCES_CHANGED)
    return resource


def get_resource(subject: str, resource_id: str) -> Resource:
    """Return a resource.

    Raises:
        NotFound: the user has none with this id.
    """
    item = table.get_item(_key(subject, resource_id))
    if item is None:
        raise _not_found()
    count(Metric.RESOURCES_RETRIEVED)
    return _to_resource(item)


def update_resource(
    subject: str, resource_id: str, fields: dict[str, Any], versions: frozenset[str] | None
) -> Resource:
    """Replace what the caller may change of a resource, in one write.

    Args:
        subject: whose it is.
        resource_id: which.
        fields: what `models/ResourceInput.json` describes.
        versions: the versions that may be replaced; None for any.

    Raises:
        NotFound: the user has none with this id.
        PreconditionFailed: it has another version.
        ContentTooLarge: it would be over DynamoDB's limit.
    """
    change = replace(_make_resource(fields), id=resource_id)
    if settings.ENRICHMENT_URL:
        # The service is asked only about what can be written, and is told when it was created.
        current = get_resource(subject, resource_id)
        if versions is not None and current.version not in versions:
            raise _changed()
        change = _enrich(replace(change, created_at=current.created_at))
    written = {"name", "type", "metadata", "enrichment", "updatedAt", "version"}
    values = {name: value for name, value in _to_item(subject, change).items() if name in written}
    update = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
    if absent := sorted(written - values.keys()):
        update += " REMOVE " + ", ".join(f"#{name}" for name in absent)
    condition, placeholders = _version_condition(versions)
    placeholders |= {f":{name}": value for name, value in values.items()}
    try:
        item = table.update_item(_key(subject, resource_id), update, condition, placeholders)
    except table.ConditionFailed as failure:
        # An attempt whose answer was lost may have written this version already.
        if failure.item is None or failure.item["version"] != change.version:
            raise _explain(failure) from failure
        item = failure.item
    count(Metric.RESOURCES_CHANGED)
    return _to_resource(item)


def delete_resource(subject: str, resource_id: str, versions: frozenset[str] | None) -> None:
    """Delete a resource.

    Args:
        subject: whose it is.
        resource_id: which.
        versions: the versions that may be deleted; None for any.

    Raises:
        NotFound: the user has none with this id.
        PreconditionFailed: it has another version.
    """
    condition, values = _version_condition(versions)
    try:
        table.delete_item(_key(subject, resource_id), condition, values)
    except table.ConditionFailed as failure:
        # It is gone, and an attempt whose answer was lost may be what deleted it.
        if failure.item is not None or not failure.may_be_done:
            raise _explain(failure) from failure
    count(Metric.RESOURCES_CHANGED)


def list_resources(subject: str, limit: int, next_token: str | None) -> Page:
    """Return a page of the user's resources, newest first.

    A page that starts after a resource shows what was created before it, whatever is written meanwhile: each resource
    that exists all along is on exactly one page.

    Args:
        subject: whose they are.
        limit: how many at the most; fewer where the page would be too large for one answer.
        next_token: the `next_token` of the page before, or None for the first one.

    Raises:
        BadRequest: the token is none that a page had.
    """
    before = None if next_token is None else _sort_key(_read_token(next_token))
    # One more than asked for tells whether another page follows.
    items = table.query_items(_partition(subject), "resource#", before, limit + 1)
    resources: list[Resource] = []
    characters = 0
    for item in items:
        resource = _to_resource(item)
        characters += len(resource.metadata or "")
        if len(resources) == limit or (resources and characters > MAX_PAGE_CHARACTERS):
            count(Metric.RESOURCES_RETRIEVED, len(resources))
            return Page(resources, _make_token(resources[-1].id))
        resources.append(resource)
    count(Metric.RESOURCES_RETRIEVED, len(resources))
    return Page(resources, None)


def _make_resource(fields: dict[str, Any]) -> Resource:
    now = time.time_ns()
    stamp = _format_time(now)
    metadata = fields.get("metadata")
    if metadata is not None and settings.ENRICHMENT_URL:
        # The property is the service's; a caller's own one would pass for its answer.
        metadata = {name: value for name, value in metadata.items() if name != "enrichment"}
    text = None if metadata is None else dump_json(metadata)
    return Resource(_make_id(now), fields["name"], fields["type"], text, stamp, stamp, secrets.token_hex(8))


def _enrich(resource: Resource) -> Resource:
    """Return the resource with what the enrichment service says of it, or as it is where there is none."""
    if not settings.ENRICHMENT_URL:
        return resource
    return replace(resource, enrichment=request_enrichment(resource.to_document(), key=resource.version))


def _make_id(now: int) -> str:
    """Return an id that sorts by time: a UUID of version 7 with twelve more bits of time (RFC 9562, section 6.2)."""
    milliseconds, rest = divmod(now, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    bits = (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | secrets.randbits(62)
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _format_time(now: int) -> str:
    seconds, rest = divmod(now, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03}Z"


def _partition(subject: str) -> str:
    return f"user#{subject}"


def _sort_key(resource_id: str) -> str:
    return f"resource#{resource_id}"


def _to_id(sort_key: str) -> str:
    return sort_key.removeprefix("resource#")


def _key(subject: str, resource_id: str) -> table.Item:
    if not _ID.fullmatch(resource_id):
        raise _not_found()
    return {"pk": _partition(subject), "sk": _sort_key(resource_id)}


def _to_item(subject: str, resource: Resource) -> table.Item:
    return {
        **_key(subject, resource.id),
        "name": resource.name,
        "type": resource.type,
        **({} if resource.metadata is None else {"metadata": resource.metadata}),
        **({} if resource.enrichment is None else {"enrichment": resource.enrichment}),
        "createdAt": resource.created_at,
        "updatedAt": resource.updated_at,
        "version": resource.version,
    }


def _to_resource(item: table.Item) -> Resource:
    return Resource(
        id=_to_id(item["sk"]),
        name=item["name"],
        type=item["type"],
        metadata=_to_json_text(item, "metadata"),
        created_at=item["createdAt"],
        updated_at=item["updatedAt"],
        version=item["version"],
        enrichment=_to_json_text(item, "enrichment"),
    )


def _to_json_text(item: table.Item, name: str) -> JSONText | None:
    return JSONText(item[name]) if name in item else None


def _version_condition(versions: frozenset[str] | None) -> tuple[str, dict[str, str]]:
    if versions is None:
        return "attribute_exists(#pk)", {}
    # A header that names no usable version matches none; the empty string is never one.
    values = {f":version{index}": version for index, version in enumerate(sorted(versions or {""}))}
    return f"#version IN ({', '.join(values)})", values


def _explain(failure: table.ConditionFailed) -> NotFound | PreconditionFailed:
    if failure.item is None:
        return _not_found()
    return _changed()


def _changed() -> PreconditionFailed:
    return PreconditionFailed("The resource has changed since it was read")


def _not_found() -> NotFound:
    return NotFound("There is no such resource")


def _make_token(resource_id: str) -> str:
    """Return a token that says where the next page starts; it names no user, since the partition is the caller's."""
    return base64.urlsafe_b64encode(bytes.fromhex(resource_id.replace("-", ""))).decode().rstrip("=")


def _read_token(token: str) -> str:
    try:
        digits = base64.b64decode(token + "==", altchars=b"-_", validate=True).hex()
    except ValueError:
        digits = ""
    resource_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    if not _ID.fullmatch(resource_id):
        raise BadRequest("The request is not valid", [Problem("nextToken", "must be the nextToken of another page")])
    return resource_id
