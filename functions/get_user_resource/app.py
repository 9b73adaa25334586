"""GET /users/{subject}/resources/{id}: returns a resource of the user."""

from resources import resources
from serverless_api import Request, Response, internal_endpoint


@internal_endpoint
def handler(request: Request) -> Response:
    resource = resources.get(request.caller, request.read_path_parameter("id"))
    return Response(200, resource.to_document(), {"ETag": resource.etag})
