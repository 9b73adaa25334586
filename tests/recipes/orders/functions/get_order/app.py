"""GET /api/v1/orders/{id}: returns an order, unless the caller has its current version."""

from orders import orders
from serverless_api import Request, Response, endpoint


@endpoint(scope="read:orders")
def handler(request: Request) -> Response:
    preconditions = request.read_preconditions()
    order = orders.get(request.caller, request.read_path_parameter("id"), preconditions)
    headers = {"ETag": order.etag, "Cache-Control": "private, no-cache"}
    if preconditions.exclude(order.version):
        return Response(304, headers=headers)
    return Response(200, order.to_document(), headers)
