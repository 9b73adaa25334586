"""The part of API Gateway's management API that the engine serves.

FlushStageCache, and UpdateStage for what a request to refresh a cache entry without permission gets: a template cannot
set that.

As with Lambda's Invoke API, no web page can call it: a request needs the `Authorization` header of AWS's SDKs and has
no `Origin`. The signature is not verified.

Source: "FlushStageCache" and "UpdateStage" (API Gateway REST API Reference).
"""

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from local_engine.rest_api.response_cache import STRATEGIES, ResponseCache

API_GATEWAY_PATH = "/_local/apigateway"
_SIGNATURE = "AWS4-HMAC-SHA256 "
_STRATEGY_PATH = re.compile(r"/([^/]+)/([A-Z]+)/caching/unauthorizedCacheControlHeaderStrategy")


type StageCaches = Mapping[str, Mapping[str, ResponseCache]]
"""By API ID and stage."""


def create_management_api(caches: StageCaches) -> Router:
    """Return the API as an ASGI application.

    Args:
        caches: those of the stack as it is served, which may change.
    """

    def find_cache(request: Request) -> ResponseCache | Response:
        if not request.headers.get("authorization", "").startswith(_SIGNATURE) or "origin" in request.headers:
            return _refuse(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        cache = caches.get(request.path_params["api"], {}).get(request.path_params["stage"])
        return cache or _refuse(404, "NotFoundException", "Invalid stage identifier specified")

    async def flush(request: Request) -> Response:
        cache = find_cache(request)
        if isinstance(cache, Response):
            return cache
        cache.flush()
        return Response(status_code=202)

    async def update(request: Request) -> Response:
        cache = find_cache(request)
        if isinstance(cache, Response):
            return cache
        try:
            strategies = dict(map(_read_operation, (await request.json())["patchOperations"]))
        except (ValueError, TypeError, LookupError, AttributeError):
            return _refuse(400, "BadRequestException", "Invalid patch path")
        cache.strategies.update(strategies)
        return JSONResponse({"stageName": request.path_params["stage"]})

    async def refuse(_: Request) -> Response:
        return _refuse(
            501, "UnknownOperationException", "The local engine serves FlushStageCache and UpdateStage alone."
        )

    return Router(
        [
            Route("/restapis/{api}/stages/{stage}/cache/data", flush, methods=["DELETE"]),
            Route("/restapis/{api}/stages/{stage}", update, methods=["PATCH"]),
            Route("/{path:path}", refuse, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]
    )


def _read_operation(operation: Mapping[str, str]) -> tuple[tuple[str, str], str]:
    """Return path and method of a change, and the strategy that it sets."""
    found = _STRATEGY_PATH.fullmatch(operation["path"])
    if found is None or operation["op"] != "replace" or operation["value"] not in STRATEGIES:
        raise ValueError(operation)
    path, method = found.groups()
    return (path.replace("~1", "/").replace("~0", "~"), method), operation["value"]


def _refuse(status: int, error_type: str, message: str) -> Response:
    return JSONResponse({"message": message}, status, {"x-amzn-errortype": error_type})
