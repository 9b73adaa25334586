"""GET /api/v1/search: returns the caller's resources that are nearest in meaning to a text, best first."""

from decimal import Decimal

from intelligence.search import find_items, read_query
from resources import resources
from serverless_api import Request, Response, endpoint


@endpoint(scope="read:resources")
def handler(request: Request) -> Response:
    query = read_query(resources, request)
    limit = request.read_limit(default=10, most=50)
    matches = find_items(resources, request.caller, query.text, limit=limit, filters=query.filters)
    results = [{"resource": match.entity.to_document(), "score": Decimal(str(match.score))} for match in matches]
    return Response(200, {"results": results, "count": len(results)})
