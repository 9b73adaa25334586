"""Responses of methods with `responseTransferMode: STREAM`.

Source: "Stream the integration response for your proxy integrations in API Gateway" and "Set up a Lambda proxy
integration with payload response streaming in API Gateway" (API Gateway Developer Guide).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_engine.functions.invocation import FunctionError
from local_engine.gateway.events import Headers, InvalidResponse, encode_header, read_status
from local_engine.gateway.request_limits import Scope, Send
from local_engine.gateway.response_stream import ClientLeft, Late, ResponseStream
from local_engine.rest_api.proxy_response import read_headers

IDLE_SECONDS = 300.0
"""Longest time between two parts of a response, for regional APIs."""


@dataclass(frozen=True)
class StreamedResponse:
    """A response whose payload is still to come."""

    status: int
    headers: Headers
    stream: ResponseStream
    report: Callable[[str], None]
    """Called with a sentence if the function fails on the way."""

    async def send(self, headers: Headers, scope: Scope, send: Send) -> int:
        """Send the response with these headers, and return the number of bytes in its payload."""
        async with self.stream:
            try:
                await self.stream.send(self.status, headers, scope, send)
            except (FunctionError, Late) as error:
                self.report(str(error))
            except ClientLeft:
                pass
        return self.stream.sent


def read_metadata(metadata: Mapping[str, Any]) -> tuple[int, Headers]:
    """Return the status and the headers before a payload.

    Raises:
        InvalidResponse: a part of them has a wrong form.
    """
    status = 200 if metadata.get("statusCode") is None else read_status(metadata["statusCode"])
    headers = read_headers(metadata)
    cookies = metadata.get("cookies") or []
    if not isinstance(cookies, list):
        raise InvalidResponse("cookies is not a list")
    headers += [(b"set-cookie", encode_header("set-cookie", cookie)) for cookie in cookies]
    return status, headers
