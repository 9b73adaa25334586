"""POST /api/v1/erasures: has everything erased that the caller has written."""

from records import erasures
from serverless_api import Request, Response, endpoint


@endpoint(scope="erase:self")
def handler(request: Request) -> Response:
    erasure = erasures.start_erasure(request.caller)
    return Response(202, erasure.to_document(), {"Location": f"/api/v1/erasures/{erasure.id}"})
