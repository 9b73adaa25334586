"""GET /api/v1/resources/{id}: a resource, unless the caller has this version of it already."""

import resources
from serverless_api.http.endpoint import endpoint
from serverless_api.http.request import Request
from serverless_api.http.response import Response


@endpoint(scope="read:resources")
def handler(request: Request) -> Response:
    resource = resources.get_resource(request.caller.subject, request.read_path_parameter("id"))
    headers = {"ETag": resource.etag, "Cache-Control": "private, no-cache"}
    if request.holds_version(resource.version):
        return Response(304, headers=headers)
    return Response(200, resource.to_document(), headers)
