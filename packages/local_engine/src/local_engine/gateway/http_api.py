"""HTTP API gateway as an ASGI application: routing, throttling, authorization, invocation and the response.

Source: "API Gateway HTTP APIs" (API Gateway Developer Guide).
"""

import base64
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote

from local_engine.functions.invocation import ConcurrencyExceeded, FunctionError, FunctionUnavailable
from local_engine.functions.pool import FunctionPool
from local_engine.gateway.access_log import RequestRecord
from local_engine.gateway.api_access import Authorizer
from local_engine.gateway.authorizer_factory import IdentityProviders, create_authorizers
from local_engine.gateway.cors import Cors, is_preflight
from local_engine.gateway.events import InvalidResponse, Request, Response, build_event, read_response
from local_engine.gateway.integration import (
    describe_failure,
    encode_event,
    invoke_within,
    read_request,
    report_fault,
    send_response,
)
from local_engine.gateway.proxy_payload import build_proxy_event, read_proxy_payload
from local_engine.gateway.request_limits import (
    CLOSE,
    MAX_BODY,
    AccessRefused,
    Receive,
    Rejection,
    Scope,
    Send,
    check_head,
    read_body,
)
from local_engine.gateway.response_stream import Late
from local_engine.gateway.routes import Match, Route, RouteTable, read_routes
from local_engine.gateway.throttling import Throttle
from local_engine.observer import Observer
from local_engine.template.errors import TemplateError
from local_engine.template.stack import HttpApi, Stack


class HttpApiGateway:
    """Serves one HTTP API."""

    def __init__(
        self,
        api: HttpApi,
        functions: Mapping[str, FunctionPool],
        stack: Stack,
        observer: Observer,
        providers: IdentityProviders,
    ) -> None:
        """Read the API's routes. One that the engine does not serve as AWS would has a `refusal`.

        Args:
            api: the API.
            functions: by their names.
            stack: its stack.
            observer: told of each request and fault.
            providers: who vouches for callers.
        """
        self._api = api
        self._functions = functions
        self._observer = observer
        self._refused_functions = stack.refused_functions
        self._authorizers = create_authorizers(api, stack, functions, observer, providers)
        self._table = RouteTable(map(self._check_route, read_routes(api.document, api.stage_variables)))
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
            if route.authorizer is not None:
                if route.authorizer not in self._authorizers:
                    raise TemplateError(
                        f"Route {route.key} has the authorizer {route.authorizer}, which is not declared."
                    )
                if refusal := self._authorizers[route.authorizer].refusal:
                    raise TemplateError(refusal)
        except TemplateError as error:
            return replace(route, refusal=str(error))
        return route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        started = time.monotonic()
        request_id = base64.b64encode(os.urandom(11)).decode("ascii")
        record = RequestRecord(self._api, request_id, scope["method"], scope["raw_path"].decode("latin-1"))
        try:
            response = await self._answer(scope, receive, record)
        except Rejection as rejection:
            rejection.end_connection(scope)
            response = rejection.response
            record.error = str(rejection)
        headers = [pair for pair in response.headers if pair[0] != b"apigw-requestid"]
        if self._cors is not None:
            headers = self._cors.replace_headers(headers, scope)
        sent = await send_response(response, [*headers, (b"apigw-requestid", request_id.encode())], send)
        milliseconds = (time.monotonic() - started) * 1000
        self._observer.request_answered(record.answered(response.status, milliseconds, sent))

    async def _answer(self, scope: Scope, receive: Receive, record: RequestRecord) -> Response:
        request = record.request = read_request(scope, record)
        check_head(request)
        if self._cors is not None and is_preflight(scope):
            return Response(204, [], b"")
        match = self._match(request)
        route = record.route = match.route
        if route.refusal:
            raise Rejection(501, route.refusal)
        record.function = self._functions[route.function_name].function.logical_id
        if not self._throttle.admits(route.key):
            raise Rejection(429, "Too Many Requests")
        authorizer = None if route.authorizer is None else self._authorizers[route.authorizer]
        caller: dict[str, Any] = {}
        if authorizer is not None and not authorizer.reads_body:
            caller = await self._authorize(authorizer, match, request, record)
        body = await read_body(request.headers, receive, MAX_BODY)
        if body is None:
            raise Rejection(413, "Request Entity Too Large", [CLOSE])
        request = record.request = replace(request, body=body)
        if authorizer is not None and authorizer.reads_body:
            caller = await self._authorize(authorizer, match, request, record)
        identity = None if authorizer is None else {authorizer.kind: caller}
        event = encode_event(self._build_event(route.payload_format, request, match, identity))
        if event is None:
            raise Rejection(413, "Request Entity Too Large")
        return await self._invoke(route, event, record)

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

    async def _authorize(
        self, authorizer: Authorizer, match: Match[Route], request: Request, record: RequestRecord
    ) -> dict[str, Any]:
        try:
            caller = await authorizer.authorize(
                request, match.route, partial(self._build_event, request=request, match=match)
            )
        except AccessRefused as error:
            record.authorizer_error = error.reason
            raise
        if authorizer.kind == "jwt":
            record.claims = caller["claims"]
        return caller

    def _build_event(
        self, payload_format: str, request: Request, match: Match[Route], authorizer: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        api, route = self._api, match.route
        path_parameters = {name: unquote(value) for name, value in match.path_parameters.items()}
        if payload_format == "1.0":
            return build_proxy_event(request, api, route, path_parameters, authorizer)
        return build_event(
            request,
            api_id=api.id,
            stage=api.stage,
            route_key=route.key,
            path_parameters=path_parameters,
            authorizer=authorizer,
            stage_variables=api.stage_variables,
        )

    async def _invoke(self, route: Route, event: bytes, record: RequestRecord) -> Response:
        pool = self._functions[route.function_name]
        try:
            result = await invoke_within(route.timeout, pool, event, route.qualifier, record)
            is_proxy = route.payload_format == "1.0"
            response = read_proxy_payload(result.payload) if is_proxy else read_response(result.payload)
        except (InvalidResponse, FunctionError, ConcurrencyExceeded, Late) as error:
            text = describe_failure(error)
            report_fault(record, self._observer, text)
            if isinstance(error, FunctionUnavailable):
                raise Rejection(501, text) from error
            if isinstance(error, ConcurrencyExceeded | Late):
                raise Rejection(503, "Service Unavailable") from error
            raise Rejection(500, "Internal Server Error") from error
        record.function_status = response.status
        return response
