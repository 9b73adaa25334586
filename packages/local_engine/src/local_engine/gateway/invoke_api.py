"""Lambda's Invoke API for the functions of a stack, as `aws lambda invoke` and the SDKs call it.

No web page can invoke a function. A request needs the `Authorization` header of AWS's SDKs, which a page may send to
another origin only after a preflight request, and that gets no CORS headers. Pages of the same origin, or of a name
that was rebound to this machine, send `Origin`, as browsers do on every POST and AWS's own clients never do (Fetch
Standard, "Origin header"). The signature itself is not verified, because there is no secret to verify it with.

Sources: "Invoke" and "InvokeWithResponseStream" (AWS Lambda API Reference).
"""

import json
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router

from local_engine.bedrock.event_stream_encoding import CONTENT_TYPE, encode_chunk, encode_event
from local_engine.functions.event_queue import EventQueue
from local_engine.functions.function_names import FunctionName, find_version, parse_function_name
from local_engine.functions.invocation import ConcurrencyExceeded, FunctionError
from local_engine.functions.pool import FunctionPool
from local_engine.gateway.events import refuse_constant
from local_engine.gateway.integration import MAX_EVENT
from local_engine.gateway.request_limits import CLOSE, Receive, Rejection, Scope, Send, read_body
from local_engine.observer import AnsweredRequest, Observer, Start
from local_engine.template.stack import Stack

LAMBDA_PATH = "/_local/lambda"
MAX_ASYNCHRONOUS_EVENT = 1024 * 1024
"""Most bytes of an asynchronous invocation's event."""
_STREAMING_SUFFIX = "/response-streaming-invocations"
_STREAMING_PATH = f"/2021-11-15/functions/{{name:path}}{_STREAMING_SUFFIX}"
_COLD = b"cold"
_SIGNATURE = "AWS4-HMAC-SHA256 "
_INVOCATION_TYPES = ("Event", "RequestResponse", "DryRun")


class _Refusal(Exception):
    """Lambda rejects the invocation."""

    def __init__(self, status: int, error_type: str, message: str, **details: str) -> None:
        super().__init__(message)
        headers = {"x-amzn-errortype": error_type, "content-type": "application/json"}
        self.response = Response(json.dumps({**details, "message": message}), status, headers)


