"""Has the internal API's cache replace what a change has made stale."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import botocore.session
from aws_lambda_powertools.utilities.batch import EventType
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

from serverless_api import process_batch, report_event

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# A deleted resource's entry becomes the 404 that its readers get.
ANSWERS = (200, 404)

_session = botocore.session.get_session()
_connections = URLLib3Session(timeout=5)


def handler(event: Mapping[str, Any], context: "LambdaContext") -> Mapping[str, Any]:
    response = process_batch(event, context, refresh, EventType.SQS)
    report_event()
    return response


def refresh(record: "SQSRecord") -> None:
    """Read again, past the cache, what an event of the bus is about."""
    event = json.loads(record.body)
    signer = SigV4Auth(_session.get_credentials(), "execute-api", os.environ["AWS_REGION"])  # type: ignore[arg-type]
    for path in list_paths(event["detail-type"], event["detail"]):
        request = AWSRequest("GET", os.environ["INTERNAL_URL"] + path, headers={"Cache-Control": "max-age=0"})
        signer.add_auth(request)
        status = _connections.send(request.prepare()).status_code
        if status not in ANSWERS:
            raise RuntimeError(f"the internal API answered {status}")


def list_paths(kind: str, detail: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths whose responses an event makes stale: the owner's first page, and the resource."""
    owner = detail["owner"]
    # The API refuses such a subject, so no response about it is kept.
    if "/" in owner:
        return
    page = f"/users/{quote(owner, safe='')}/resources"
    yield page
    # An erasure is preceded by an event for each resource.
    if kind != "UserErased":
        yield f"{page}/{detail['id']}"
