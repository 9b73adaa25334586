"""GET /api/v1/erasures/{id}: returns the receipt of an erasure."""

from records import erasures
from serverless_api import Request, Response, endpoint


@endpoint(scope="erase:self")
def handler(request: Request) -> Response:
    erasure = erasures.get_erasure(request.caller, request.read_path_parameter("id"))
    return Response(200, erasure.to_document(), {"Cache-Control": "private, no-cache"})
