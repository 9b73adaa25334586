"""Bedrock's runtime as an ASGI application, and `/_local/bedrock` for tests."""

import asyncio
import base64
import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing, suppress
from functools import partial
from typing import Any
from urllib.parse import unquote

from local_engine.bedrock.bedrock_errors import BedrockError, InvalidRequestError
from local_engine.bedrock.conversation import Answer, Conversation, count_prompt_tokens, read_conversation
from local_engine.bedrock.embedding_requests import invoke_embedding_model
from local_engine.bedrock.event_stream_encoding import CONTENT_TYPE, encode_event, encode_exception
from local_engine.bedrock.invocation_limits import InvocationLimits
from local_engine.bedrock.local_model import LocalModel
from local_engine.bedrock.model_catalog import find_embedding_model, find_text_model
from local_engine.bedrock.text_bodies import TextBody, find_text_body

CONTROL_PATH = "/_local/bedrock"
_PATH = re.compile(
    r"/model/(?P<model>[^/]+)/(?P<action>invoke|invoke-with-response-stream|converse|converse-stream|count-tokens)"
)
_OPERATIONS = {
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "count-tokens": "CountTokens",
}
_LARGEST_BODY = 25_000_000

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class BedrockRuntime:
    """An ASGI application for the requests that `serves` accepts."""

    def __init__(self, load_model: Callable[[], LocalModel]) -> None:
        """Create the application.

        Args:
            load_model: returns the model. It is called at the first request.
        """
        self._load_model = load_model
        self._model: LocalModel | None = None
        self._limits = InvocationLimits()
        self._requests = self._failed = self._open_streams = 0

    @staticmethod
    def serves(scope: Scope) -> bool:
        """Return whether a request is for Bedrock's runtime. S3 may have a bucket of the same path."""
        if scope["path"] == CONTROL_PATH:
            return True
        if scope["method"] != "POST" or _PATH.fullmatch(scope["raw_path"].decode("latin-1")) is None:
            return False
        return not any(name == b"authorization" and b"/s3/" in value for name, value in scope["headers"])

    async def answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Answer a request whose body has been received."""
        try:
            if scope["path"] == CONTROL_PATH:
                await self._control(scope["method"], body, send)
            else:
                await self._invoke(scope, body, receive, send)
        except BedrockError as error:
            self._failed += 1
            headers = {"x-amzn-ErrorType": error.code}
            await _send_json(send, {"message": str(error)}, status=error.status, headers=headers)

    async def _invoke(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        found = _PATH.fullmatch(scope["raw_path"].decode("latin-1"))
        if found is None or len(body) > _LARGEST_BODY:
            raise InvalidRequestError("The request is too large.")
        operation = _OPERATIONS[found["action"]]
        self._requests += 1
        self._limits.admit(operation)
        started = time.monotonic()
        model_id = unquote(found["model"])
        text_model = find_text_model(model_id)
        if operation.startswith("InvokeModel"):
            is_streamed = operation == "InvokeModelWithResponseStream"
            if text_model:
                await self._invoke_text_model(text_model, body, receive, send, is_streamed=is_streamed)
            elif is_streamed:
                raise InvalidRequestError("The model is unsupported for streaming.")
            else:
                await self._invoke_embedding_model(find_embedding_model(model_id), body, started, send)
            return
        if text_model is None:
            raise InvalidRequestError(
                "This action doesn't support the model that you provided. "
                "Try again with a supported text or chat model."
            )
        if operation == "CountTokens":
            await self._count_tokens(body, send)
            return
        conversation = await asyncio.to_thread(lambda: read_conversation(body, self._find_model()))
        if operation == "Converse":
            await self._converse(conversation, started, send)
        else:
            await self._stream(partial(self._write_events, conversation, started), receive, send)

    async def _invoke_text_model(
        self, model: str, body: bytes, receive: Receive, send: Send, *, is_streamed: bool
    ) -> None:
        form = find_text_body(model)
        conversation = await asyncio.to_thread(lambda: form.read(body, self._find_model()))
        if is_streamed:
            await self._stream(partial(self._write_chunks, form, conversation), receive, send)
            return
        text, answer = await self._compute(conversation)
        await _send_json(send, form.describe(text, answer))

    async def _invoke_embedding_model(self, family: str, body: bytes, started: float, send: Send) -> None:
        embedded = await asyncio.to_thread(lambda: invoke_embedding_model(family, body, self._find_model()))
        headers = {
            "X-Amzn-Bedrock-Invocation-Latency": str(_milliseconds_since(started)),
            "X-Amzn-Bedrock-Input-Token-Count": str(embedded.input_tokens),
        }
        await _send_json(send, embedded.body, headers=headers)

    async def _compute(self, conversation: Conversation) -> tuple[str, Answer]:
        answer = Answer(conversation, self._find_model())
        async with aclosing(self._pace(answer)) as pieces:
            return "".join([piece async for piece in pieces]), answer

    async def _converse(self, conversation: Conversation, started: float, send: Send) -> None:
        text, answer = await self._compute(conversation)
        response = {
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": answer.stop_reason,
            "usage": answer.usage,
            "metrics": {"latencyMs": _milliseconds_since(started)},
        }
        await _send_json(send, response)

    async def _stream(self, write: Callable[[Send], Awaitable[None]], receive: Receive, send: Send) -> None:
        headers = {**_common_headers(), "content-type": CONTENT_TYPE}
        await send({"type": "http.response.start", "status": 200, "headers": _encode_headers(headers)})
        writing = asyncio.ensure_future(write(send))
        leaving = asyncio.create_task(_wait_for_disconnect(receive))
        self._open_streams += 1
        try:
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                await writing
                await send({"type": "http.response.body", "body": b""})
        finally:
            for task in (writing, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self._open_streams -= 1

    async def _write_events(self, conversation: Conversation, started: float, send: Send) -> None:
        async def write(event_type: str, payload: dict[str, Any]) -> None:
            await send({"type": "http.response.body", "body": encode_event(event_type, payload), "more_body": True})

        async def write_piece(piece: str) -> None:
            await write("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})

        answer = Answer(conversation, self._find_model())
        await write("messageStart", {"role": "assistant"})
        if not await self._send_text("ConverseStream", answer, write_piece, send):
            return
        await write("contentBlockStop", {"contentBlockIndex": 0})
        await write("messageStop", {"stopReason": answer.stop_reason})
        await write("metadata", {"usage": answer.usage, "metrics": {"latencyMs": _milliseconds_since(started)}})

    async def _write_chunks(self, form: TextBody, conversation: Conversation, send: Send) -> None:
        async def write(chunk: dict[str, Any]) -> None:
            payload = {"bytes": base64.b64encode(json.dumps(chunk).encode()).decode()}
            await send({"type": "http.response.body", "body": encode_event("chunk", payload), "more_body": True})

        async def write_piece(piece: str) -> None:
            await write(form.describe_piece(piece))

        answer = Answer(conversation, self._find_model())
        for chunk in form.begin(conversation):
            await write(chunk)
        if await self._send_text("InvokeModelWithResponseStream", answer, write_piece, send):
            for chunk in form.finish(answer):
                await write(chunk)

    async def _send_text(
        self, operation: str, answer: Answer, write_piece: Callable[[str], Awaitable[None]], send: Send
    ) -> bool:
        """Send an answer's text. Return False if an error ended the stream."""
        fault = self._limits.find_stream_fault(operation)
        try:
            async with aclosing(self._pace(answer)) as pieces:
                async for piece in pieces:
                    if fault and answer.output_tokens > fault[0]:
                        raise fault[1]
                    await write_piece(piece)
        except BedrockError as error:
            name = error.code[0].lower() + error.code[1:]
            await send({"type": "http.response.body", "body": encode_exception(name, str(error)), "more_body": True})
            return False
        return True

    async def _pace(self, answer: Answer) -> AsyncGenerator[str]:
        """Compute an answer in another thread, a piece at a time, as fast as the test wants."""
        pieces = iter(answer)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece
            await asyncio.sleep(self._limits.pause)

    async def _count_tokens(self, body: bytes, send: Send) -> None:
        try:
            counted = json.loads(body)["input"]["converse"]
        except (ValueError, LookupError, TypeError) as error:
            raise InvalidRequestError("CountTokens counts the tokens of input.converse on this machine.") from error
        conversation = read_conversation(json.dumps(counted).encode(), self._find_model())
        await _send_json(send, {"inputTokens": count_prompt_tokens(conversation.prompt, self._find_model())})

    async def _control(self, method: str, body: bytes, send: Send) -> None:
        if method == "PUT":
            try:
                settings = json.loads(body)
            except ValueError as error:
                raise InvalidRequestError("The settings are not valid JSON.") from error
            self._limits.configure(settings)
        elif method != "GET":
            raise InvalidRequestError("Use GET or PUT.")
        counts = {"requests": self._requests, "failedRequests": self._failed, "openStreams": self._open_streams}
        await _send_json(send, counts)

    def _find_model(self) -> LocalModel:
        if self._model is None:
            self._model = self._load_model()
        return self._model


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_json(
    send: Send, content: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
) -> None:
    body = json.dumps(content).encode()
    sent = {
        **_common_headers(),
        "content-type": "application/json",
        "content-length": str(len(body)),
        **(headers or {}),
    }
    await send({"type": "http.response.start", "status": status, "headers": _encode_headers(sent)})
    await send({"type": "http.response.body", "body": body})


def _common_headers() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid.uuid4())}


def _encode_headers(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
