"""GET /api/v1/erasures/{id}: returns the receipt of an erasure."""

from records.erasures import get_erasure
from serverless_api import Request, Response, endpoint


@endpoint(scope="erase:self")
def handler(request: Request) -> Response:
    erasure = get_erasure(request.caller, request.read_path_parameter("id"))
    return Response(200, erasure.to_document(), {"Cache-Control": "private, no-cache"})
