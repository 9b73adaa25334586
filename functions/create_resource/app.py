"""POST /api/v1/resources: a new resource, once for each Idempotency-Key."""

import resources
from serverless_api.http.endpoint import endpoint
from serverless_api.http.request import Request
from serverless_api.http.response import Response


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    resource = resources.create_resource(
        request.caller.subject,
        fields=request.read_body("ResourceInput"),
        key=request.read_idempotency_key(),
    )
    headers = {"Location": f"/api/v1/resources/{resource.id}", "ETag": resource.etag}
    return Response(201, resource.to_document(), headers)
