"""PUT /api/v1/resources/{id}: what the caller may change of a resource, replaced."""

import resources
from serverless_api.http.endpoint import endpoint
from serverless_api.http.request import Request
from serverless_api.http.response import Response


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    resource = resources.update_resource(
        request.caller.subject,
        request.read_path_parameter("id"),
        fields=request.read_body("ResourceInput"),
        versions=request.read_if_match(),
    )
    return Response(200, resource.to_document(), {"ETag": resource.etag})
