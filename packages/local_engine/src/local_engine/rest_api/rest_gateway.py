"""REST API gateway as an ASGI application: routing, throttling, authorization, validation and invocation.

Source: "API Gateway REST APIs" (API Gateway Developer Guide).
"""

import base64
import contextlib
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from local_engine.functions.invocation import ConcurrencyExceeded, FunctionError, FunctionUnavailable
from local_engine.functions.pool import FunctionPool
from local_engine.gateway.access_log import RequestRecord
from local_engine.gateway.api_access import Authorizer
from local_engine.gateway.authorizer_factory import OPEN, IdentityProviders, create_authorizers
from local_engine.gateway.events import InvalidResponse, Request, Response
from local_engine.gateway.integration import (
    describe_failure,
    encode_event,
    invoke_within,
    read_request,
    report_fault,
    send_response,
)
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
from local_engine.gateway.response_stream import ClientLeft, Late, ResponseStream
from local_engine.gateway.routes import Match, RouteTable
from local_engine.gateway.throttling import Throttle
from local_engine.observer import Observer
from local_engine.rest_api.gateway_responses import GatewayResponses
from local_engine.rest_api.methods import Method, read_methods
from local_engine.rest_api.mock_integration import MockIntegration
from local_engine.rest_api.proxy_event import MethodRequest, build_event, matches_media_type
from local_engine.rest_api.proxy_response import read_proxy_response
from local_engine.rest_api.request_validators import Models, RequestValidator
from local_engine.rest_api.response_cache import (
    MethodCaching,
    ResponseCache,
    asks_to_refresh,
    make_key,
    may_refresh,
    read_caching,
    warn,
)
from local_engine.rest_api.streamed_response import IDLE_SECONDS, StreamedResponse, read_metadata
from local_engine.rest_api.template_variables import Variables
from local_engine.template.errors import TemplateError
from local_engine.template.settings import read_throttling
from local_engine.template.stack import RestApi, Stack, Throttling

_WRONG_FORM = (TypeError, ValueError, LookupError, AttributeError)
_NO_VARIABLES = Variables({}, {}, {}, {}, {})


