"""GET /api/v1/resources: a page of the caller's resources, newest first."""

import resources
from serverless_api.http.endpoint import endpoint
from serverless_api.http.request import Request
from serverless_api.http.response import Response


@endpoint(scope="read:resources")
def handler(request: Request) -> Response:
    page = resources.list_resources(
        request.caller.subject,
        limit=request.read_limit(default=20, most=100),
        next_token=request.read_query_parameter("nextToken"),
    )
    body = {"resources": [resource.to_document() for resource in page.resources], "count": len(page.resources)}
    if page.next_token is not None:
        body["nextToken"] = page.next_token
    return Response(200, body, {"Cache-Control": "private, max-age=60"})
