"""GET /api/v1/resources: returns a page of the caller's resources, newest first."""

from resources import resources
from serverless_api import Request, Response, endpoint


@endpoint(scope="read:resources")
def handler(request: Request) -> Response:
    limit = request.read_limit(default=20, most=100)
    page = resources.list(
        request.caller,
        limit,
        after=request.read_query_parameter("nextToken"),
        sort=request.read_query_parameter("sort"),
        matching=request.read_query_parameters(resources.filters),
    )
    return Response(200, page.to_document("resources"), {"Cache-Control": "private, max-age=60"})
