"""Requests that two servers could read in two ways, and paths that two could find in two places: over a socket."""

import httpx
import pytest

from tests.security.doors import RESOURCES
from tests.security.raw import exchange
from tests.security.tokens import Forge
from tests.support.engine_process import EngineProcess

BODY = '{"name":"smuggled","type":"A"}'


def write_request(method: str, target: str, token: str, *lines: str, body: str = "") -> str:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", f"Authorization: Bearer {token}", *lines, "", body])


def write_create(token: str) -> str:
    lines = ("Content-Type: application/json", f"Content-Length: {len(BODY)}")
    return write_request("POST", RESOURCES, token, *lines, body=BODY)


END = f"GET {RESOURCES} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""Without a token: whoever reads as far as this answers 401 and hangs up."""


# What stands before a whole request in the body of the first one: whoever reads the length differently runs it.
FRAMINGS: dict[str, tuple[list[str], str, int]] = {
    "Content-Length and Transfer-Encoding": (
        ["Content-Length: {length}", "Transfer-Encoding: chunked"],
        "0\r\n\r\n",
        400,
    ),
    "Transfer-Encoding and Content-Length": (
        ["Transfer-Encoding: chunked", "Content-Length: {length}"],
        "0\r\n\r\n",
        400,
    ),
    "a Content-Length of 0 and Transfer-Encoding": (
        ["Content-Length: 0", "Transfer-Encoding: chunked"],
        "0\r\n\r\n",
        400,
    ),
    "two lengths": (["Content-Length: 0", "Content-Length: {length}"], "", 400),
    "two lengths in one header": (["Content-Length: 0, {length}"], "", 400),
    "a length with a sign": (["Content-Length: +0"], "", 400),
    "a negative length": (["Content-Length: -1"], "", 400),
    "a hexadecimal length": (["Content-Length: 0x0"], "", 400),
    "a length with a blank before the colon": (["Content-Length : 0"], "", 400),
    "an encoding that ends unchunked": (["Transfer-Encoding: chunked, identity"], "0\r\n\r\n", 400),
    "two encodings": (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], "0\r\n\r\n", 400),
    "an unknown encoding": (["Transfer-Encoding: xchunked"], "0\r\n\r\n", 400),
    "an encoding in quotation marks": (['Transfer-Encoding: "chunked"'], "0\r\n\r\n", 400),
    "an encoding with a vertical tab": (["Transfer-Encoding: \x0bchunked"], "0\r\n\r\n", 400),
    "an encoding with a blank before the colon": (["Transfer-Encoding : chunked"], "0\r\n\r\n", 400),
    "an encoding on a line folded": (["Transfer-Encoding:", " chunked", "Content-Length: {length}"], "0\r\n\r\n", 400),
    "a chunk of negative size": (["Transfer-Encoding: chunked"], "-1\r\n\r\n", 400),
    "a chunk of 40 digits": (["Transfer-Encoding: chunked"], "f" * 40 + "\r\n\r\n", 400),
    "a chunk's end without its line break": (["Transfer-Encoding: chunked"], "1\r\nab0\r\n\r\n", 400),
    "a header without a colon": (["Garbage"], "", 400),
    "a bare CR in a header": (["X-A: b\rContent-Length: 0"], "", 400),
    "NUL in a header": (["X-A: b\0c"], "", 400),
    "a line feed in a header's name": (["X-\nA: b"], "", 400),
    "two hosts": (["Host: b"], "", 400),
}


@pytest.fixture
def own(forge: Forge, attacker: str, engine: EngineProcess) -> httpx.Client:
    return engine.client(headers={"Authorization": f"Bearer {forge.mint(attacker)}"})


@pytest.mark.parametrize(
    ("lines", "prefix", "status"),
    [pytest.param(*framing, id=f"{name}-{framing[2]}") for name, framing in FRAMINGS.items()],
)
def test_smuggled_request(
    engine: EngineProcess, forge: Forge, own: httpx.Client, attacker: str, lines: list[str], prefix: str, status: int
) -> None:
    token = forge.mint(attacker)
    smuggled = prefix + write_create(token) + END
    lines = [line.format(length=len(smuggled)) for line in lines]
    # One answer, and then the connection is closed: nobody knows where the next request would start.
    assert exchange(engine.port, write_request("POST", RESOURCES, token, *lines, body=smuggled).encode()) == [status]
    with own:
        assert own.get(RESOURCES).json()["count"] == 0


def test_a_second_request_behind_a_whole_one(engine: EngineProcess, forge: Forge, attacker: str) -> None:
    # Without this the tests above would hold for a server that answers one request a connection.
    token = forge.mint(attacker)
    assert exchange(engine.port, (write_create(token) * 2 + END).encode()) == [201, 201, 401]


