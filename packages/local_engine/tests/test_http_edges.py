"""Requests that no HTTP library sends, over sockets: targets, framing, sizes, and clients that stop half-way."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from conftest import STACKS, connect

from local_engine.gateway.http_connection import HttpConnection
from local_engine.testing import EngineProcess, processes_below

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
HOST = "Host: a\r\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "echo" / "template.yaml") as engine:
        yield engine


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def exchange(port: int, content: str | bytes) -> bytes:
    """Send bytes, keep the connection open, and return what comes until the server ends it."""
    with connect(port) as connection:
        connection.sendall(content.encode("latin-1") if isinstance(content, str) else content)
        return read_to_end(connection)


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in _STATUS.findall(answer)]


def body(answer: bytes) -> bytes:
    return answer.rpartition(b"\r\n\r\n")[2]


CLOSE = "Connection: close\r\n\r\n"


class TestTarget:
    """RFC 9112, section 3.2."""

    @pytest.mark.parametrize(
        ("target", "path"),
        [
            ("http://shop.example.com/a/b?x=1", "/a/b"),
            ("HTTPS://shop.example.com/", "/"),
            ("http://shop.example.com", "/"),
            ("http://shop.example.com?x=1", "/"),
        ],
    )
    def test_an_absolute_target_is_the_path_of_its_authority(
        self, engine: EngineProcess, target: str, path: str
    ) -> None:
        answer = exchange(engine.port, f"GET {target} HTTP/1.1\r\nHost: other\r\n{CLOSE}")
        assert statuses(answer) == [200]
        assert f'"rawPath": "{path}"'.encode() in answer
        assert b'"domainName": "shop.example.com"' in answer
        assert b'"host": "shop.example.com"' in answer
        assert b"other" not in answer

    @pytest.mark.parametrize(
        "target",
        ["evil.example.com:443", "ftp://a/b", "http:///b", "http://user@a/b", "http://a:99999/b", "http://a b/", "a/b"],
    )
    def test_another_target_is_400(self, engine: EngineProcess, target: str) -> None:
        answer = exchange(engine.port, f"GET {target} HTTP/1.1\r\n{HOST}\r\n")
        assert (statuses(answer), body(answer)) == ([400], b'{"message":"Bad Request"}')

    @pytest.mark.parametrize(
        ("target", "raw_path"),
        [
            ("//a//b", "//a//b"),
            ("/a/../b/./c", "/a/../b/./c"),
            ("/a%2Fb", "/a/b"),
            ("/%2e%2e/a", "/../a"),
            ("/%zz%", "/%zz%"),
            ("/a;b=c", "/a;b=c"),
        ],
    )
    def test_a_path_is_not_normalized(self, engine: EngineProcess, target: str, raw_path: str) -> None:
        answer = exchange(engine.port, f"GET {target} HTTP/1.1\r\n{HOST}{CLOSE}")
        assert statuses(answer) == [200]
        assert f'"rawPath": "{raw_path}"'.encode() in answer


class TestHost:
    """RFC 9112, section 3.2, and RFC 9110, section 7.2."""

    @pytest.mark.parametrize(
        "host",
        ["", "a b", "a/b", "user@a", "a:b", "a:99999", "a:1:2", "[::1", "[::g]", "[:::]", "%zz", "é", '"a"', "<a>"],
    )
    def test_a_malformed_host_is_400(self, engine: EngineProcess, host: str) -> None:
        answer = exchange(engine.port, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert (statuses(answer), body(answer)) == ([400], b'{"message":"Bad Request"}')

    @pytest.mark.parametrize("lines", ["", "Host: a\r\nHost: a\r\n", "Host : a\r\n"])
    def test_a_missing_or_second_host_is_400(self, engine: EngineProcess, lines: str) -> None:
        answer = exchange(engine.port, f"GET / HTTP/1.1\r\n{lines}\r\n")
        assert (statuses(answer), body(answer)) == ([400], b'{"message":"Bad Request"}')

    @pytest.mark.parametrize("host", ["a", "A.example.com.", "a:", "a:80", "127.0.0.1:3000", "[::1]:3000", "a_b%20c"])
    def test_other_hosts_are_taken(self, engine: EngineProcess, host: str) -> None:
        assert statuses(exchange(engine.port, f"GET / HTTP/1.1\r\nHost: {host}\r\n{CLOSE}")) == [200]

    def test_http_1_0_needs_none(self, engine: EngineProcess) -> None:
        assert statuses(exchange(engine.port, "GET / HTTP/1.0\r\n\r\n")) == [200]


class TestLocalPages:
    """A foreign name can resolve to this machine (DNS rebinding), and the pages hold a token."""

    PATHS = ("/_local/docs", "/_local/openapi.json", "/%5Flocal/docs", "/_local/issuer/.well-known/jwks.json")

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize(
        "host",
        [
            "evil.example.com",
            "localhost.evil.example.com",
            "evil.localhost",
            "127.0.0.1.evil.example.com",
            "a b",
            "",
            "::1",
        ],
    )
    def test_another_name_is_400(self, engine: EngineProcess, path: str, host: str) -> None:
        answer = exchange(engine.port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert (statuses(answer), body(answer)) == ([400], b'{"message":"Bad Request"}')

    def test_http_1_0_without_a_host_is_400(self, engine: EngineProcess) -> None:
        assert statuses(exchange(engine.port, "GET /_local/docs HTTP/1.0\r\n\r\n")) == [400]

    def test_the_authority_of_an_absolute_target_counts(self, engine: EngineProcess) -> None:
        request = f"GET http://evil.example.com/_local/docs HTTP/1.1\r\nHost: localhost\r\n{CLOSE}"
        assert statuses(exchange(engine.port, request)) == [400]

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:3000", "localhost.", "127.0.0.1", "127.0.0.2:1", "[::1]:3000"]
    )
    def test_names_of_loopback_are_taken(self, engine: EngineProcess, path: str, host: str) -> None:
        assert statuses(exchange(engine.port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{CLOSE}")) == [200]

    def test_the_aws_services_have_the_same_guard(self, engine: EngineProcess) -> None:
        port = int(engine.services.rpartition(":")[2])
        assert statuses(exchange(port, f"GET / HTTP/1.1\r\nHost: evil.example.com\r\n{CLOSE}")) == [400]
        assert statuses(exchange(port, f"GET / HTTP/1.1\r\nHost: bucket.localhost\r\n{CLOSE}")) != [400]


class TestSize:
    """ "Quotas for configuring and running an HTTP API" (API Gateway Developer Guide)."""

    @pytest.mark.parametrize(
        "head",
        [
            f"GET / HTTP/1.1\r\n{HOST}X-A: {'x' * 10_240}\r\n\r\n",
            f"GET /{'x' * 10_240} HTTP/1.1\r\n{HOST}\r\n",
            f"GET /?{'x' * 10_240} HTTP/1.1\r\n{HOST}\r\n",
            # Longer than what the server keeps of an incomplete head.
            f"GET / HTTP/1.1\r\n{HOST}X-A: {'x' * 1_000_000}",
            f"GET /{'x' * 1_000_000}",
        ],
        ids=["header", "path", "query", "endless header", "endless line"],
    )
    def test_a_long_head_is_431(self, engine: EngineProcess, head: str) -> None:
        answer = exchange(engine.port, head + (CLOSE if head.endswith("\r\n\r\n") else ""))
        assert statuses(answer)[0] == 431
        assert b'\r\n\r\n{"message":"Request Header Fields Too Large"}' in answer
        assert b"content-type: application/json\r\n" in answer.lower()

    def test_a_huge_content_length_is_413_without_the_body(self, engine: EngineProcess) -> None:
        answer = exchange(engine.port, f"POST / HTTP/1.1\r\n{HOST}Content-Length: 99999999999\r\n\r\nabc")
        assert (statuses(answer), body(answer)) == ([413], b'{"message":"Request Entity Too Large"}')

    def test_a_chunked_body_is_413_as_soon_as_it_is_too_large(self, engine: EngineProcess) -> None:
        chunks = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        head = f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n".encode()
        # Without the last chunk.
        assert statuses(exchange(engine.port, head + chunks * 11)) == [413]

    def test_an_invocation_with_a_huge_content_length_is_413_without_the_body(self, engine: EngineProcess) -> None:
        answer = exchange(
            engine.port,
            "POST /_local/lambda/2015-03-31/functions/Echo/invocations HTTP/1.1\r\nHost: localhost\r\n"
            "Authorization: AWS4-HMAC-SHA256 x\r\nContent-Length: 99999999999\r\n\r\nabc",
        )
        assert statuses(answer) == [413]


class TestFraming:
    """RFC 9112, sections 6 and 7, and RFC 9110, section 10.1.1."""

    @pytest.mark.parametrize(
        ("lines", "content"),
        [
            ("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
            ("Content-Length: 3\r\nContent-Length: 4", "abcd"),
            ("Content-Length: 3, 4", "abcd"),
            ("Content-Length: " + "0" * 30 + "3", "abc"),
            ("Transfer-Encoding: gzip", ""),
            ("Transfer-Encoding: identity, chunked", "0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "g\r\n\r\n"),
            ("Transfer-Encoding: chunked", "-1\r\n\r\n"),
            ("Transfer-Encoding: chunked", "3 \r\nabcd"),
            ("Transfer-Encoding: chunked", "ffffffffffffffffffffff\r\n"),
            ("X-A: b\0c", ""),
            ("X-A: b\rc", ""),
            (" X-A: b", ""),
            ("X A: b", ""),
            (": b", ""),
        ],
    )
    def test_ambiguous_framing_is_400_and_ends_the_connection(
        self, engine: EngineProcess, lines: str, content: str
    ) -> None:
        answer = exchange(engine.port, f"POST / HTTP/1.1\r\n{HOST}{lines}\r\n\r\n{content}")
        assert (statuses(answer), body(answer)) == ([400], b'{"message":"Bad Request"}')

    def test_trailers_do_not_become_headers(self, engine: EngineProcess) -> None:
        request = (
            f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n{CLOSE}3;ext=1\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"
        )
        answer = exchange(engine.port, request)
        assert statuses(answer) == [200]
        assert b"x-trailer" not in answer.lower()

    def test_pipelined_requests_are_answered_in_order(self, engine: EngineProcess) -> None:
        requests = [f"GET /{number} HTTP/1.1\r\n{HOST}" for number in range(3)]
        answer = exchange(engine.port, "\r\n".join(requests) + CLOSE)
        assert statuses(answer) == [200, 200, 200]
        assert re.findall(rb'"rawPath": "/(\d)"', answer) == [b"0", b"1", b"2"]

    def test_100_continue_precedes_the_body(self, engine: EngineProcess) -> None:
        head = f"POST / HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 3\r\n{CLOSE}"
        with connect(engine.port) as connection:
            connection.sendall(head.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
            connection.sendall(b"abc")
            answer = read_to_end(connection)
        assert statuses(answer) == [200]
        assert b'"body": ' in answer

    def test_a_rejected_client_that_waits_for_100_continue_gets_no_second_chance(self, engine: EngineProcess) -> None:
        request = f"POST / HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
        assert statuses(exchange(engine.port, request + f"GET / HTTP/1.1\r\n{HOST}\r\n")) == [413]

    @pytest.mark.parametrize("keep", ["", "Connection: keep-alive\r\n"])
    def test_http_1_0_gets_one_answer(self, engine: EngineProcess, keep: str) -> None:
        assert statuses(exchange(engine.port, f"GET / HTTP/1.0\r\n{keep}\r\nGET / HTTP/1.0\r\n\r\n")) == [200]

    def test_a_response_to_head_has_no_body(self, engine: EngineProcess) -> None:
        head = exchange(engine.port, f"HEAD / HTTP/1.1\r\n{HOST}{CLOSE}")
        assert statuses(head) == [200]
        assert body(head) == b""


class TestHalfClosed:
    def test_a_complete_request_is_answered(self, engine: EngineProcess) -> None:
        with connect(engine.port) as connection:
            connection.sendall(f"POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc".encode())
            connection.shutdown(socket.SHUT_WR)
            assert statuses(read_to_end(connection)) == [200]

    def test_pipelined_requests_are_answered(self, engine: EngineProcess) -> None:
        with connect(engine.port) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\n{HOST}\r\n".encode() * 3)
            connection.shutdown(socket.SHUT_WR)
            assert statuses(read_to_end(connection)) == [200, 200, 200]

    @pytest.mark.parametrize(
        "part", [f"GET / HTTP/1.1\r\n{HOST}", f"POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nab", "G"]
    )
    def test_an_incomplete_request_is_400(self, engine: EngineProcess, part: str) -> None:
        with connect(engine.port) as connection:
            connection.sendall(part.encode())
            connection.shutdown(socket.SHUT_WR)
            assert statuses(read_to_end(connection)) == [400]

    def test_nothing_gets_nothing(self, engine: EngineProcess) -> None:
        with connect(engine.port) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert read_to_end(connection) == b""


class _HastyConnection(HttpConnection):
    request_seconds = 0.2


@contextmanager
def serve_hastily() -> Iterator[int]:
    """Serve an application that answers POST with its body and other requests at once."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        content = b""
        while scope["method"] == "POST":
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            content += message["body"]
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": content})

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(answer, http=_HastyConnection, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def hasty() -> Iterator[int]:
    with serve_hastily() as port:
        yield port


def read_and_drip(connection: socket.socket, drop: bytes) -> bytes:
    """Send a byte sequence again and again until the server has answered and hung up."""
    received = b""
    connection.settimeout(0.05)
    for _ in range(400):
        try:
            chunk = connection.recv(65536)
        except TimeoutError:
            connection.sendall(drop)
            continue
        if not chunk:
            return received
        received += chunk
    raise AssertionError("the server goes on waiting")


class TestUnfinished:
    """Clients that do not finish their request."""

    @pytest.mark.parametrize(
        ("start", "drop", "expected"),
        [
            ("", b"", []),
            ("GET / HTTP/1.1\r\n", b"X-A: b\r\n", [408]),
            ("G", b"", [408]),
            (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 9999\r\n\r\n", b"x", [408]),
            (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", [408]),
            (f"GET / HTTP/1.1\r\n{HOST}\r\nGET", b"", [200, 408]),
            # Answered before its body is there.
            (f"GET / HTTP/1.1\r\n{HOST}Content-Length: 9999\r\n\r\n", b"x", [200]),
        ],
        ids=["idle", "head", "line", "body", "chunks", "second head", "rest of a body"],
    )
    def test_the_server_gives_up(self, hasty: int, start: str, drop: bytes, expected: list[int]) -> None:
        with connect(hasty) as connection:
            connection.sendall(start.encode())
            assert statuses(read_and_drip(connection, drop)) == expected

    def test_a_finished_request_does_not_count_against_the_next(self, hasty: int) -> None:
        request = f"POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc".encode()
        with connect(hasty) as connection:
            for _ in range(6):
                for part in (request[:10], request[10:-1], request[-1:]):
                    connection.sendall(part)
                    time.sleep(0.05)
                assert statuses(connection.recv(65536)) == [200]

    def test_unfinished_requests_do_not_hold_up_the_end(self) -> None:
        with EngineProcess(STACKS / "misbehaving" / "template.yaml") as engine:
            parts = (
                "",
                "GET",
                f"POST /fine HTTP/1.1\r\n{HOST}Content-Length: 9\r\n\r\n",
                f"GET /hang HTTP/1.1\r\n{HOST}\r\n",
                f"GET /fine HTTP/1.1\r\n{HOST}\r\n",
            )
            connections = [connect(engine.port) for _ in parts]
            for connection, part in zip(connections, parts, strict=True):
                connection.sendall(part.encode())
            assert statuses(connections[-1].recv(65536)) == [200]
            assert engine.stop(signal.SIGINT) == 0
            for connection in connections:
                connection.close()
        assert "Traceback" not in engine.output


def test_errors_that_need_no_body_do_not_wait_for_it() -> None:
    with EngineProcess(STACKS / "guarded" / "template.yaml", "--parameters", "Issuer=http://127.0.0.1:1") as engine:
        for path, status in (("/any", 401), ("/nowhere", 404)):
            with connect(engine.port) as connection:
                head = f"GET {path} HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\n"
                connection.sendall(head.encode())
                assert statuses(connection.recv(65536)) == [status]
                # The connection goes on behind the body.
                connection.sendall(f"abcdeGET /free HTTP/1.1\r\n{HOST}{CLOSE}".encode())
                assert statuses(read_to_end(connection)) == [200]


def test_the_end_of_the_aws_services_is_told() -> None:
    with EngineProcess(STACKS / "monitored" / "template.yaml") as engine, engine.client() as client:
        (services,) = (pid for pid in processes_below(engine.process.pid) if "moto_server" in command_of(pid))
        os.kill(services, signal.SIGKILL)
        engine.wait_for_line(r"The AWS services ended with status -9\. .* Start the engine again\.")
        # What does not need them works.
        assert client.get("/orders/1").status_code == 200
        assert engine.stop() == 0
    assert "Traceback" not in engine.output
    assert engine.output.count("AWS services ended") == 1


def command_of(pid: int) -> str:
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
