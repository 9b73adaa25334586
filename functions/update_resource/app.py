"""PUT /api/v1/resources/{id}: what the caller may change of a resource, replaced."""

from serverless_api import resources
from serverless_api.endpoint import endpoint
from serverless_api.requests import Request
from serverless_api.responses import Response


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    resource = resources.update_resource(
        request.caller.subject,
        request.read_path_parameter("id"),
        fields=request.read_body("ResourceInput"),
        versions=request.read_if_match(),
    )
    return Response(200, resource.to_document(), {"ETag": resource.etag})
