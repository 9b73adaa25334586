"""Handlers of routes whose responses are streamed, for functions that run in `streaming_runtime`.

A response is lines of JSON, or server-sent events (HTML Living Standard, section 9.2).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

from serverless_api.environment import settings
from serverless_api.http.endpoint import Exchange, wrong_return
from serverless_api.http.request import Request
from serverless_api.http.response import Response
from serverless_api.http.warm_up import answer_warm_up, is_warm_up
from serverless_api.resilience.deadline import DeadlineExceeded, invocation_deadline
from serverless_api.storage.json_text import dump_json
from serverless_api.telemetry.observability import is_cold_start

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

type Handler = Callable[[Mapping[str, Any], "LambdaContext"], Iterator[bytes]]

_SEPARATOR = bytes(8)
# The gateway of an HTTP API adds the headers of CORS; that of a REST API leaves them to the function.
_CORS = {
    "Access-Control-Allow-Origin": settings.ALLOWED_ORIGIN,
    "Access-Control-Expose-Headers": "Content-Disposition,Retry-After,X-Correlation-Id",
}
EVENT_STREAM = "text/event-stream"
"""The media type of server-sent events."""
HEARTBEAT = b": the response goes on\n\n"
"""A comment among server-sent events. Clients ignore it, and proxies see that the connection is in use."""
_LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class ResponseBroken(Exception):
    """A response that had begun could not be completed. Its client knows by its last line, and by its missing end."""


@dataclass(frozen=True, slots=True)
class StreamedResponse:
    """A response whose body is sent while it is made.

    Attributes:
        status: the HTTP status.
        chunks: the body. It is not asked for the first chunk before the caller is admitted; until that one is there,
            errors are answered as on any route.
        headers: the headers, `Content-Type` among them.
    """

    status: int
    chunks: Iterable[bytes]
    headers: dict[str, str] = field(default_factory=dict)


def streaming_endpoint(scope: str) -> Callable[[Callable[[Request], StreamedResponse]], Handler]:
    r"""Make a function the handler of one route whose response is streamed: newline-delimited JSON, or events.

    If the body can't be completed, its last line, or the data of a last event `error`, is an error as any route's,
    `{"error", "requestId"}`, and the response has no proper end.

    Args:
        scope: the scope that the caller's token needs, as `<action>:<noun>`.

    Example:
        >>> @streaming_endpoint(scope="read:widgets")
        ... def handler(request: Request) -> StreamedResponse:
        ...     return StreamedResponse(200, (b'{"number":%d}\n' % number for number in range(10**6)))
    """

    def decorate(function: Callable[[Request], StreamedResponse]) -> Handler:
        @wraps(function)
        def handler(event: Mapping[str, Any], context: "LambdaContext") -> Iterator[bytes]:
            if is_warm_up(event):
                is_cold_start()
                yield json.dumps(answer_warm_up()).encode()
                return
            exchange = Exchange(event, context)
            status, has_begun, has_events = 0, False, False
            failure: BaseException | None = None
            try:
                with invocation_deadline(context):
                    response = function(exchange.admit(scope))
                    if not isinstance(response, StreamedResponse):
                        raise wrong_return(function, response, StreamedResponse)
                    has_events = response.headers.get("Content-Type") == EVENT_STREAM
                    chunks = iter(response.chunks)
                    first = next(chunks, b"")
                    status, has_begun = response.status, True
                    yield _encode_head(Response(status, headers=response.headers), exchange) + first
                    yield from chunks
            except (Exception, DeadlineExceeded) as error:
                failure = error
            if failure is not None:
                explanation = exchange.explain(failure)
                status = explanation.status
                body = explanation.to_event()["body"]
                if has_begun:
                    yield _encode_event("error", body) if has_events else f"{body}\n".encode()
                else:
                    yield _encode_head(explanation, exchange) + body.encode()
            exchange.report(status)
            if failure is not None and has_begun:
                raise ResponseBroken(f"{type(failure).__name__} within the response") from failure

        return handler

    return decorate


def encode_event(name: str, data: dict[str, Any]) -> bytes:
    r"""Return a server-sent event whose data is a JSON object.

    >>> encode_event("text", {"text": "two\nlines"})
    b'event: text\ndata: {"text":"two\\nlines"}\n\n'
    """
    return _encode_event(name, dump_json(data))


def _encode_event(name: str, document: str) -> bytes:
    # JSON escapes the line breaks of ASCII, so the data is one line. Some clients take others for line breaks too.
    return f"event: {name}\ndata: {document.translate(_LINE_BREAKS)}\n\n".encode()


def _encode_head(response: Response, exchange: Exchange) -> bytes:
    """Return status and headers as the gateway takes them before a body."""
    event = response.to_event({**exchange.headers, **_CORS})
    return json.dumps({"statusCode": event["statusCode"], "headers": event["headers"]}).encode() + _SEPARATOR
