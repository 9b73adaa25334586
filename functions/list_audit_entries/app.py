"""GET /api/v1/audit: returns a page of the caller's own audit trail, newest first."""

from records.trail import list_entries
from serverless_api import Request, Response, endpoint


@endpoint(scope="read:audit")
def handler(request: Request) -> Response:
    limit = request.read_limit(default=20, most=100)
    page = list_entries(request.caller, limit, after=request.read_query_parameter("nextToken"))
    return Response(200, page.to_document("entries"))