class InvokeApi:
    """The API as an ASGI application, with the queue of asynchronous invocations."""

    def __init__(self, events: EventQueue, observer: Observer) -> None:
        self._observer = observer
        self._functions: Mapping[str, FunctionPool] = {}
        self._names: Mapping[str, str] = {}
        self._stack: Stack
        self._events = events
        self._router = Router(
            [
                Route("/2015-03-31/functions/{name:path}/invocations", self._answer, methods=["POST"]),
                Route(_STREAMING_PATH, self._answer, methods=["POST"]),
            ]
        )

    def serve(self, stack: Stack, functions: Mapping[str, FunctionPool]) -> None:
        """Serve a stack instead of the one before. `functions` is by the functions' names."""
        self._events.serve(stack, functions)
        self._stack, self._functions = stack, functions
        self._names = {pool.function.logical_id: name for name, pool in functions.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._router(scope, receive, send)

    async def close(self) -> None:
        """Drop the waiting events."""
        await self._events.close()

    async def _answer(self, request: Request) -> Response:
        started = time.monotonic()
        request_id = str(uuid.uuid4())
        function = ""
        start: Start = ""
        try:
            _check_caller(request)
            name, version = self._find_function(request)
            function = self._functions[name.name].function.logical_id
            kind, payload = await _read_invocation(request)
            if request.url.path.endswith(_STREAMING_SUFFIX) and kind == "RequestResponse":
                response, start = await self._stream(name, version, payload, request_id)
            else:
                response, start = await self._invoke(name, version, kind, payload, request_id)
        except ConcurrencyExceeded:
            reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
            response = _Refusal(429, "TooManyRequestsException", "Rate Exceeded.", Type="User", Reason=reason).response
        except (_Refusal, Rejection) as refusal:
            response = refusal.response if isinstance(refusal, _Refusal) else Response(status_code=400)
        response.headers["x-amzn-requestid"] = request_id
        self._observer.request_answered(
            AnsweredRequest(
                api=None,
                id=request_id,
                method=request.method,
                path=request.url.path,
                route=None,
                function=function,
                start=start,
                status=response.status_code,
                latency=(time.monotonic() - started) * 1000,
                integration_latency=None,
                received=0,
                sent=0,
                describe_context=dict,
            )
        )
        return response

    def _find_function(self, request: Request) -> tuple[FunctionName, str]:
        text = request.path_params["name"]
        function = parse_function_name(text)
        if function is None:
            raise _Refusal(
                400,
                "ValidationException",
                f"1 validation error detected: Value {text!r} at 'functionName' failed to satisfy constraint: "
                "Member must be a function's name, ARN or partial ARN",
            )
        # A logical ID is accepted as well, as by `sam local`.
        function = replace(function, name=self._names.get(function.name, function.name))
        if qualifier := request.query_params.get("Qualifier"):
            if function.qualifier not in (None, qualifier):
                raise _Refusal(
                    400,
                    "InvalidParameterValueException",
                    "The derived qualifier from the function name does not match the specified qualifier.",
                    Type="User",
                )
            function = replace(function, qualifier=qualifier)
        version = find_version(self._stack, function) if function.is_here and function.name in self._functions else None
        if version is None:
            raise _Refusal(404, "ResourceNotFoundException", f"Function not found: {function.arn}", Type="User")
        return function, version

    async def _invoke(
        self, function: FunctionName, version: str, kind: str, payload: bytes, request_id: str
    ) -> tuple[Response, Start]:
        """Return the response and how the function's process started; empty if none ran."""
        pool = self._functions[function.name]
        if kind == "DryRun":
            return Response(status_code=204), ""
        if kind == "Event":
            self._events.accept(function, payload, request_id, "Invoke")
            return Response(status_code=202), ""
        headers = {"x-amz-executed-version": version, "content-type": "application/json"}
        try:
            result = await pool.invoke(payload, function.qualifier, request_id)
        except FunctionError as error:
            self._observer.fault_found(pool.function.logical_id, str(error))
            headers["x-amz-function-error"] = "Unhandled"
            return Response(json.dumps(error.describe(request_id)), headers=headers), ""
        return Response(result.payload, headers=headers), "cold" if result.cold else "warm"

    async def _stream(
        self, function: FunctionName, version: str, payload: bytes, request_id: str
    ) -> tuple[Response, Start]:
        """Return a response of InvokeWithResponseStream and how the function's process started."""
        pool = self._functions[function.name]
        events = self._write_events(pool, function, payload, request_id)
        start: Start = "cold" if await anext(events) == _COLD else "warm"
        headers = {"x-amz-executed-version": version, "content-type": CONTENT_TYPE}
        return StreamingResponse(events, headers=headers), start

    async def _write_events(
        self, pool: FunctionPool, function: FunctionName, payload: bytes, request_id: str
    ) -> AsyncGenerator[bytes]:
        """Yield how the process started, and then the messages of the stream."""
        ending: dict[str, str] = {}
        is_open = False
        try:
            async with pool.stream(payload, function.qualifier, request_id) as result:
                yield _COLD if result.cold else b""
                is_open = True
                async for chunk in result:
                    yield encode_chunk("PayloadChunk", chunk)
        except FunctionError as error:
            self._observer.fault_found(pool.function.logical_id, str(error))
            described = error.describe(request_id)
            ending = {"ErrorCode": described["errorType"], "ErrorDetails": json.dumps(described)}
            if not is_open:
                yield b""
        yield encode_event("InvokeComplete", ending)


def _check_caller(request: Request) -> None:
    if not request.headers.get("authorization", "").startswith(_SIGNATURE):
        raise _Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    if "origin" in request.headers:
        raise _Refusal(403, "AccessDeniedException", "Web pages may not invoke functions")


async def _read_invocation(request: Request) -> tuple[str, bytes]:
    """Return the invocation type and the event in JSON."""
    kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
    limit = MAX_ASYNCHRONOUS_EVENT if kind == "Event" else MAX_EVENT
    payload = await read_body(request.headers.raw, request.receive, limit)
    if kind not in _INVOCATION_TYPES:
        raise _Refusal(
            400,
            "ValidationException",
            f"1 validation error detected: Value {kind!r} at 'invocationType' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(_INVOCATION_TYPES)}]",
        )
    if payload is None:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        refusal = _Refusal(413, "RequestTooLargeException", message, Type="User")
        refusal.response.raw_headers.append(CLOSE)
        raise refusal
    if not payload:
        return kind, b"{}"
    try:
        json.loads(payload.decode(), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {error}"
        raise _Refusal(400, "InvalidRequestContentException", message, Type="User") from error
    return kind, payload
