"""Requests that two servers could read in two ways, and paths that two could resolve differently: over a socket."""

from functools import partial

import pytest

from local_engine.testing import EngineProcess
from tests.security.doors import GatewayDoor
from tests.security.raw import exchange
from tests.security.tokens import Forge
from tests.support.cases import combine, each
from tests.support.items import read_state
from tests.support.stack import SUCCESS, Route, list_creators, list_routes, select_routes

PAGES = select_routes(lambda route: route.takes("nextToken") and not route.path_parameters)
CREATORS = select_routes(lambda route: route in list_creators() and not route.path_parameters)


def write_request(method: str, target: str, token: str, *lines: str, body: str = "") -> str:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", f"Authorization: Bearer {token}", *lines, "", body])


def write_create(route: Route, token: str, *lines: str) -> str:
    body = str(route.load_event()["body"])
    lines = ("Content-Type: application/json", f"Content-Length: {len(body.encode())}", *lines)
    return write_request("POST", route.path, token, *lines, body=body)


def write_end(route: Route) -> str:
    """A request without a token: a server that reads this far answers 401 and hangs up."""
    return f"{route.method} {route.path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


# What precedes a whole request in the body of the first one: a server that reads the length differently runs it.
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


@pytest.mark.parametrize(
    ("lines", "prefix", "status"),
    [pytest.param(*framing, id=f"{name}-{framing[2]}") for name, framing in FRAMINGS.items()],
)
@each(CREATORS.__contains__)
def test_smuggled_request(
    gateway: GatewayDoor,
    engine: EngineProcess,
    forge: Forge,
    attacker: str,
    route: Route,
    lines: list[str],
    prefix: str,
    status: int,
) -> None:
    token = forge.mint(attacker)
    smuggled = prefix + write_create(route, token) + write_end(route)
    lines = [line.format(length=len(smuggled)) for line in lines]
    request = write_request("POST", route.path, token, *lines, body=smuggled)
    # One answer, then the connection closes, because nobody knows where the next request would start.
    assert exchange(engine.port, request.encode()) == [status]
    assert read_state(route, partial(gateway.send, attacker), route.path) == []


@each(CREATORS.__contains__)
def test_a_second_request_behind_a_whole_one(engine: EngineProcess, forge: Forge, attacker: str, route: Route) -> None:
    # Without this, the tests above would pass for a server that answers one request a connection.
    requests = write_create(route, forge.mint(attacker)) * 2 + write_end(route)
    assert exchange(engine.port, requests.encode()) == [route.success, route.success, 401]


@each(PAGES.__contains__)
def test_a_request_behind_one_without_a_token(engine: EngineProcess, forge: Forge, attacker: str, route: Route) -> None:
    good = write_request("GET", route.path, forge.mint(attacker))
    bare = f"GET {route.path} HTTP/1.1\r\nHost: a\r\n\r\n"
    statuses = exchange(engine.port, (good + bare + good + write_end(route)).encode())
    assert statuses == [route.success, 401, route.success, 401]


def find_other_method(route: Route) -> str:
    """A method that the route's path does not have."""
    taken = {other.method for other in list_routes() if other.path == route.path}
    return next(method for method in ("PATCH", "DELETE", "PUT", "POST") if method not in taken)


# `{path}` stands for the route's path, `{last}` for its last segment, `{parent}` for the segments before it.
TARGETS: dict[str, tuple[str, str, str | int]] = {
    "an absolute address": ("GET", "http://evil.example.com{path}", SUCCESS),
    "an authority": ("GET", "evil.example.com:443", 400),
    "CONNECT": ("CONNECT", "evil.example.com:443", 400),
    "an asterisk": ("OPTIONS", "*", 404),
    "two slashes before": ("GET", "/{path}", 404),
    "two slashes within": ("GET", "{parent}//{last}", 404),
    "a slash behind": ("GET", "{path}/", 404),
    "dots within": ("GET", "{parent}/x/../{last}", 404),
    "dots to the root": ("GET", "/../../etc/passwd", 404),
    "encoded dots": ("GET", "{path}/%2e%2e/{last}", 404),
    "an encoded slash": ("GET", "{parent}%2f{last}", 404),
    "dots for an id": ("GET", "{path}/..", 404),
    "encoded dots for an id": ("DELETE", "{path}/%2e%2e", 404),
    "dots encoded twice": ("GET", "{path}/%252e%252e%252f", 404),
    "NUL in the path": ("GET", "{path}/%00", 404),
    "NUL behind a route": ("GET", "{path}%00", 404),
    "a broken escape": ("GET", "{path}/%zz", 404),
    "an escape that is no UTF-8": ("GET", "{path}/%ff%fe", 404),
    "a semicolon behind a route": ("GET", "{path};x=1", 404),
    "a backslash": ("GET", "{parent}\\{last}", 404),
    "another case": ("GET", "{upper}", 404),
    "a fragment": ("GET", "{path}#x", 404),
    "a raw control character": ("GET", "{path}/\x07", 400),
    "raw bytes over ASCII": ("GET", "{path}/\xff", 400),
    "a line break in the target": ("GET", "{path}\r\nX: y", 400),
    "a method in lower case": ("get", "{path}", 404),
    "TRACE": ("TRACE", "{path}", 404),
    "a method that the path does not have": ("{other}", "{path}", 404),
    "a method of odd characters": ("G#T!'*~", "{path}", 404),
    "a method with a slash": ("GET/", "{path}", 400),
    "a method of 8 kB": ("G" * 8192, "{path}", 404),
    "HEAD": ("HEAD", "{path}", 404),
}


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [pytest.param(*attack, id=f"{name}-{attack[2]}") for name, attack in TARGETS.items()],
)
@each(PAGES.__contains__)
def test_target(
    engine: EngineProcess, forge: Forge, route: Route, method: str, target: str, expected: str | int
) -> None:
    parent, _, last = route.path.rpartition("/")
    target = target.format(path=route.path, parent=parent, last=last, upper=route.path.upper())
    method = method.format(other=find_other_method(route))
    request = write_request(method, target, forge.mint(), "Connection: close")
    assert exchange(engine.port, request.encode("latin-1")) == [route.resolve(expected)]


HEADERS: dict[str, tuple[str, str | int]] = {
    "a header of 11 kB": (f"X-A: {'x' * 11_000}", 431),
    "1,000 headers": ("\r\n".join(f"X-{number}: {'x' * 10}" for number in range(1_000)), 431),
    "an expectation": ("Expect: 100-continue", SUCCESS),
    "an upgrade": ("Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", SUCCESS),
    "claims in headers": ("X-Amzn-Oidc-Identity: victim\r\nX-Forwarded-User: victim\r\nX-User-Id: victim", SUCCESS),
}


@pytest.mark.parametrize(
    ("route", "header", "expected"),
    [
        *combine(CREATORS, HEADERS),
        *combine(
            [route for route in CREATORS if route.takes("Idempotency-Key")],
            {"an Idempotency-Key over ASCII": ("Idempotency-Key: \xe9", 400)},
        ),
    ],
)
def test_header(
    gateway: GatewayDoor,
    engine: EngineProcess,
    forge: Forge,
    attacker: str,
    route: Route,
    header: str,
    expected: str | int,
) -> None:
    request = write_create(route, forge.mint(attacker), "Connection: close", header)
    answers = [answer for answer in exchange(engine.port, request.encode("latin-1")) if answer != 100]
    assert answers == [route.resolve(expected)]
    assert len(read_state(route, partial(gateway.send, attacker), route.path)) == (
        expected == SUCCESS and route.page is not None
    )
