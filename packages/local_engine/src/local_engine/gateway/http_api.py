"""An HTTP API's gateway as an ASGI application: routes, throttles, authorizes, invokes, answers.

Source: "API Gateway HTTP APIs" and "Quotas for configuring and running an HTTP API" (API Gateway Developer Guide).
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from local_engine.cloudwatch.publishers import ApiMetrics
from local_engine.console import Console
from local_engine.functions.pool import ConcurrencyExceeded, FunctionError, FunctionPool, Invocation
from local_engine.gateway.authorizer import Forbidden, JwtAuthorizer, Unauthorized
from local_engine.gateway.cors import Cors
from local_engine.gateway.events import Headers, InvalidResponse, Request, Response, build_event, read_response
from local_engine.gateway.routes import Match, Route, RouteTable, UnservableRoute, read_routes
from local_engine.gateway.throttling import Throttle
from local_engine.template.stack import HttpApi, TemplateError

MAX_HEADERS = 10_240
"""Bytes of the request line and the header values together."""
MAX_BODY = 10 * 1024 * 1024
"""Bytes that the gateway accepts."""
MAX_EVENT = 6 * 1024 * 1024
"""Bytes that Lambda accepts."""
_JSON = (b"content-type", b"application/json")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]


class Rejection(Exception):
    """The gateway answers by itself, with an error."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        body = json.dumps({"message": message}, separators=(",", ":")).encode()
        self.response = Response(status, [_JSON, *(headers or [])], body)


@dataclass(slots=True)
class _Trace:
    """What the line about a request says beside the request itself."""

    function: str = ""
    start: str = ""
    route: Route | None = None
    waited: float | None = None
    """Milliseconds between the event to the function and its answer."""
    received: int = 0
    """Bytes of the request's body."""


class Gateway:
    """Serve one HTTP API."""

    def __init__(
        self, api: HttpApi, functions: Mapping[str, FunctionPool], console: Console, metrics: ApiMetrics
    ) -> None:
        """Read the API's routes; `functions` is by the functions' names.

        Raises:
            TemplateError: the API has something that the engine does not serve as the cloud would.
        """
        self._api = api
        self._functions = functions
        self._console = console
        self._metrics = metrics
        try:
            self.table = RouteTable(read_routes(api.document))
        except UnservableRoute as error:
            raise TemplateError(str(error)) from error
        for route in self.table.routes:
            if route.function_name not in functions:
                raise TemplateError(
                    f"Route {route.key} leads to function {route.function_name}, which has no Python runtime; "
                    "the local engine runs only Python."
                )
        self._authorizers = {
            route.authorizer: _Authorizer(route.authorizer, api.document)
            for route in self.table.routes
            if route.authorizer is not None
        }
        self._throttle = Throttle(api.throttling, api.route_throttling)
        self._cors = Cors(api.cors) if api.cors else None
        self._prefix = "" if api.stage == "$default" else f"/{api.stage}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        started = time.monotonic()
        request_id = base64.b64encode(os.urandom(11)).decode("ascii")
        trace = _Trace()
        origin = _find_header(scope["headers"], b"origin")
        try:
            response = await self._answer(scope, receive, request_id, trace, origin)
        except Rejection as rejection:
            response = rejection.response
        headers = [pair for pair in response.headers if pair[0] != b"apigw-requestid"]
        if self._cors is not None:
            headers = [pair for pair in headers if not pair[0].startswith(b"access-control-")]
            if origin is not None and not _is_preflight(scope, origin):
                headers += self._cors.response_headers(origin)
            elif origin is not None:
                headers += self._cors.preflight_headers(origin)
        headers.append((b"apigw-requestid", request_id.encode()))
        if response.status not in (204, 304):
            headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        milliseconds = (time.monotonic() - started) * 1000
        self._metrics.publish(
            (trace.route.method, trace.route.path) if trace.route else None,
            status=response.status,
            latency=milliseconds,
            integration_latency=trace.waited,
            size=trace.received + len(response.body),
        )
        self._console.show_request(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            status=response.status,
            milliseconds=milliseconds,
            function=trace.function,
            start=trace.start,
            request_id=request_id,
        )

    async def _answer(
        self, scope: Scope, receive: Receive, request_id: str, trace: _Trace, origin: str | None
    ) -> Response:
        body = await read_body(receive, MAX_BODY)
        trace.received = len(body or b"")
        request = _read_request(scope, body or b"", request_id)
        _check_head(request)
        if self._cors is not None and _is_preflight(scope, origin):
            return Response(204, [], b"")
        match = self._match(request)
        route = trace.route = match.route
        trace.function = self._functions[route.function_name].function.logical_id
        if not self._throttle.admits(route.key):
            raise Rejection(429, "Too Many Requests")
        authorizer = await self._authorize(route, request)
        if body is None:
            raise Rejection(413, "Request Entity Too Large")
        event = build_event(
            request,
            api_id=self._api.logical_id,
            stage=self._api.stage,
            route_key=route.key,
            path_parameters=match.path_parameters,
            authorizer=authorizer,
        )
        encoded = json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(encoded) > MAX_EVENT:
            raise Rejection(413, "Request Entity Too Large")
        return await self._invoke(route, encoded, trace)

    def _match(self, request: Request) -> Match:
        path = request.raw_path
        if self._prefix:
            if path != self._prefix and not path.startswith(self._prefix + "/"):
                raise Rejection(404, "Not Found")
            path = path[len(self._prefix) :] or "/"
        match = self.table.match(request.method, path)
        if match is None:
            raise Rejection(404, "Not Found")
        return match

    async def _authorize(self, route: Route, request: Request) -> dict[str, Any] | None:
        if route.authorizer is None:
            return None
        try:
            return await self._authorizers[route.authorizer].authorize(request, route)
        except Unauthorized as error:
            raise Rejection(401, "Unauthorized", [_challenge(error.www_authenticate)]) from error
        except Forbidden as error:
            raise Rejection(403, "Forbidden", [_challenge(error.www_authenticate)]) from error

    async def _invoke(self, route: Route, event: bytes, trace: _Trace) -> Response:
        # The function goes on after the gateway has given up, as in Lambda.
        started = time.monotonic()
        invocation = asyncio.create_task(self._functions[route.function_name].invoke(event, qualifier=route.qualifier))
        done, _ = await asyncio.wait((invocation,), timeout=route.timeout)
        trace.waited = (time.monotonic() - started) * 1000
        if not done:
            self._console.show_error(trace.function, f"No answer within the gateway's {route.timeout:g} s.")
            invocation.add_done_callback(_retrieve)
            raise Rejection(503, "Service Unavailable")
        try:
            result = invocation.result()
            trace.start = "cold" if result.cold else "warm"
            return read_response(result.payload)
        except InvalidResponse as error:
            self._console.show_error(trace.function, f"The function's response is not valid: {error}.")
        except FunctionError as error:
            self._console.show_error(trace.function, str(error))
        except ConcurrencyExceeded as error:
            self._console.show_error(trace.function, str(error))
            raise Rejection(503, "Service Unavailable") from error
        raise Rejection(500, "Internal Server Error")


