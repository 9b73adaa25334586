"""Calls every operation through the generated Python client, and prints what it answered.

With tokens it provokes statuses of the running API. With statuses it asks a stub for each status that the document
describes: the stub reads the status from `X-Correlation-Id`.
"""

import json
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from uuid import UUID

from resources_client import AuthenticatedClient
from resources_client.api.audit import list_audit_entries
from resources_client.api.erasures import get_erasure, start_erasure
from resources_client.api.imports import cancel_import, get_import, start_import
from resources_client.api.resources import (
    create_resource,
    delete_resource,
    get_resource,
    list_resources,
    patch_resource,
    update_resource,
)
from resources_client.api.search import search_resources
from resources_client.models import (
    AuditPage,
    Erasure,
    ErasureInput,
    Error,
    GatewayError,
    Import,
    Resource,
    ResourceInput,
    ResourceInputMetadata,
    ResourceInputType,
    ResourcePage,
    ResourcePatch,
    ResourcePatchType,
    SearchResults,
)
from resources_client.types import File, Response

type Body = AuditPage | Erasure | Error | GatewayError | Import | Resource | ResourcePage | SearchResults | None
type Call = tuple[str, Response[Any]]

UNKNOWN = UUID("019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10")
LONG = "x" * 10_240


def make_body(name: str = "First", metadata: dict[str, Any] | None = None) -> ResourceInput:
    values = ResourceInputMetadata.from_dict(metadata or {"colour": "blue", "weight": 12.5})
    return ResourceInput(name=name, type_=ResourceInputType.A, metadata=values)


def make_file(name: str = "First") -> File:
    return File(payload=BytesIO(json.dumps({"name": name, "type": "A"}).encode()))


class Option(ErasureInput):
    """An option, though an erasure has none."""

    def to_dict(self) -> dict[str, Any]:
        return {"only": "resources"}


def call_every_operation(client: AuthenticatedClient, correlation_id: str) -> Iterator[Call]:
    """Call each operation with valid parameters, about an item that there is not."""
    body = make_body()
    yield "listResources", list_resources.sync_detailed(client=client, limit=2, x_correlation_id=correlation_id)
    yield "createResource", create_resource.sync_detailed(client=client, body=body, x_correlation_id=correlation_id)
    yield "getResource", get_resource.sync_detailed(UNKNOWN, client=client, x_correlation_id=correlation_id)
    yield (
        "updateResource",
        update_resource.sync_detailed(UNKNOWN, client=client, body=body, x_correlation_id=correlation_id),
    )
    patch = ResourcePatch(name="New")
    yield (
        "patchResource",
        patch_resource.sync_detailed(UNKNOWN, client=client, body=patch, x_correlation_id=correlation_id),
    )
    yield "deleteResource", delete_resource.sync_detailed(UNKNOWN, client=client, x_correlation_id=correlation_id)
    yield (
        "searchResources",
        search_resources.sync_detailed(client=client, q="first", limit=2, x_correlation_id=correlation_id),
    )
    yield "listAuditEntries", list_audit_entries.sync_detailed(client=client, limit=2, x_correlation_id=correlation_id)
    yield "startImport", start_import.sync_detailed(client=client, body=make_file(), x_correlation_id=correlation_id)
    yield "getImport", get_import.sync_detailed(UNKNOWN, client=client, x_correlation_id=correlation_id)
    yield "cancelImport", cancel_import.sync_detailed(UNKNOWN, client=client, x_correlation_id=correlation_id)
    yield "startErasure", start_erasure.sync_detailed(client=client, x_correlation_id=correlation_id)
    yield "getErasure", get_erasure.sync_detailed(UNKNOWN, client=client, x_correlation_id=correlation_id)


