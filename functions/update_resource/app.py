"""PUT /api/v1/resources/{id}: replaces the fields of a resource."""

from resources import resources
from serverless_api import Request, Response, endpoint


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    item_id, fields = request.read_path_parameter("id"), request.read_body(resources.model)
    resource = resources.update(request.caller, item_id, fields, request.read_preconditions())
    return Response(200, resource.to_document(), {"ETag": resource.etag})
