"""A stand-in for Bedrock's runtime."""

from collections.abc import Iterator

import pytest

from local_engine.bedrock.event_stream_encoding import encode_event
from tests.support.http_server import Reply, Request, Server

MODEL = "amazon.nova-lite-v1:0"
PIECES = ("The boat", " is blüe", " [1].")
START = encode_event("messageStart", {"role": "assistant"})
TEXT = [encode_event("contentBlockDelta", {"delta": {"text": piece}, "contentBlockIndex": 0}) for piece in PIECES]
STOP = encode_event("messageStop", {"stopReason": "end_turn"})
USAGE = encode_event("metadata", {"usage": {"inputTokens": 12, "outputTokens": 5, "totalTokens": 17}})
WHOLE = b"".join([START, *TEXT, STOP, USAGE])


def send(content: bytes, *, size: int = 7, then: str = "stay", is_whole: bool = True) -> Reply:
    """A chunked response, in chunks that divide messages."""
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return Reply(head + body + (b"0\r\n\r\n" if is_whole else b""), then)


class Bedrock:
    """A server that gives one reply after another, and the last one for ever."""

    def __init__(self, first: Reply) -> None:
        self.replies = [first]
        self.server = Server(lambda _: self.replies.pop(0) if len(self.replies) > 1 else self.replies[0])

    @property
    def requests(self) -> list[Request]:
        return self.server.requests


@pytest.fixture
def bedrock(first_reply: Reply) -> Iterator[Bedrock]:
    """The stand-in, whose first reply is the module's."""
    stub = Bedrock(first_reply)
    with stub.server:
        yield stub