def call_live(url: str, tokens: dict[str, str]) -> Iterator[Call]:
    client = connect(url, tokens["all"])
    created = create_resource.sync_detailed(client=client, body=make_body(), idempotency_key="one")
    resource = created.parsed
    assert isinstance(resource, Resource)
    assert resource.metadata
    assert resource.metadata["colour"] == "blue"
    tag = created.headers["ETag"]
    yield "createResource", created
    yield "createResource", create_resource.sync_detailed(client=client, body=make_body("x"), idempotency_key="one")
    page = list_resources.sync_detailed(client=client, limit=1)
    assert isinstance(page.parsed, ResourcePage)
    assert [entry.id for entry in page.parsed.resources] == [resource.id]
    yield "listResources", page
    yield "listResources", list_resources.sync_detailed(client=client, limit=0)
    read = get_resource.sync_detailed(resource.id, client=client, if_match=tag)
    assert isinstance(read.parsed, Resource)
    assert read.parsed == resource
    yield "getResource", read
    yield "getResource", get_resource.sync_detailed(resource.id, client=client, if_none_match=tag)
    yield "getResource", get_resource.sync_detailed(resource.id, client=client, if_match='"other"')
    yield "getResource", get_resource.sync_detailed(resource.id, client=client, if_match="other")
    for body, if_match in ((make_body(""), tag), (make_body(), '"other"'), (make_body("New"), tag)):
        yield (
            "updateResource",
            update_resource.sync_detailed(resource.id, client=client, body=body, if_match=if_match),
        )
    tag = get_resource.sync_detailed(resource.id, client=client).headers["ETag"]
    for name, if_match in (("", tag), ("New", '"other"'), ("New", tag)):
        patched = patch_resource.sync_detailed(
            resource.id,
            client=client,
            body=ResourcePatch(name=name, type_=ResourcePatchType.B, metadata=None),
            if_match=if_match,
        )
        yield "patchResource", patched
    assert isinstance(patched.parsed, Resource)
    assert not patched.parsed.metadata
    large = make_body(metadata={"text": "x" * 410_000})
    yield "updateResource", update_resource.sync_detailed(resource.id, client=client, body=large)
    yield "createResource", create_resource.sync_detailed(client=client, body=large)
    yield "createResource", create_resource.sync_detailed(client=client, body=make_body("x" * 101))
    for if_none_match in ("other", "*", '"other"'):
        yield (
            "deleteResource",
            delete_resource.sync_detailed(resource.id, client=client, if_none_match=if_none_match),
        )
    yield "searchResources", search_resources.sync_detailed(client=client, q=" ")
    yield from call_records(client)
    # Nothing is found, nobody is known, no scope suffices, the headers are too long.
    yield from call_every_operation(client, "missing")
    yield from call_every_operation(connect(url, "garbage"), "unknown")
    yield from call_every_operation(connect(url, tokens["none"]), "forbidden")
    yield from call_every_operation(client, LONG)


def call_records(client: AuthenticatedClient) -> Iterator[Call]:
    trail = list_audit_entries.sync_detailed(client=client, limit=1)
    assert isinstance(trail.parsed, AuditPage)
    yield "listAuditEntries", trail
    yield "listAuditEntries", list_audit_entries.sync_detailed(client=client, limit=0)
    started = start_import.sync_detailed(client=client, body=make_file(), idempotency_key="file")
    assert isinstance(started.parsed, Import)
    yield "startImport", started
    yield "startImport", start_import.sync_detailed(client=client, body=make_file("x"), idempotency_key="file")
    yield "startImport", start_import.sync_detailed(client=client, body=make_file(), upload=True)
    read = get_import.sync_detailed(started.parsed.id, client=client)
    assert isinstance(read.parsed, Import)
    assert read.parsed.id == started.parsed.id
    yield "getImport", read
    yield "cancelImport", cancel_import.sync_detailed(started.parsed.id, client=client)
    erasure = start_erasure.sync_detailed(client=client, body=ErasureInput())
    assert isinstance(erasure.parsed, Erasure)
    yield "startErasure", erasure
    yield "startErasure", start_erasure.sync_detailed(client=client, body=Option())
    receipt = get_erasure.sync_detailed(erasure.parsed.id, client=client)
    assert isinstance(receipt.parsed, Erasure)
    assert receipt.parsed.requested_at == erasure.parsed.requested_at
    yield "getErasure", receipt


def connect(url: str, token: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=url, token=token, httpx_args={"trust_env": False})


def describe(operation: str, response: Response[Any]) -> dict[str, Any]:
    parsed: Body = response.parsed
    body = None if parsed is None else parsed.to_dict()
    kind = None if parsed is None else type(parsed).__name__
    return {"operation": operation, "status": int(response.status_code), "model": kind, "body": body}


def main() -> None:
    request = json.load(sys.stdin)
    calls = list(call_live(request["url"], request["tokens"])) if "tokens" in request else []
    for status in request.get("statuses", []):
        calls += call_every_operation(connect(request["url"], "token"), str(status))
    json.dump([describe(*call) for call in calls], sys.stdout)


main()
