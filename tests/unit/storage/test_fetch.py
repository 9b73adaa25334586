"""The limit of an answer's size, whether the answer says its length or not."""

from http.client import HTTPConnection, HTTPResponse

import pytest

from serverless_api.storage.fetch import AnswerTooLarge, fetch
from tests.support.http_server import Reply, Server

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MOST = 8
FRAMES = {
    "with its length": b"Content-Length: %d\r\n\r\n%b",
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n",
    "until the connection closes": b"Connection: close\r\nX-Length: %d\r\n\r\n%b",
}


def receive(frame: str, content: bytes) -> tuple[HTTPResponse, bytes]:
    """Fetch an answer of at most `MOST` bytes."""
    reply = Reply(b"HTTP/1.1 200 OK\r\n" + FRAMES[frame] % (len(content), content), "close")
    with Server(lambda _: reply) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        try:
            return fetch(connection, "GET", "/", {}, most=MOST)
        finally:
            connection.close()


@pytest.mark.parametrize("frame", FRAMES)
def test_an_answer_may_be_as_large_as_the_limit_and_no_larger(frame: str) -> None:
    response, content = receive(frame, b"x" * MOST)
    assert (response.status, content) == (200, b"x" * MOST)
    with pytest.raises(AnswerTooLarge, match=f"it is over {MOST} bytes"):
        receive(frame, b"x" * (MOST + 1))
