"""GET /api/v1/resources/{id}: returns a resource, unless the caller has its current version."""

from resources import resources
from serverless_api import Request, Response, endpoint


@endpoint(scope="read:resources")
def handler(request: Request) -> Response:
    preconditions = request.read_preconditions()
    resource = resources.get(request.caller, request.read_path_parameter("id"), preconditions)
    headers = {"ETag": resource.etag, "Cache-Control": "private, no-cache"}
    if preconditions.exclude(resource.version):
        return Response(304, headers=headers)
    return Response(200, resource.to_document(), headers)
