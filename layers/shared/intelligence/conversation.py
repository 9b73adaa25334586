"""A model's answer, streamed: Amazon Bedrock's ConverseStream over one signed request.

A thread reads the answer, so that whoever passes it on can do something else while the model is silent. It is repeated
while nothing of it has arrived.

Source: «ConverseStream», Amazon Bedrock API Reference.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from queue import Empty, SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from intelligence.bedrock import ModelError, ModelThrottled, ModelUnavailable, connect, explain, find_code
from serverless_api import (
    CircuitBreaker,
    CircuitOpen,
    Dependency,
    HTTPCall,
    RetryBudget,
    RetryPolicy,
    current_deadline,
)
from serverless_api.storage.signed_requests import SIGNATURE_ERRORS, SignedConnection

WAIT_SECONDS = 20.0
"""Longest wait for the start of an answer, and for its next part."""

MAX_ERROR_BYTES = 64 * 1024
_CHUNK_BYTES = 65_536

# While the circuit is open, one answer in this time is asked for as a probe.
_RESET_SECONDS = 5.0
_JOIN_SECONDS = 1.0


class AnswerBroken(Exception):
    """The model failed within its answer."""


class Usage(NamedTuple):
    """The tokens of a prompt and of its answer."""

    input_tokens: int
    output_tokens: int


class End(NamedTuple):
    """The end of an answer.

    Attributes:
        reason: why the model stopped, as Bedrock spells it: `end_turn`, `max_tokens`, `guardrail_intervened` or others.
        usage: what was used.
    """

    reason: str
    usage: Usage


type Part = str | End

_dependency = Dependency("answers")
_budget = RetryBudget()
_circuit = CircuitBreaker(reset=_RESET_SECONDS, on_transition=_dependency.report_transition)


class Answer:
    """An answer while it arrives. Leaving the block closes the connection to the model.

    Args:
        model: the ID of a model or inference profile.
        request: the body of ConverseStream.
        patience: seconds of silence after which iteration yields None.

    Example:
        >>> with Answer("amazon.nova-lite-v1:0", request, patience=5.0) as answer:
        ...     for part in answer:
        ...         print(part)
    """

    def __init__(self, model: str, request: Mapping[str, Any], patience: float) -> None:
        self._model = model
        self._content = json.dumps(request).encode()
        self._patience = patience
        self._parts: SimpleQueue[Part | BaseException] = SimpleQueue()
        self._connection: HTTPConnection | None = None
        self._has_begun = False
        self._is_left = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._is_left.set()
        # Wakes the thread if it waits for the model.
        if (connection := self._connection) and (waiting := connection.sock):
            with suppress(OSError):
                waiting.shutdown(socket.SHUT_RDWR)
        self._thread.join(_JOIN_SECONDS)

    def __iter__(self) -> Iterator[Part | None]:
        """Yield the pieces of the text, None for each silence, and at last the end.

        Raises:
            ModelUnavailable: there is no answer: the model is throttled or down, or its circuit is open.
            ModelError: Bedrock rejected the request.
            AnswerBroken: the model failed within its answer.
        """
        part: Part | BaseException | None = None
        while not isinstance(part, End):
            try:
                part = self._parts.get(timeout=self._patience)
            except Empty:
                part = None
            if isinstance(part, BaseException):
                raise part
            yield part

    def _run(self) -> None:
        try:
            policy = RetryPolicy(sleep=self._pause)
            policy.call(self._attempt, current_deadline(), _budget, _dependency.count_retry)
        except CircuitOpen as error:
            _dependency.count_refusal()
            self._parts.put(ModelUnavailable("the circuit of the model is open", error.retry_after))
        except BaseException as error:
            self._parts.put(error)

    def _pause(self, seconds: float) -> None:
        self._is_left.wait(seconds)

    def _attempt(self) -> None:
        try:
            # The circuit is inside the retries: each attempt counts, and none is made while it is open.
            _circuit.call(self._receive)
        except ModelUnavailable as error:
            if self._has_begun:
                raise AnswerBroken(str(error)) from error
            raise

    def _receive(self) -> None:
        connection = connect(self._model, "converse-stream")
        try:
            with self._send(connection) as response:
                if response.status == 200:
                    self._take(response)
                    return
                failure = explain(response, _read_error(response))
                if find_code(response) not in SIGNATURE_ERRORS:
                    raise failure
                # Rejected before anything was done.
                connection.renew(response)
            with self._send(connection) as response:
                if response.status != 200:
                    raise explain(response, _read_error(response))
                self._take(response)
        except (OSError, HTTPException, ParserError, ValueError, LookupError) as error:
            if not self._is_left.is_set():
                raise ModelUnavailable(f"the answer is not complete: {type(error).__name__}") from error

    @contextmanager
    def _send(self, connection: SignedConnection) -> Iterator[HTTPResponse]:
        """Send the request, and yield the response, whose body is read in the block."""
        if self._is_left.is_set():
            raise ConnectionAbortedError
        headers = {"accept": "application/vnd.amazon.eventstream", "content-type": "application/json"}
        with HTTPCall("POST", connection.scheme, connection.host) as subsegment:
            opened = connection.send(headers, self._content, current_deadline().cut(WAIT_SECONDS))
            self._connection = opened
            try:
                with opened.getresponse() as response:
                    subsegment.response = response
                    yield response
            finally:
                self._connection = None
                opened.close()

    def _take(self, response: HTTPResponse) -> None:
        for part in _read_parts(response):
            self._has_begun = True
            self._parts.put(part)


def _read_error(response: HTTPResponse) -> Mapping[str, Any]:
    with suppress(ValueError):
        document = json.loads(response.read(MAX_ERROR_BYTES))
        if isinstance(document, dict):
            return document
    return {}


def _read_parts(response: HTTPResponse) -> Iterator[Part]:
    """Yield the parts of an answer."""
    reason, usage = "", None
    for message in _read_messages(response):
        name, event = _read_event(message)
        match name:
            case "contentBlockDelta":
                if text := event["delta"].get("text"):
                    yield text
            case "messageStop":
                reason = str(event["stopReason"])
            case "metadata":
                usage = Usage(int(event["usage"]["inputTokens"]), int(event["usage"]["outputTokens"]))
    if usage is None:
        raise ValueError("it has no end")
    yield End(reason, usage)


def _read_messages(response: HTTPResponse) -> Iterator[EventStreamMessage]:
    buffer = EventStreamBuffer()
    while chunk := response.read1(_CHUNK_BYTES):
        buffer.add_data(chunk)
        yield from buffer


def _read_event(message: EventStreamMessage) -> tuple[str, Any]:
    """Return the name of an event and its content, or raise the error that a message is."""
    headers: Any = message.headers
    kind = headers[":message-type"]
    if kind == "event":
        return headers[":event-type"], json.loads(message.payload)
    code = str(headers.get(":exception-type") or headers.get(":error-code"))
    if code == "throttlingException":
        raise ModelThrottled(code)
    if code == "validationException":
        raise ModelError(code, "within the answer")
    raise ModelUnavailable(code)
