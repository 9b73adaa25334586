"""Handlers that stream: what they send before and after the first part, and how a client knows of an error."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.gateway import Context, import_functions
from tests.unit.http.test_endpoint import EVENT

type Stream = Callable[..., Iterator[bytes]]


@pytest.fixture
def stream() -> Iterator[Stream]:
    """The parts that the handler of a route sends."""
    with import_functions():
        from serverless_api import streaming_endpoint

        def send(function: Callable[[Any], Any], event: Any = EVENT) -> Iterator[bytes]:
            return streaming_endpoint(scope="read:widgets")(function)(event, Context())

        yield send


def split(part: bytes) -> tuple[dict[str, Any], bytes]:
    """The head and the first part of a body."""
    head, _, body = part.partition(bytes(8))
    return json.loads(head), body


def test_parts_are_sent_as_they_are_made(stream: Stream) -> None:
    from serverless_api import StreamedResponse

    made: list[int] = []

    def make_parts() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"%d\n" % number

    parts = stream(lambda _: StreamedResponse(200, make_parts(), {"Content-Type": "application/x-ndjson"}))
    head, first = split(next(parts))
    assert (head["statusCode"], head["headers"]["Content-Type"], first) == (200, "application/x-ndjson", b"0\n")
    assert made == [0]
    assert list(parts) == [b"1\n", b"2\n"]


def test_an_error_before_the_first_part_is_an_ordinary_answer(stream: Stream) -> None:
    from serverless_api import NotFound, StreamedResponse

    def fail() -> Iterator[bytes]:
        raise NotFound("There is no such widget")
        yield b""

    (part,) = stream(lambda _: StreamedResponse(200, fail()))
    head, body = split(part)
    assert (head["statusCode"], json.loads(body)["error"]) == (404, "There is no such widget")


def test_an_error_after_it_is_the_last_line_of_a_broken_response(stream: Stream) -> None:
    from serverless_api import StreamedResponse

    def break_off() -> Iterator[bytes]:
        yield b"1\n"
        raise ValueError("secret")

    parts = stream(lambda _: StreamedResponse(200, break_off()))
    assert split(next(parts))[1] == b"1\n"
    last = json.loads(next(parts))
    assert last == {"error": "Something unexpected went wrong", "requestId": "request-1"}
    with pytest.raises(Exception, match="ValueError within the response"):
        next(parts)


def test_what_is_no_streamed_response_is_an_error(stream: Stream) -> None:
    (part,) = stream(lambda _: {"statusCode": 200})
    assert split(part)[0]["statusCode"] == 500


def test_a_caller_without_the_scope_gets_nothing(stream: Stream) -> None:
    claims = {"sub": "alice", "scope": "read:others"}
    event = {**EVENT, "requestContext": {"requestId": "1", "authorizer": {"jwt": {"claims": claims, "scopes": None}}}}
    (part,) = stream(lambda _: pytest.fail("the function ran"), event)
    assert split(part)[0]["statusCode"] == 403