def test_a_request_behind_one_without_a_token(engine: EngineProcess, forge: Forge, attacker: str) -> None:
    good = write_request("GET", RESOURCES, forge.mint(attacker))
    bare = f"GET {RESOURCES} HTTP/1.1\r\nHost: a\r\n\r\n"
    assert exchange(engine.port, (good + bare + good + END).encode()) == [200, 401, 200, 401]


TARGETS: dict[str, tuple[str, str, int]] = {
    "an absolute address": ("GET", f"http://evil.example.com{RESOURCES}", 404),
    "an authority": ("GET", "evil.example.com:443", 404),
    "CONNECT": ("CONNECT", "evil.example.com:443", 404),
    "an asterisk": ("OPTIONS", "*", 404),
    "two slashes before": ("GET", f"/{RESOURCES}", 404),
    "two slashes within": ("GET", "/api//v1/resources", 404),
    "a slash behind": ("GET", f"{RESOURCES}/", 404),
    "dots within": ("GET", "/api/v1/x/../resources", 404),
    "dots to the root": ("GET", "/../../etc/passwd", 404),
    "encoded dots": ("GET", f"{RESOURCES}/%2e%2e/resources", 404),
    "an encoded slash": ("GET", "/api%2fv1%2fresources", 404),
    "dots for an id": ("GET", f"{RESOURCES}/..", 404),
    "encoded dots for an id": ("DELETE", f"{RESOURCES}/%2e%2e", 404),
    "dots encoded twice": ("GET", f"{RESOURCES}/%252e%252e%252f", 404),
    "NUL in the path": ("GET", f"{RESOURCES}/%00", 404),
    "NUL behind a route": ("GET", f"{RESOURCES}%00", 404),
    "a broken escape": ("GET", f"{RESOURCES}/%zz", 404),
    "an escape that is no UTF-8": ("GET", f"{RESOURCES}/%ff%fe", 404),
    "a semicolon behind a route": ("GET", f"{RESOURCES};x=1", 404),
    "a backslash": ("GET", "/api\\v1\\resources", 404),
    "another case": ("GET", "/API/v1/resources", 404),
    "a fragment": ("GET", f"{RESOURCES}#x", 404),
    "a raw control character": ("GET", f"{RESOURCES}/\x07", 400),
    "raw bytes over ASCII": ("GET", f"{RESOURCES}/\xff", 400),
    "a line break in the target": ("GET", f"{RESOURCES}\r\nX: y", 400),
    "a method in lower case": ("get", RESOURCES, 404),
    "TRACE": ("TRACE", RESOURCES, 404),
    "PATCH": ("PATCH", RESOURCES, 404),
    "a method of odd characters": ("G#T!'*~", RESOURCES, 404),
    "a method with a slash": ("GET/", RESOURCES, 400),
    "a method of 8 kB": ("G" * 8192, RESOURCES, 404),
    "HEAD": ("HEAD", RESOURCES, 404),
}


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [pytest.param(*attack, id=f"{name}-{attack[2]}") for name, attack in TARGETS.items()],
)
def test_target(engine: EngineProcess, forge: Forge, method: str, target: str, status: int) -> None:
    request = write_request(method, target, forge.mint(), "Connection: close")
    assert exchange(engine.port, request.encode("latin-1")) == [status]


HEADERS: dict[str, tuple[str, int]] = {
    "a header of 11 kB": (f"X-A: {'x' * 11_000}", 431),
    "1,000 headers": ("\r\n".join(f"X-{number}: {'x' * 10}" for number in range(1_000)), 431),
    "an Idempotency-Key over ASCII": ("Idempotency-Key: \xe9", 400),
    "an expectation": ("Expect: 100-continue", 201),
    "an upgrade": ("Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", 201),
    "claims in headers": ("X-Amzn-Oidc-Identity: victim\r\nX-Forwarded-User: victim\r\nX-User-Id: victim", 201),
}


@pytest.mark.parametrize(
    ("header", "status"), [pytest.param(*attack, id=f"{name}-{attack[1]}") for name, attack in HEADERS.items()]
)
def test_header(
    engine: EngineProcess, forge: Forge, own: httpx.Client, attacker: str, header: str, status: int
) -> None:
    lines = ("Content-Type: application/json", f"Content-Length: {len(BODY)}", "Connection: close", header)
    request = write_request("POST", RESOURCES, forge.mint(attacker), *lines, body=BODY)
    answers = [answer for answer in exchange(engine.port, request.encode("latin-1")) if answer != 100]
    assert answers == [status]
    with own:
        assert own.get(RESOURCES).json()["count"] == (status == 201)
