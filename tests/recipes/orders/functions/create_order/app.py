"""POST /api/v1/orders: creates an order, once per Idempotency-Key."""

from orders import orders
from serverless_api import Request, Response, endpoint


@endpoint(scope="write:orders")
def handler(request: Request) -> Response:
    order = orders.create(request.caller, request.read_body(orders.model), key=request.read_idempotency_key())
    return Response(201, order.to_document(), {"Location": f"/api/v1/orders/{order.id}", "ETag": order.etag})