class RestApiGateway:
    """Serves one REST API with its stages."""

    def __init__(
        self,
        api: RestApi,
        functions: Mapping[str, FunctionPool],
        stack: Stack,
        observer: Observer,
        providers: IdentityProviders,
    ) -> None:
        """Read the API's methods. One that the engine does not serve as AWS would has a `refusal`.

        Args:
            api: the API.
            functions: by their names.
            stack: its stack.
            observer: told of each request and fault.
            providers: who vouches for callers.
        """
        self._api = api
        self._observer = observer
        self._stages = {
            served.stage: _Stage(served, functions, stack, observer, providers) for served in (api, *api.other_stages)
        }

    @property
    def routes(self) -> Sequence[Method]:
        """The API's methods on its first stage, in order of precedence."""
        return self._stages[self._api.stage].table.routes

    @property
    def caches(self) -> Mapping[str, ResponseCache]:
        """The response caches, by stage."""
        return {name: stage.cache for name, stage in self._stages.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        started = time.monotonic()
        extended_id = base64.b64encode(os.urandom(11)).decode("ascii")
        path = scope["raw_path"].decode("latin-1")
        stage = self._stages.get(path.split("/", 2)[1] if path.startswith("/") else "")
        record = RequestRecord(stage.api if stage else self._api, str(uuid.uuid4()), scope["method"], path)
        record.extended_id = extended_id
        response: Response | StreamedResponse
        if stage is None:
            response = GatewayResponses({}).render(
                Rejection(403, "Forbidden", response_type="DEFAULT_4XX"), _NO_VARIABLES
            )
            record.error = "Forbidden"
        else:
            response = await stage.answer(scope, receive, record)
        headers = [
            *response.headers,
            (b"x-amzn-requestid", record.id.encode()),
            (b"x-amz-apigw-id", extended_id.encode()),
        ]
        if isinstance(response, StreamedResponse):
            sent = await response.send(headers, scope, send)
        else:
            sent = await send_response(response, headers, send)
        milliseconds = (time.monotonic() - started) * 1000
        self._observer.request_answered(record.answered(response.status, milliseconds, sent))


class _Stage:
    """Serves one stage."""

    def __init__(
        self,
        api: RestApi,
        functions: Mapping[str, FunctionPool],
        stack: Stack,
        observer: Observer,
        providers: IdentityProviders,
    ) -> None:
        self.api = api
        self._principals = providers.principals
        self.cache = ResponseCache()
        self._caching: dict[str, MethodCaching] = {}
        self._functions = functions
        self._refused_functions = stack.refused_functions
        self._observer = observer
        self._authorizers = create_authorizers(api, stack, functions, observer, providers)
        self._models = Models(api.document)
        self._validators: dict[str, RequestValidator] = {}
        self._mocks: dict[str, MockIntegration] = {}
        self._throttling: dict[str, Throttling] = {}
        refusal = api.refusal
        self._responses = GatewayResponses({})
        try:
            self._responses = GatewayResponses(api.document)
        except TemplateError as error:
            refusal = refusal or str(error)
        self.table = RouteTable(self._check_method(method, refusal) for method in read_methods(api))
        # A stage without settings has only the account's limits, which one machine does not reach.
        self._throttle = Throttle(Throttling(None, None), self._throttling)

    def _check_method(self, method: Method, refusal: str) -> Method:
        """Return the method, with a refusal if the engine cannot serve it."""
        if method.refusal:
            return method
        try:
            if refusal:
                raise TemplateError(f"API {self.api.logical_id} cannot be served: {refusal}")
            if method.is_mock:
                self._mocks[method.key] = MockIntegration(method.integration)
            elif method.function_name not in self._functions:
                unknown = f"it invokes {method.function_name}, which is not a function of the template."
                raise TemplateError(self._refused_functions.get(method.function_name, unknown))
            if method.authorizer is not None and method.authorizer not in self._authorizers:
                raise TemplateError(f"its authorizer {method.authorizer} is not declared.")
            if (authorizer := self._find_authorizer(method)) is not None and authorizer.refusal:
                raise TemplateError(authorizer.refusal)
            if (caching := read_caching(self.api, method)) is not None:
                self._caching[method.key] = caching
            self._validators[method.key] = RequestValidator(method, self.api.document, self._models)
            self._throttling[method.key] = read_throttling(self.api.find_method_settings(method.method, method.path))
        except (TemplateError, *_WRONG_FORM) as error:
            reason = f"a part of it has a wrong form ({error})." if isinstance(error, _WRONG_FORM) else str(error)
            return replace(method, refusal=f"Method {method.key} is not served: {reason}")
        return method

    async def answer(self, scope: Scope, receive: Receive, record: RequestRecord) -> Response | StreamedResponse:
        """Return the response to a request of this stage."""
        variables = _NO_VARIABLES
        try:
            http = record.request = read_request(scope, record)
            _check_head(http)
            variables = _describe_request(http, self.api)
            match = self._match(http)
            request = MethodRequest(
                http,
                self.api,
                match.route,
                match.path_parameters,
                record.extended_id,
                _read_header_names(scope),
            )
            variables = request.variables
            return await self._serve(request, receive, record)
        except Rejection as rejection:
            record.error = str(rejection)
            rejection.end_connection(scope)
            return self._responses.render(rejection, variables)

    def _match(self, http: Request) -> Match[Method]:
        # API Gateway ignores slashes at the end.
        path = http.raw_path[len(self.api.base_path) :].rstrip("/") or "/"
        match = self.table.match(http.method, path)
        if match is None:
            raise Rejection(403, "Missing Authentication Token", response_type="MISSING_AUTHENTICATION_TOKEN")
        return match

    async def _serve(
        self, request: MethodRequest, receive: Receive, record: RequestRecord
    ) -> Response | StreamedResponse:
        method = record.route = request.method
        if method.refusal:
            raise Rejection(501, method.refusal)
        if not method.is_mock:
            record.function = self._functions[method.function_name].function.logical_id
        if not self._throttle.admits(method.key):
            raise Rejection(429, "Too Many Requests", response_type="THROTTLED")
        authorizer = self._find_authorizer(method)
        caller = None
        if authorizer is not None and not authorizer.reads_body:
            caller = await self._authorize(authorizer, request, record)
        body = await read_body(request.http.headers, receive, MAX_BODY)
        if body is None:
            raise _too_large()
        request.http = record.request = replace(request.http, body=body)
        if authorizer is not None and authorizer.reads_body:
            caller = await self._authorize(authorizer, request, record)
        self._validators[method.key].validate(body, request.variables)
        return await self._respond(request, caller, receive, record)

    async def _respond(
        self, request: MethodRequest, caller: Mapping[str, Any] | None, receive: Receive, record: RequestRecord
    ) -> Response | StreamedResponse:
        """Return the response of the integration, or of the cache."""
        method = request.method
        if method.is_mock:
            return self._mocks[method.key].respond(request.variables)
        event = encode_event(build_event(request, caller))
        if event is None:
            raise Rejection(413, "Request Too Long", response_type="REQUEST_TOO_LARGE")
        if method.is_streamed:
            return await self._stream(method, event, receive, record)
        caching = self._caching.get(method.key)
        if caching is not None and (method.method != "ANY" or request.http.method == "GET"):
            return await self._answer_cached(request, event, record, caching)
        return await self._invoke(request, event, record)

    async def _answer_cached(
        self, request: MethodRequest, event: bytes, record: RequestRecord, caching: MethodCaching
    ) -> Response:
        method = request.method
        if strategy := self.cache.strategies.get((method.path, method.method)):
            caching = replace(caching, strategy=strategy)
        key = make_key(request, caching, decodes_body=self._decodes_body(request))
        is_ignored = False
        kept = self.cache.find(key)
        if asks_to_refresh(request):
            signer = self._principals.find_signer(request.identity.get("accessKey", ""))
            principal = None if signer is None else self._principals.describe(signer)
            is_ignored = not may_refresh(request, caching, principal)
            kept = kept if is_ignored else None
        if kept is None:
            kept = await self._invoke(request, event, record)
            self.cache.keep(key, kept, caching.ttl)
        else:
            record.function = ""
        return warn(kept, caching) if is_ignored else kept

    def _decodes_body(self, request: MethodRequest) -> bool:
        return matches_media_type(request.http.find_header(b"accept") or "", self.api.binary_media_types)

    def _find_authorizer(self, method: Method) -> Authorizer | None:
        # An API with a resource policy applies it to open methods too.
        return self._authorizers.get(method.authorizer or OPEN)

    async def _authorize(
        self, authorizer: Authorizer, request: MethodRequest, record: RequestRecord
    ) -> Mapping[str, Any] | None:
        def describe(_: str) -> dict[str, Any]:
            return build_event(request, None)

        try:
            caller = await authorizer.authorize(request.http, request.method, describe)
        except AccessRefused as error:
            record.authorizer_error = error.reason
            raise
        if authorizer.kind == "iam":
            request.identity |= caller
            return None
        if authorizer.kind == "cognito":
            record.claims = caller["claims"]
        return None if authorizer.kind == "open" else caller

    async def _invoke(self, request: MethodRequest, event: bytes, record: RequestRecord) -> Response:
        method = request.method
        pool = self._functions[method.function_name]
        try:
            result = await invoke_within(method.timeout, pool, event, method.qualifier, record)
            response = read_proxy_response(result.payload, decodes_body=self._decodes_body(request))
        except (InvalidResponse, FunctionError, ConcurrencyExceeded, Late) as error:
            raise self._reject(error, record) from error
        record.function_status = response.status
        return response

    async def _stream(
        self, method: Method, event: bytes, receive: Receive, record: RequestRecord
    ) -> Response | StreamedResponse:
        pool = self._functions[method.function_name]
        started = time.monotonic()
        seconds = None if pool.is_debugged else method.timeout
        invocation = pool.stream(event, method.qualifier)
        async with contextlib.AsyncExitStack() as cleanup:
            stream = await cleanup.enter_async_context(
                ResponseStream(invocation, receive, seconds=seconds, idle_seconds=IDLE_SECONDS)
            )
            try:
                result = await stream.open()
                record.start = "cold" if result.cold else "warm"
                record.function_status, headers = read_metadata(await stream.read_metadata())
            except (InvalidResponse, FunctionError, ConcurrencyExceeded, Late) as error:
                raise self._reject(error, record) from error
            except ClientLeft:
                return Response(record.function_status or 200, [], b"")
            finally:
                record.waited = (time.monotonic() - started) * 1000
            # The response ends the invocation.
            cleanup.pop_all()
        return StreamedResponse(record.function_status, headers, stream, partial(report_fault, record, self._observer))

    def _reject(self, error: Exception, record: RequestRecord) -> Rejection:
        """Return the response to a failure of the function."""
        text = describe_failure(error)
        report_fault(record, self._observer, text)
        if isinstance(error, FunctionUnavailable):
            return Rejection(501, text)
        if isinstance(error, Late):
            return Rejection(504, "Endpoint request timed out", response_type="INTEGRATION_TIMEOUT")
        status = 500 if isinstance(error, ConcurrencyExceeded) else 502
        return Rejection(status, "Internal server error", response_type="INTEGRATION_FAILURE")


def _check_head(http: Request) -> None:
    try:
        check_head(http)
    except Rejection as rejection:
        # HTTP APIs have another message.
        raise _too_large() if rejection.response.status == 413 else rejection from None


def _too_large() -> Rejection:
    message = f"HTTP content length exceeded {MAX_BODY} bytes."
    return Rejection(413, message, [CLOSE], response_type="REQUEST_TOO_LARGE")


def _read_header_names(scope: Scope) -> dict[str, str]:
    """Return the names of headers as the client sent them, by name in lower case."""
    sent = (scope.get("state") or {}).get("sent_headers")
    names = [name for name, _ in sent.raw_items()] if sent is not None else []
    return {name.decode("latin-1").lower(): name.decode("latin-1") for name in names}


def _describe_request(http: Request, api: RestApi) -> Variables:
    """Return the variables of a request that matches no method."""
    unmatched = Method(http.method, "", "", None, None, (), 0.0)
    return MethodRequest(http, api, unmatched, {}, "").variables
