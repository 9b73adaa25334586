"""A custom resource: requests to refresh the cache without the permission to do so get a 403.

CloudFormation has no property for this. API Gateway would ignore the request's `Cache-Control` and add a warning.

Source: «Custom resource request and response reference», AWS CloudFormation User Guide.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from records.clients import make_client
from serverless_api import KeptConnection, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

STRATEGY = "caching/unauthorizedCacheControlHeaderStrategy"

_client = make_client("apigateway")


def handler(event: Mapping[str, Any], context: "LambdaContext") -> None:
    status, reason = "SUCCESS", ""
    try:
        if event["RequestType"] != "Delete":
            reject_refreshes(event["ResourceProperties"])
    # Without an answer, CloudFormation waits for an hour.
    except Exception as error:
        logger.exception("The stage cannot be changed")
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    answer(event, status, reason, context.aws_request_id)


def reject_refreshes(properties: Mapping[str, Any]) -> None:
    paths = [path.replace("~", "~0").replace("/", "~1") for path in properties["Paths"]]
    operations = [{"op": "replace", "path": f"/{path}/GET/{STRATEGY}", "value": "FAIL_WITH_403"} for path in paths]
    _client.update_stage(restApiId=properties["ApiId"], stageName=properties["StageName"], patchOperations=operations)


def answer(event: Mapping[str, Any], status: str, reason: str, request_id: str) -> None:
    content = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    content |= {"Status": status, "Reason": reason or f"see request {request_id}", "PhysicalResourceId": "refreshes"}
    connection = KeptConnection(event["ResponseURL"], local_http=True)
    # The URL's signature covers an empty content type.
    headers = {"Host": connection.host, "Content-Type": ""}
    reply, _ = connection.fetch("PUT", headers, json.dumps(content).encode(), timeout=10)
    connection.close()
    if reply.status != 200:
        raise RuntimeError(f"CloudFormation's bucket answered {reply.status}")
