"""DELETE /users/{subject}/resources/{id}: deletes a resource of the user."""

from resources import resources
from serverless_api import Request, Response, internal_endpoint


@internal_endpoint
def handler(request: Request) -> Response:
    resources.delete(request.caller, request.read_path_parameter("id"), request.read_preconditions())
    return Response(204)
