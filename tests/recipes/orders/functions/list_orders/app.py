"""GET /api/v1/orders: returns a page of the caller's orders, newest first."""

from orders import orders
from serverless_api import Request, Response, endpoint


@endpoint(scope="read:orders")
def handler(request: Request) -> Response:
    limit = request.read_limit(default=20, most=100)
    page = orders.list(request.caller, limit, after=request.read_query_parameter("nextToken"))
    return Response(200, page.to_document("orders"), {"Cache-Control": "private, max-age=60"})
