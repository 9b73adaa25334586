"""The part of API Gateway's management API that the engine serves: FlushStageCache.

As with Lambda's Invoke API, no web page can call it: a request needs the `Authorization` header of AWS's SDKs and has
no `Origin`. The signature is not verified.

Source: "FlushStageCache" (API Gateway REST API Reference).
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from local_engine.rest_api.response_cache import ResponseCache

API_GATEWAY_PATH = "/_local/apigateway"
_SIGNATURE = "AWS4-HMAC-SHA256 "


type StageCaches = Mapping[str, Mapping[str, ResponseCache]]
"""By API ID and stage."""


def create_management_api(caches: StageCaches) -> Router:
    """Return the API as an ASGI application.

    Args:
        caches: those of the stack as it is served, which may change.
    """

    async def flush(request: Request) -> Response:
        if not request.headers.get("authorization", "").startswith(_SIGNATURE) or "origin" in request.headers:
            return _refuse(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        cache = caches.get(request.path_params["api"], {}).get(request.path_params["stage"])
        if cache is None:
            return _refuse(404, "NotFoundException", "Invalid stage identifier specified")
        cache.flush()
        return Response(status_code=202)

    async def refuse(_: Request) -> Response:
        return _refuse(501, "UnknownOperationException", "The local engine serves FlushStageCache alone.")

    return Router(
        [
            Route("/restapis/{api}/stages/{stage}/cache/data", flush, methods=["DELETE"]),
            Route("/{path:path}", refuse, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]
    )


def _refuse(status: int, error_type: str, message: str) -> Response:
    return JSONResponse({"message": message}, status, {"x-amzn-errortype": error_type})
