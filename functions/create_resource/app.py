"""POST /api/v1/resources: a new resource, once for each Idempotency-Key."""

from serverless_api import resources
from serverless_api.endpoint import endpoint
from serverless_api.requests import Request
from serverless_api.responses import Response


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    resource = resources.create_resource(
        request.caller.subject,
        fields=request.read_body("ResourceInput"),
        key=request.read_idempotency_key(),
    )
    headers = {"Location": f"/api/v1/resources/{resource.id}", "ETag": resource.etag}
    return Response(201, resource.to_document(), headers)
