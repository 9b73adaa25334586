"""Event notifications of buckets in moto, to functions, queues, topics and EventBridge.

Sources: "Event message structure", "EventBridge event message structure" (Amazon S3 User Guide).
"""

import base64
import json
import secrets
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from moto.s3 import models, notifications, responses

from local_engine.account import ACCOUNT_ID
from local_engine.event_bus.rules import make_event
from local_engine.event_bus.targets import Delivery, Targets

_PRINCIPAL = "AWS:AIDAJDPLRKLG7UEXAMPLE"
_OWNER = "A3NL1KOZZKExample"
_CALLER = "127.0.0.1"
_operation: ContextVar[str] = ContextVar("operation", default="")
# What EventBridge calls the events, and the reasons that it gives.
_DETAIL_TYPES = {
    "ObjectCreated": "Object Created",
    "ObjectRemoved": "Object Deleted",
    "ObjectRestore": "Object Restore Initiated",
    "ObjectAcl": "Object ACL Updated",
    "ObjectTagging": "Object Tags Added",
}
_MORE_DETAIL_TYPES = {
    "ObjectRestore:Completed": "Object Restore Completed",
    "ObjectTagging:Delete": "Object Tags Deleted",
}
_REASONS = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
    "ObjectRemoved:Delete": "DeleteObject",
    "ObjectRemoved:DeleteMarkerCreated": "DeleteObject",
}


def install_bucket_events(targets: Targets) -> None:
    """Replace the events that moto makes, and who gets them."""

    def send_event(_account: str, name: Any, bucket: Any, key: Any) -> None:
        configuration = bucket.notification_configuration
        if configuration is None or _is_surplus(name):
            return
        # `s3:ObjectCreated:Put` is `ObjectCreated:Put` in events.
        short = str(name.value).removeprefix("s3:")
        source = f"bucket {bucket.name}"
        # Topics and queues are targets as those of rules are.
        for entry in (*configuration.cloud_function, *configuration.queue, *configuration.topic):
            if entry.matches(name.value, key.name):
                body = json.dumps({"Records": [_make_record(short, bucket, key, entry.id)]})
                targets.deliver(Delivery(source, {"Arn": entry.arn}, body, {}, body, {}))
        if configuration.event_bridge is not None:
            targets.put_on_bus("default", _make_bus_event(short, bucket, key))

    models.S3Backend.complete_multipart_upload = _entering(  # type: ignore[method-assign]
        "multipart", models.S3Backend.complete_multipart_upload
    )
    responses.S3Response.put_object_tagging = _entering(  # type: ignore[method-assign]
        "tagging", responses.S3Response.put_object_tagging
    )
    set_delete_marker = models.S3Backend._set_delete_marker  # noqa: SLF001

    def set_delete_marker_and_tell(backend: Any, bucket_name: str, key_name: str) -> Any:
        marker = set_delete_marker(backend, bucket_name, key_name)
        event = notifications.S3NotificationEvent.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT
        send_event(ACCOUNT_ID, event, backend.get_bucket(bucket_name), marker)
        return marker

    notifications.send_event = send_event  # type: ignore[assignment]
    # Otherwise this event is lost.
    models.S3Backend._set_delete_marker = set_delete_marker_and_tell  # type: ignore[assignment, method-assign]  # noqa: SLF001


def _is_surplus(name: Any) -> bool:
    """Return whether an event is of moto alone: a part of another one, which S3 does not send."""
    event = notifications.S3NotificationEvent
    if name == event.OBJECT_TAGGING_PUT_EVENT:
        return _operation.get() != "tagging"
    return name == event.OBJECT_CREATED_PUT_EVENT and _operation.get() == "multipart"


def _entering[**Parameters, Result](
    operation: str, function: Callable[Parameters, Result]
) -> Callable[Parameters, Result]:
    def enter(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        token = _operation.set(operation)
        try:
            return function(*arguments, **options)
        finally:
            _operation.reset(token)

    return enter


def _make_record(name: str, bucket: Any, key: Any, configuration_id: str) -> dict[str, Any]:
    request_id = secrets.token_hex(8).upper()
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region_name,
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": name,
        "userIdentity": {"principalId": _PRINCIPAL},
        "requestParameters": {"sourceIPAddress": _CALLER},
        "responseElements": {
            "x-amz-request-id": request_id,
            "x-amz-id-2": base64.b64encode(secrets.token_bytes(48)).decode(),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {"name": bucket.name, "ownerIdentity": {"principalId": _OWNER}, "arn": bucket.arn},
            "object": {"key": quote_plus(key.name, safe="/*"), **_describe_object(name, bucket, key, "versionId")},
        },
    }


def _make_bus_event(name: str, bucket: Any, key: Any) -> dict[str, Any]:
    group = name.partition(":")[0]
    detail: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {"key": key.name, **_describe_object(name, bucket, key, "version-id", "etag")},
        "request-id": secrets.token_hex(8).upper(),
        "requester": ACCOUNT_ID,
        "source-ip-address": _CALLER,
    }
    if reason := _REASONS.get(name):
        detail["reason"] = reason
    if group == "ObjectRemoved":
        is_marker = name.endswith("DeleteMarkerCreated")
        detail["deletion-type"] = "Delete Marker Created" if is_marker else "Permanently Deleted"
    detail_type = _MORE_DETAIL_TYPES.get(name) or _DETAIL_TYPES.get(group, name)
    time_text = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return make_event(detail_type, "aws.s3", [bucket.arn], detail, time_text)


def _describe_object(name: str, bucket: Any, key: Any, version: str, etag: str = "eTag") -> dict[str, Any]:
    described: dict[str, Any] = {}
    # What is gone has neither size nor entity tag.
    if not name.startswith("ObjectRemoved"):
        described = {"size": key.size, etag: key.etag.strip('"')}
    elif name.endswith("DeleteMarkerCreated"):
        described = {etag: "d41d8cd98f00b204e9800998ecf8427e"}
    if bucket.is_versioned:
        described[version] = key.version_id
    return {**described, "sequencer": f"{time.time_ns():018X}"}
