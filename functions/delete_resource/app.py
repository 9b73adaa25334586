"""DELETE /api/v1/resources/{id}: a resource, gone."""

import resources
from serverless_api.http.endpoint import endpoint
from serverless_api.http.request import Request
from serverless_api.http.response import Response


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    resources.delete_resource(
        request.caller.subject,
        request.read_path_parameter("id"),
        versions=request.read_if_match(),
    )
    return Response(204)
