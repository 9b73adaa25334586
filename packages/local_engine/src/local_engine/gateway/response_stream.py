"""Streamed responses: a function's result passes to the client as it arrives.

Sources: "Response streaming for Lambda functions" (AWS Lambda Developer Guide); "Set up a Lambda proxy integration with
payload response streaming in API Gateway" (API Gateway Developer Guide).
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

from local_engine.functions.invocation import Result
from local_engine.gateway.events import Headers, InvalidResponse, refuse_constant
from local_engine.gateway.request_limits import Receive, Scope, Send

HTTP_RESPONSE = "application/vnd.awslambda.http-integration-response"
"""Content type of a result that starts with the status and the headers of an HTTP response."""
_SEPARATOR = bytes(8)
_MAX_METADATA = 16 * 1024


class Late(Exception):
    """The function takes too long. The message is a sentence."""


class ClientLeft(Exception):
    """Nobody reads the response."""


class ResponseStream:
    """An invocation and its client. Leaving the block early lets the function go on, as in Lambda."""

    def __init__(
        self,
        invocation: AbstractAsyncContextManager[Result],
        receive: Receive,
        *,
        seconds: float | None = None,
        idle_seconds: float | None = None,
    ) -> None:
        """Take an invocation that has not begun.

        Args:
            invocation: as `FunctionPool.stream` returns it.
            receive: tells when the client disconnects. The request's body has been read.
            seconds: longest time until the end of the response.
            idle_seconds: longest time between two chunks.
        """
        self.sent = 0
        """Bytes of the payload so far."""
        self._invocation = invocation
        self._receive = receive
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        self._started = time.monotonic()
        self._has_result = False
        self._leaving: asyncio.Task[None] | None = None
        self._chunks: AsyncIterator[bytes]
        self._first = b""

    async def __aenter__(self) -> Self:
        if self._leaving is None:
            self._leaving = asyncio.create_task(_wait_for_disconnect(self._receive))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
        if self._has_result:
            await self._invocation.__aexit__(None, None, None)

    async def open(self) -> Result:
        """Start the invocation, and return the result when it starts to arrive.

        Raises:
            FunctionError: the function failed.
            ConcurrencyExceeded: all of the function's reserved concurrency is in use.
            Late: it takes too long.
            ClientLeft: the client has disconnected.
        """
        result = await self._wait(self._invocation.__aenter__())
        self._has_result = True
        self._chunks = aiter(result)
        return result

    async def read_metadata(self) -> dict[str, Any]:
        """Return the JSON object before the payload.

        Raises:
            InvalidResponse: the result does not start with such an object.
            FunctionError, Late, ClientLeft: as `open`.
        """
        head = b""
        while (end := head.find(_SEPARATOR)) < 0:
            chunk = await self._next()
            if chunk is None or len(head) > _MAX_METADATA:
                raise InvalidResponse("it does not start with metadata in JSON and eight zero bytes")
            head += chunk
        self._first = head[end + len(_SEPARATOR) :]
        try:
            metadata = json.loads(head[:end], parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            raise InvalidResponse(f"its metadata is not JSON: {error}") from error
        if not isinstance(metadata, dict):
            raise InvalidResponse("its metadata is not an object")
        return metadata

    async def send(self, status: int, headers: Headers, scope: Scope, send: Send) -> None:
        """Send the response. If the function fails on the way, the connection is cut, so that the client notices.

        Raises:
            FunctionError, Late, ClientLeft: as `open`.
        """
        await send({"type": "http.response.start", "status": status, "headers": headers})
        try:
            chunk: bytes | None = self._first
            while chunk is not None:
                # An empty chunk would not even send the headers.
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                self.sent += len(chunk)
                chunk = await self._next()
        except BaseException:
            scope["state"]["cut"]()
            raise
        await send({"type": "http.response.body"})

    async def _next(self) -> bytes | None:
        return await self._wait(anext(self._chunks, None), self._idle_seconds)

    async def _wait[T](self, awaitable: Awaitable[T], idle_seconds: float | None = None) -> T:
        waiting = asyncio.ensure_future(awaitable)
        left = None if self._seconds is None else max(0.0, self._started + self._seconds - time.monotonic())
        limit = min((seconds for seconds in (left, idle_seconds) if seconds is not None), default=None)
        leaving = self._leaving
        assert leaving is not None  # noqa: S101 - within the block
        try:
            await asyncio.wait((waiting, leaving), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            if not waiting.done():
                waiting.cancel()
                # Until it has ended, the iterator cannot be closed.
                await asyncio.wait((waiting,))
        if leaving.done():
            raise ClientLeft
        if limit == left:
            raise Late(f"No end of the response within the gateway's {self._seconds:g} s.")
        raise Late(f"No part of the response within {idle_seconds:g} s.")


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
