"""HTTP API gateway as an ASGI application: routing, throttling, authorization, invocation and the response.

Source: "API Gateway HTTP APIs" (API Gateway Developer Guide).
"""

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote

from local_engine.functions.invocation import ConcurrencyExceeded, FunctionError, FunctionUnavailable, Invocation
from local_engine.functions.pool import FunctionPool
from local_engine.gateway.access_log import RequestRecord
from local_engine.gateway.authorizer import Authorization, Forbidden, JwtAuthorizer, Unauthorized
from local_engine.gateway.cors import Cors
from local_engine.gateway.events import InvalidResponse, Request, Response, build_event, read_response
from local_engine.gateway.request_limits import (
    CLOSE,
    MAX_BODY,
    Receive,
    Rejection,
    Scope,
    Send,
    check_head,
    find_header,
    read_body,
)
from local_engine.gateway.routes import Match, Route, RouteTable, read_routes
from local_engine.gateway.throttling import Throttle
from local_engine.observer import Observer
from local_engine.template.errors import TemplateError
from local_engine.template.intrinsics import REFUSAL
from local_engine.template.stack import HttpApi

MAX_EVENT = 6 * 1024 * 1024
"""Most bytes that Lambda accepts."""
_IDENTITY_SOURCE = re.compile(r"\$request\.(header|querystring)\.(.+)")


class HttpApiGateway:
    """Serves one HTTP API."""

    def __init__(
        self,
        api: HttpApi,
        functions: Mapping[str, FunctionPool],
        refused_functions: Mapping[str, str],
        observer: Observer,
    ) -> None:
        """Read the API's routes. One that the engine does not serve as AWS would has a `refusal`.

        Args:
            api: the API.
            functions: by their names.
            refused_functions: by name, a sentence for each function that cannot run.
            observer: told of each request and fault.
        """
        self._api = api
        self._functions = functions
        self._observer = observer
        self._refused_functions = refused_functions
        self._authorizers: dict[str, _Authorizer] = {}
        self._table = RouteTable(map(self._check_route, read_routes(api.document)))
        self._throttle = Throttle(api.throttling, api.route_throttling)
        self._cors = Cors(api.cors) if api.cors else None
        self._prefix = "" if api.stage == "$default" else f"/{api.stage}"

    @property
    def routes(self) -> Sequence[Route]:
        """The API's routes, in order of precedence."""
        return self._table.routes

    def _check_route(self, route: Route) -> Route:
        """Return the route, with a refusal if the engine cannot serve it."""
        try:
            if self._api.refusal:
                raise TemplateError(f"API {self._api.logical_id} cannot be served: {self._api.refusal}")
            if route.refusal:
                return route
            if route.function_name not in self._functions:
                unknown = f"Route {route.key} invokes {route.function_name}, which is not a function of the template."
                raise TemplateError(self._refused_functions.get(route.function_name, unknown))
            if route.authorizer is not None and route.authorizer not in self._authorizers:
                self._authorizers[route.authorizer] = _Authorizer(route.authorizer, self._api.document)
        except TemplateError as error:
            return replace(route, refusal=str(error))
        return route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        started = time.monotonic()
        request_id = base64.b64encode(os.urandom(11)).decode("ascii")
        record = RequestRecord(self._api, request_id, scope["method"], scope["raw_path"].decode("latin-1"))
        origin = find_header(scope["headers"], b"origin")
        try:
            response = await self._answer(scope, receive, record, origin)
        except Rejection as rejection:
            response = rejection.response
            record.error = str(rejection)
            # A client that waits for `100 Continue` may send its body or not, so the next request starts nowhere.
            if find_header(scope["headers"], b"expect") is not None:
                response.headers.append(CLOSE)
        headers = [pair for pair in response.headers if pair[0] != b"apigw-requestid"]
        if self._cors is not None:
            headers = [pair for pair in headers if not pair[0].startswith(b"access-control-")]
            if origin is not None and not is_preflight(scope, origin):
                headers += self._cors.response_headers(origin)
            elif origin is not None:
                headers += self._cors.preflight_headers(origin)
        headers.append((b"apigw-requestid", request_id.encode()))
        if response.status not in (204, 304):
            headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        milliseconds = (time.monotonic() - started) * 1000
        self._observer.request_answered(record.answered(response.status, milliseconds, len(response.body)))

    async def _answer(self, scope: Scope, receive: Receive, record: RequestRecord, origin: str | None) -> Response:
        request = record.request = read_request(scope, record)
        check_head(request)
        if self._cors is not None and is_preflight(scope, origin):
            return Response(204, [], b"")
        match = self._match(request)
        route = record.route = match.route
        if route.refusal:
            raise Rejection(501, route.refusal)
        record.function = self._functions[route.function_name].function.logical_id
        if not self._throttle.admits(route.key):
            raise Rejection(429, "Too Many Requests")
        authorizer = await self._authorize(route, request, record)
        body = await read_body(request.headers, receive, MAX_BODY)
        if body is None:
            raise Rejection(413, "Request Entity Too Large", [CLOSE])
        request = record.request = replace(request, body=body)
        event = build_event(
            request,
            api_id=self._api.id,
            stage=self._api.stage,
            route_key=route.key,
            path_parameters={name: unquote(value) for name, value in match.path_parameters.items()},
            authorizer=authorizer,
        )
        encoded = json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(encoded) > MAX_EVENT:
            raise Rejection(413, "Request Entity Too Large")
        return await self._invoke(route, encoded, record)

    def _match(self, request: Request) -> Match[Route]:
        path = request.raw_path
        if self._prefix:
            if path != self._prefix and not path.startswith(self._prefix + "/"):
                raise Rejection(404, "Not Found")
            path = path[len(self._prefix) :] or "/"
        match = self._table.match(request.method, path)
        if match is None:
            raise Rejection(404, "Not Found")
        return match

    async def _authorize(self, route: Route, request: Request, record: RequestRecord) -> dict[str, Any] | None:
        if route.authorizer is None:
            return None
        try:
            authorization = await self._authorizers[route.authorizer].authorize(request, route)
        except (Unauthorized, Forbidden) as error:
            record.authorizer_error = error.www_authenticate
            status, message = (401, "Unauthorized") if isinstance(error, Unauthorized) else (403, "Forbidden")
            raise Rejection(status, message, [_challenge(error.www_authenticate)]) from error
        record.claims = authorization.claims
        return {"jwt": {"claims": authorization.claims, "scopes": authorization.scopes}}

    async def _invoke(self, route: Route, event: bytes, record: RequestRecord) -> Response:
        pool = self._functions[route.function_name]
        started = time.monotonic()
        # As in AWS, the function goes on after the gateway has given up.
        invocation = asyncio.create_task(pool.invoke(event, qualifier=route.qualifier))
        done, _ = await asyncio.wait((invocation,), timeout=None if pool.is_debugged else route.timeout)
        record.waited = (time.monotonic() - started) * 1000
        if not done:
            self._find_fault(record, f"No answer within the gateway's {route.timeout:g} s.")
            invocation.add_done_callback(retrieve)
            raise Rejection(503, "Service Unavailable")
        try:
            result = invocation.result()
            record.start = "cold" if result.cold else "warm"
            response = read_response(result.payload)
        except InvalidResponse as error:
            self._find_fault(record, f"The function's response is not valid: {error}.")
        except FunctionUnavailable as error:
            self._find_fault(record, str(error))
            raise Rejection(501, str(error)) from error
        except FunctionError as error:
            self._find_fault(record, str(error))
        except ConcurrencyExceeded as error:
            self._find_fault(record, str(error))
            raise Rejection(503, "Service Unavailable") from error
        else:
            record.function_status = response.status
            return response
        raise Rejection(500, "Internal Server Error")

    def _find_fault(self, record: RequestRecord, text: str) -> None:
        record.integration_error = text.partition("\n")[0]
        self._observer.fault_found(record.function, text)


