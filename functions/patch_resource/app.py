"""PATCH /api/v1/resources/{id}: changes fields of a resource (JSON Merge Patch, RFC 7396)."""

from resources import resources
from serverless_api import Request, Response, endpoint


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    item_id, patch = request.read_path_parameter("id"), request.read_patch()
    resource = resources.patch(request.caller, item_id, patch, request.read_preconditions())
    return Response(200, resource.to_document(), {"ETag": resource.etag})
