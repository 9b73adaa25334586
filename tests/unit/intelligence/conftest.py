"""A stand-in for Bedrock's runtime."""

from collections.abc import Iterator

import pytest

from tests.support.http_server import Reply, Request, Server


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
