"""POST /api/v1/imports: starts an import of the body's lines, or of a file that the caller uploads."""

from records.imports import MEDIA_TYPES, start_import
from serverless_api import BadRequest, Problem, Request, Response, endpoint


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    content = request.read_content(MEDIA_TYPES)
    is_upload = request.read_flag("upload")
    if is_upload == bool(content):
        problem = "must be empty if upload is true" if is_upload else "is empty"
        raise BadRequest("The request is not valid", [Problem("body", problem)])
    document = start_import(request.caller, None if is_upload else content, key=request.read_idempotency_key())
    return Response(202, document, {"Location": f"/api/v1/imports/{document['id']}"})