class _Authorizer:
    """A JWT authorizer with its identity source."""

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        scheme: Any = document
        for key in ("components", "securitySchemes", name):
            scheme = scheme.get(key) if isinstance(scheme, dict) else None
        settings = scheme.get("x-amazon-apigateway-authorizer") if isinstance(scheme, dict) else None
        match settings:
            case {"type": "jwt", "jwtConfiguration": {"issuer": str(issuer), "audience": str() | list() as audience}}:
                audience = [audience] if isinstance(audience, str) else audience
            case _:
                reason = f" ({scheme[REFUSAL]})" if isinstance(scheme, dict) and REFUSAL in scheme else ""
                raise TemplateError(
                    f"Authorizer {name} is not a JWT authorizer with issuer and audience, the only kind served here"
                    f"{reason}."
                )
        if not audience or not all(isinstance(entry, str) and entry for entry in audience):
            raise TemplateError(f"Authorizer {name} accepts no audience: its audience is {audience!r}.")
        self._authorizer = JwtAuthorizer(issuer, audience)
        source = scheme["x-amazon-apigateway-authorizer"].get("identitySource", "$request.header.Authorization")
        source = source[0] if isinstance(source, list) and source else source
        place = _IDENTITY_SOURCE.fullmatch(source) if isinstance(source, str) else None
        if place is None:
            raise TemplateError(
                f"The identity source of authorizer {name} is {source!r}; "
                "it must be like $request.header.Authorization."
            )
        self._place, self._name = place.groups()

    async def authorize(self, request: Request, route: Route) -> Authorization:
        """Check a request's token, as `JwtAuthorizer.authorize`."""
        return await self._authorizer.authorize(self._find_token(request), route.scopes)

    def _find_token(self, request: Request) -> str | None:
        if self._place == "querystring":
            values = parse_qs(request.query).get(self._name)
            return values[0] if values else None
        # Headers of one name are joined by commas, so a second Authorization header makes the token invalid.
        found = [value for name, value in request.headers if name == self._name.lower().encode()]
        return b",".join(found).decode("latin-1") if found else None


def read_request(scope: Scope, record: RequestRecord) -> Request:
    """Return a request without its body."""
    host = find_header(scope["headers"], b"host")
    return Request(
        id=record.id,
        method=record.method,
        raw_path=record.path,
        query=scope["query_string"].decode("latin-1"),
        headers=scope["headers"],
        body=b"",
        source_ip=scope["client"][0],
        scheme=scope["scheme"],
        host="{}:{}".format(*scope["server"]) if host is None else host,
        http_version=scope["http_version"],
        received_at=record.received_at,
    )


def is_preflight(scope: Scope, origin: str | None) -> bool:
    """Return whether a browser asks in advance if it may send a request ("CORS-preflight request", Fetch Standard)."""
    return (
        scope["method"] == "OPTIONS"
        and origin is not None
        and find_header(scope["headers"], b"access-control-request-method") is not None
    )


def _challenge(www_authenticate: str) -> tuple[bytes, bytes]:
    return b"www-authenticate", www_authenticate.encode("latin-1", "replace")


def retrieve(invocation: "asyncio.Task[Invocation]") -> None:
    """Take the result of an invocation that the gateway has given up."""
    # No one awaits the result, and asyncio complains about an exception that is never retrieved.
    if not invocation.cancelled():
        invocation.exception()
