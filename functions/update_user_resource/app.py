"""PUT /users/{subject}/resources/{id}: replaces the fields of a resource of the user."""

from resources import resources
from serverless_api import Request, Response, internal_endpoint


@internal_endpoint
def handler(request: Request) -> Response:
    item_id, fields = request.read_path_parameter("id"), request.read_body(resources.model)
    resource = resources.update(request.caller, item_id, fields, request.read_preconditions())
    return Response(200, resource.to_document(), {"ETag": resource.etag})
