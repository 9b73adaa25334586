"""POST /users/{subject}/resources: creates a resource for the user, once per Idempotency-Key."""

from resources import resources
from serverless_api import Request, Response, internal_endpoint


@internal_endpoint
def handler(request: Request) -> Response:
    fields = request.read_body(resources.model)
    resource = resources.create(request.caller, fields, key=request.read_idempotency_key())
    # Relative to the request's URL, which begins with the stage or with a custom domain's path.
    headers = {"Location": f"resources/{resource.id}", "ETag": resource.etag}
    return Response(201, resource.to_document(), headers)
