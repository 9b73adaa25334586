"""POST /api/v1/erasures: has everything erased that the caller has written."""

from records.erasures import start_erasure
from serverless_api import Request, Response, endpoint


@endpoint(scope="erase:self")
def handler(request: Request) -> Response:
    # A client that sends options expects less than everything to be erased.
    if request.event.get("body"):
        request.read_body("ErasureInput")
    erasure = start_erasure(request.caller)
    return Response(202, erasure.to_document(), {"Location": f"/api/v1/erasures/{erasure.id}"})