class _Authorizer:
    """A JWT authorizer with the place in the request where its token is."""

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        scheme = ((document.get("components") or {}).get("securitySchemes") or {}).get(name) or {}
        settings = scheme.get("x-amazon-apigateway-authorizer") or {}
        match settings:
            case {"type": "jwt", "jwtConfiguration": {"issuer": str(issuer), "audience": audience}}:
                self._authorizer = JwtAuthorizer(issuer, [audience] if isinstance(audience, str) else audience)
            case _:
                raise TemplateError(
                    f"Authorizer {name} is no JWT authorizer with issuer and audience; the local engine has no other."
                )
        source = settings.get("identitySource", "$request.header.Authorization")
        _, self._place, self._name = str(source[0] if isinstance(source, list) else source).split(".", 2)

    async def authorize(self, request: Request, route: Route) -> dict[str, Any]:
        """Return `requestContext.authorizer`."""
        authorization = await self._authorizer.authorize(self._find_token(request), route.scopes)
        return {"jwt": {"claims": authorization.claims, "scopes": authorization.scopes}}

    def _find_token(self, request: Request) -> str | None:
        if self._place == "querystring":
            values = parse_qs(request.query).get(self._name)
            return values[0] if values else None
        # Headers of one name are joined by commas, so that a second Authorization leaves no token that holds.
        found = [value for name, value in request.headers if name == self._name.lower().encode()]
        return b",".join(found).decode("latin-1") if found else None


def _read_request(scope: Scope, body: bytes, request_id: str) -> Request:
    host = _find_header(scope["headers"], b"host")
    return Request(
        id=request_id,
        method=scope["method"],
        raw_path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=scope["headers"],
        body=body,
        source_ip=scope["client"][0],
        scheme=scope["scheme"],
        host=host or "{}:{}".format(*scope["server"]),
        http_version=scope["http_version"],
        received_at=time.time(),
    )


def _check_head(request: Request) -> None:
    line = len(request.method) + len(request.raw_path) + len(request.query) + len(" ? HTTP/1.1\r\n")
    if line + sum(len(value) for _, value in request.headers) > MAX_HEADERS:
        raise Rejection(431, "Request Header Fields Too Large")
    names = {name for name, _ in request.headers}
    # Two lengths for one body are how requests are smuggled; what follows is no request (RFC 9112 section 6.3).
    if b"content-length" in names and b"transfer-encoding" in names:
        raise Rejection(400, "Bad Request", [(b"connection", b"close")])


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """Return the body; None for one of more bytes than the limit, read to its end lest the client miss the answer.

    Raises:
        Rejection: the client has gone.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Rejection(400, "Bad Request")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
        if not message.get("more_body", False):
            return b"".join(chunks) if size <= limit else None


def _is_preflight(scope: Scope, origin: str | None) -> bool:
    return (
        scope["method"] == "OPTIONS"
        and origin is not None
        and _find_header(scope["headers"], b"access-control-request-method") is not None
    )


def _find_header(headers: Headers, name: bytes) -> str | None:
    for candidate, value in headers:
        if candidate == name:
            return value.decode("latin-1")
    return None


def _challenge(www_authenticate: str) -> tuple[bytes, bytes]:
    return b"www-authenticate", www_authenticate.encode("latin-1", "replace")


def _retrieve(invocation: "asyncio.Task[Invocation]") -> None:
    # Nobody waits for the outcome any more; asyncio complains about an exception that nobody looks at.
    if not invocation.cancelled():
        invocation.exception()
