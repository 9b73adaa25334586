"""GET /users/{subject}/resources: returns a page of the user's resources, newest first."""

from resources import resources
from serverless_api import Request, Response, internal_endpoint


@internal_endpoint
def handler(request: Request) -> Response:
    limit = request.read_limit(default=20, most=100)
    page = resources.list(request.caller, limit, after=request.read_query_parameter("nextToken"))
    return Response(200, page.to_document("resources"))
