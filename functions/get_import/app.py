"""GET /api/v1/imports/{id}: returns the state of an import, its counts and its first faulty lines."""

from records.imports import get_import
from serverless_api import Request, Response, endpoint


@endpoint(scope="read:resources")
def handler(request: Request) -> Response:
    return Response(200, get_import(request.caller, request.read_path_parameter("id")))
