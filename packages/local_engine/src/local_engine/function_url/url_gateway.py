"""A function URL as an ASGI application: CORS, access, invocation and the response, whole or streamed.

Sources: "Invoking Lambda function URLs" and "Control access to Lambda function URLs" (AWS Lambda Developer Guide).
"""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from local_engine.access.principals import Principals
from local_engine.function_url.url_access import UrlRejection, authorize
from local_engine.functions.invocation import ConcurrencyExceeded, FunctionError, FunctionUnavailable, Invocation
from local_engine.functions.pool import FunctionPool
from local_engine.gateway.access_log import RequestRecord
from local_engine.gateway.cors import Cors, is_preflight
from local_engine.gateway.events import Headers, InvalidResponse, Response, build_event, read_response
from local_engine.gateway.integration import (
    MAX_EVENT,
    describe_failure,
    encode_event,
    read_request,
    report_fault,
    send_response,
)
from local_engine.gateway.request_limits import (
    CLOSE,
    Receive,
    Rejection,
    Scope,
    Send,
    check_head,
    read_body,
)
from local_engine.gateway.response_stream import HTTP_RESPONSE, ClientLeft, ResponseStream
from local_engine.gateway.routes import Route
from local_engine.observer import Observer
from local_engine.template.stack import FunctionUrl, Stack

_JSON = (b"content-type", b"application/json")


