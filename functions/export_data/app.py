"""GET /api/v1/export: everything that the caller has, as newline-delimited JSON."""

from export import export
from serverless_api import Request, StreamedResponse, streaming_endpoint


@streaming_endpoint(scope="read:resources")
def handler(request: Request) -> StreamedResponse:
    headers = {"Content-Type": "application/x-ndjson", "Content-Disposition": 'attachment; filename="export.ndjson"'}
    return StreamedResponse(200, export(request.caller, request.read_query_parameter("from")), headers)
