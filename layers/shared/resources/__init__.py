"""The resources of a user, enriched by an optional external service."""

from collections.abc import Mapping
from typing import Any

from resources.settings import ENRICHMENT_URL
from serverless_api import Collection, Entity, JSONText

if ENRICHMENT_URL:
    # Loaded at the cold start, and only if configured: the circuit's store takes half a second to import.
    from resources.enrichment import request_enrichment


class _Resources(Collection):
    """Resources: `name`, `type` and free-form `metadata`.

    The enrichment is stored as a separate attribute and appears in the document as `metadata.enrichment`.
    """

    derived = ("enrichment",)
    reads_before_update = bool(ENRICHMENT_URL)

    def prepare(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Drop a caller's own `metadata.enrichment`, which would pass for the service's."""
        if not ENRICHMENT_URL or "metadata" not in fields:
            return fields
        metadata = {name: value for name, value in fields["metadata"].items() if name != "enrichment"}
        return {**fields, "metadata": metadata}

    def derive(self, draft: Entity) -> Mapping[str, JSONText]:
        """Return the enrichment, if a service is configured and answers."""
        if not ENRICHMENT_URL:
            return {}
        enrichment = request_enrichment(draft.to_document(), key=draft.version)  # pyright: ignore[reportPossiblyUnboundVariable]
        return {} if enrichment is None else {"enrichment": enrichment}

    def show(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields, with the enrichment as part of the metadata."""
        document = super().show(attributes)
        enrichment = document.pop("enrichment", None)
        if enrichment is not None:
            members = document.get("metadata", "{}")[1:-1]
            document["metadata"] = JSONText(f'{{{members}{"," if members else ""}"enrichment":{enrichment}}}')
        return document


resources = _Resources("resource", model="ResourceInput", filters=("type",), sorts_by_update=True)
