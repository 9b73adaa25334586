"""POST /api/v1/resources: creates a resource, once per Idempotency-Key."""

from resources import resources
from serverless_api import Request, Response, endpoint


@endpoint(scope="write:resources")
def handler(request: Request) -> Response:
    fields = request.read_body(resources.model)
    resource = resources.create(request.caller, fields, key=request.read_idempotency_key())
    headers = {"Location": f"/api/v1/resources/{resource.id}", "ETag": resource.etag}
    return Response(201, resource.to_document(), headers)