class FunctionUrlGateway:
    """Serves one function URL."""

    def __init__(
        self,
        url: FunctionUrl,
        functions: Mapping[str, FunctionPool],
        stack: Stack,
        observer: Observer,
        principals: Principals,
    ) -> None:
        """Take a function URL.

        Args:
            url: the function URL.
            functions: by their names.
            stack: the stack.
            observer: told of each request and fault.
            principals: who may sign requests.
        """
        self._url = url
        self._observer = observer
        self._principals = principals
        self._pool = functions.get(url.function_name)
        self._cors = Cors(url.cors) if url.cors else None
        refusal = ""
        if self._pool is None:
            unknown = f"it invokes {url.function_name}, which is not a function of the template."
            reason = stack.refused_functions.get(url.function_name, unknown)
            refusal = f"Function URL {url.logical_id} is not served: {reason}"
        authorizer = "AWS_IAM" if url.is_signed else None
        self._route = Route("ANY", "$default", url.function_name, url.qualifier, authorizer, (), 0.0, refusal)

    @property
    def routes(self) -> Sequence[Route]:
        """The one route."""
        return [self._route]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        started = time.monotonic()
        path = scope["raw_path"].decode("latin-1")
        record = RequestRecord(self._url, str(uuid.uuid4()), scope["method"], path, route=self._route)
        if self._pool is not None:
            record.function = self._pool.function.logical_id
        try:
            if self._cors is not None and is_preflight(scope):
                status, sent = await self._send(Response(200, [], b""), record, scope, send)
            else:
                event = await self._read_event(scope, receive, record)
                if self._url.is_streamed:
                    status, sent = await self._stream(event, record, scope, receive, send)
                else:
                    status, sent = await self._send(await self._invoke(event, record), record, scope, send)
        except Rejection as rejection:
            rejection.end_connection(scope)
            record.error = str(rejection)
            status, sent = await self._send(rejection.response, record, scope, send)
        milliseconds = (time.monotonic() - started) * 1000
        self._observer.request_answered(record.answered(status, milliseconds, sent))

    async def _read_event(self, scope: Scope, receive: Receive, record: RequestRecord) -> bytes:
        request = record.request = read_request(scope, record)
        check_head(request)
        if self._route.refusal:
            raise Rejection(501, self._route.refusal)
        authorizer = None
        if not self._url.is_signed:
            authorize(request, self._url, self._principals, self._observer)
        body = await read_body(request.headers, receive, MAX_EVENT)
        if body is None:
            raise _too_large()
        request = record.request = replace(request, body=body)
        if self._url.is_signed:
            # The signature covers the body.
            authorizer = authorize(request, self._url, self._principals, self._observer)
        event = build_event(
            request,
            api_id=self._url.id,
            stage="$default",
            route_key="$default",
            path_parameters={},
            stage_variables={},
            authorizer=authorizer,
        )
        if authorizer is None:
            event["requestContext"]["accountId"] = "anonymous"
        encoded = encode_event(event)
        if encoded is None:
            raise _too_large()
        return encoded

    async def _invoke(self, event: bytes, record: RequestRecord) -> Response:
        assert self._pool is not None  # noqa: S101 - a URL without a function is refused
        started = time.monotonic()
        try:
            result: Invocation = await self._pool.invoke(event, self._url.qualifier, record.id)
            record.start = "cold" if result.cold else "warm"
            response = read_response(result.payload)
        except (FunctionError, ConcurrencyExceeded, InvalidResponse) as error:
            raise self._reject(error, record) from error
        finally:
            record.waited = (time.monotonic() - started) * 1000
        record.function_status = response.status
        return response

    async def _stream(
        self, event: bytes, record: RequestRecord, scope: Scope, receive: Receive, send: Send
    ) -> tuple[int, int]:
        """Return the status and the number of bytes sent."""
        assert self._pool is not None  # noqa: S101 - as above
        started = time.monotonic()
        status = 200
        async with ResponseStream(self._pool.stream(event, self._url.qualifier, record.id), receive) as stream:
            try:
                result = await stream.open()
                record.start = "cold" if result.cold else "warm"
                headers: Headers = []
                if result.content_type == HTTP_RESPONSE:
                    metadata = await stream.read_metadata()
                    # Without a status code, a result would be taken for a body.
                    head = {**metadata, "statusCode": metadata.get("statusCode", 200), "body": None}
                    response = read_response(json.dumps(head).encode())
                    status, headers = response.status, response.headers
                if not any(name == b"content-type" for name, _ in headers):
                    own = result.content_type if result.content_type != HTTP_RESPONSE else ""
                    headers.append((b"content-type", (own or "application/octet-stream").encode("latin-1", "replace")))
            except (FunctionError, ConcurrencyExceeded, InvalidResponse) as error:
                raise self._reject(error, record) from error
            except ClientLeft:
                return 499, 0
            finally:
                record.waited = (time.monotonic() - started) * 1000
            record.function_status = status
            try:
                await stream.send(status, self._complete(headers, record, scope), scope, send)
            except FunctionError as error:
                report_fault(record, self._observer, str(error))
            except ClientLeft:
                pass
            return status, stream.sent

    async def _send(self, response: Response, record: RequestRecord, scope: Scope, send: Send) -> tuple[int, int]:
        sent = await send_response(response, self._complete(response.headers, record, scope), send)
        return response.status, sent

    def _complete(self, headers: Headers, record: RequestRecord, scope: Scope) -> Headers:
        """Return the headers with those of Lambda."""
        if self._cors is not None:
            headers = self._cors.replace_headers(headers, scope)
        return [*headers, (b"x-amzn-requestid", record.id.encode())]

    def _reject(self, error: Exception, record: RequestRecord) -> Rejection:
        text = describe_failure(error)
        report_fault(record, self._observer, text)
        if isinstance(error, FunctionUnavailable):
            return Rejection(501, text)
        if isinstance(error, ConcurrencyExceeded):
            reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
            body = {"Reason": reason, "Type": "User", "message": "Rate Exceeded."}
            return UrlRejection(429, body, "TooManyRequestsException")
        rejection = Rejection(502, "Internal Server Error")
        rejection.response = Response(502, [_JSON], b"Internal Server Error")
        return rejection


def _too_large() -> UrlRejection:
    body = {"Message": f"Request must be smaller than {MAX_EVENT} bytes for the InvokeFunction operation"}
    return UrlRejection(413, body, "RequestEntityTooLargeException", [CLOSE])
