"""DELETE /api/v1/resources/{id}: deletes a resource."""

from resources import resources
from serverless_api import Request, Response, endpoint


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    resources.delete(request.caller, request.read_path_parameter("id"), request.read_preconditions())
    return Response(204)
