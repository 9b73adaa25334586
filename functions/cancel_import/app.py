"""DELETE /api/v1/imports/{id}: stops an import and deletes it; what it has created stays."""

from records.imports import delete_import
from serverless_api import Request, Response, endpoint


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    delete_import(request.caller, request.read_path_parameter("id"))
    return Response(204)
