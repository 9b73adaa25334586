"""The gateway as a client sees it."""

import base64
import re
import socket
from collections.abc import Sequence
from datetime import datetime

import httpx
import pytest

from local_engine.testing import EngineProcess


def test_event_has_payload_format_2(echo: httpx.Client) -> None:
    response = echo.post(
        "/a%20b/c?x=1&x=2&y=%20&z",
        headers=[("X-Twice", "1"), ("x-twice", "2"), ("cookie", "a=1; b=2"), ("content-type", "application/json")],
        content='{"ä": 1}'.encode(),
    )
    event = response.json()
    assert event["version"] == "2.0"
    assert event["routeKey"] == "$default"
    assert event["rawPath"] == "/a b/c"
    assert event["rawQueryString"] == "x=1&x=2&y=%20&z"
    assert event["queryStringParameters"] == {"x": "1,2", "y": " ", "z": ""}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-twice"] == "1,2"
    assert "cookie" not in event["headers"]
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert event["body"] == '{"ä": 1}'
    assert event["isBase64Encoded"] is False
    assert "pathParameters" not in event
    context = event["requestContext"]
    assert context["http"] | {"userAgent": ""} == {
        "method": "POST",
        "path": "/a b/c",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "",
    }
    assert context["requestId"] == response.headers["apigw-requestid"]
    assert context["stage"] == "$default"
    assert "authorizer" not in context
    moment = datetime.strptime(context["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert context["timeEpoch"] // 1000 == moment.timestamp()


def test_the_source_is_the_clients_address_whatever_its_headers_say(echo: httpx.Client) -> None:
    headers = {"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https", "x-forwarded-port": "443"}
    event = echo.get("/", headers=headers).json()
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert event["headers"]["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
    assert event["headers"]["x-forwarded-proto"] == "http"
    assert event["headers"]["x-forwarded-port"] == str(echo.base_url.port)


def test_event_of_a_bare_request_has_no_empty_parts(echo: httpx.Client) -> None:
    event = echo.get("/").json()
    assert not {"body", "cookies", "pathParameters", "queryStringParameters"} & event.keys()


@pytest.mark.parametrize(
    ("content_type", "content", "is_base64"),
    [
        ("text/csv", b"a,b", False),
        ("application/problem+json; charset=utf-8", b"{}", False),
        ("application/xml", b"<a/>", False),
        ("application/x-www-form-urlencoded", b"a=1", True),
        ("image/png", b"\x89PNG", True),
        ("text/plain", b"\xff\xfe", True),
    ],
)
def test_body_is_base64_unless_it_is_text(
    echo: httpx.Client, content_type: str, content: bytes, is_base64: bool
) -> None:
    event = echo.post("/", content=content, headers={"content-type": content_type}).json()
    assert event["isBase64Encoded"] is is_base64
    assert (base64.b64decode(event["body"]) if is_base64 else event["body"].encode()) == content


def test_body_over_10_mb_is_413(echo: httpx.Client) -> None:
    response = echo.post("/", content=b"x" * (10 * 1024 * 1024 + 1))
    assert (response.status_code, response.json()) == (413, {"message": "Request Entity Too Large"})


def test_event_over_6_mb_is_413(echo: httpx.Client) -> None:
    response = echo.post("/", content=b"x" * (6 * 1024 * 1024), headers={"content-type": "text/plain"})
    assert (response.status_code, response.json()) == (413, {"message": "Request Entity Too Large"})
    assert echo.get("/").status_code == 200


def test_headers_over_10240_bytes_are_431(echo: httpx.Client) -> None:
    assert echo.get("/", headers={"x-long": "x" * 9_000}).status_code == 200
    assert echo.get("/", headers={"x-long": "x" * 10_240}).status_code == 431


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 3", "Transfer-Encoding: chunked"],
        ["Content-Length: 3", "Content-Length: 4"],
        ["Content-Length: +3"],
        ["Transfer-Encoding: identity, chunked"],
        ["Bad Name: x"],
        ["Host: other"],
    ],
)
def test_ambiguous_framing_is_rejected(echo: httpx.Client, lines: Sequence[str]) -> None:
    head = "\r\n".join(["POST / HTTP/1.1", "Host: a", *lines, "", "0\r\n\r\n"])
    with socket.create_connection((echo.base_url.host, echo.base_url.port or 80), timeout=20) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(65536)
    assert answer.split(b" ")[1] in (b"400", b"501")


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("GET", "/items/special", "GET /items/special", None),
        ("GET", "/items/17", "GET /items/{id}", {"id": "17"}),
        ("GET", "/items/a%2Fb%20c", "GET /items/{id}", {"id": "a/b c"}),
        ("GET", "/items/1/parts/2", "ANY /items/{id}/parts/{part}", {"id": "1", "part": "2"}),
        ("PATCH", "/items/1/parts/2", "ANY /items/{id}/parts/{part}", {"id": "1", "part": "2"}),
    ],
)
def test_the_most_specific_route_wins(
    shop: httpx.Client, method: str, path: str, route: str, parameters: dict[str, str] | None
) -> None:
    answer = shop.request(method, f"/v2{path}").json()
    assert (answer["route"], answer["parameters"]) == (route, parameters)
    assert answer["layers"] == ["packed", "plain"]


def test_a_greedy_variable_matches_last(shop: httpx.Client) -> None:
    assert shop.delete("/v2/items/17").json() == {"caught": "items/17", "method": "DELETE"}
    assert shop.get("/v2/x/y%20z/").json() == {"caught": "x/y z/", "method": "GET"}


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/items/17", "/", "/v22/items/17"])
def test_unknown_route_is_404(shop: httpx.Client, path: str) -> None:
    response = shop.get(path)
    assert (response.status_code, response.json()) == (404, {"message": "Not Found"})
    assert response.headers["apigw-requestid"]


def test_binary_bodies_pass_both_ways(shop: httpx.Client) -> None:
    content = bytes(range(256)) * 1000
    response = shop.put("/v2/files/a/b.bin", content=content, headers={"content-type": "image/png"})
    assert response.status_code == 201
    assert response.content == content
    assert response.headers["x-path"] == "a/b.bin"
    assert response.headers["x-base64"] == "true"


def test_chunked_bodies_pass(shop: httpx.Client) -> None:
    response = shop.put("/v2/files/a", content=iter([b"one", b"two"]), headers={"content-type": "text/plain"})
    assert response.content == b"onetwo"


def test_each_cookie_becomes_a_header(shop: httpx.Client) -> None:
    response = shop.get("/v2/cookies", headers=[("cookie", "c=3"), ("cookie", "d=4; e=5")])
    assert response.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]
    assert response.json() == ["c=3", "d=4", "e=5"]
    assert response.headers["x-number"] == "7"
    assert response.headers["content-type"] == "text/plain;charset=UTF-8"


def test_text_without_status_code_is_the_body(shop: httpx.Client) -> None:
    response = shop.get("/v2/plain")
    assert (response.status_code, response.text) == (200, "no status code, no headers")
    assert response.headers["content-type"] == "application/json"


def test_throttled_route_is_429_and_others_are_not(shop: httpx.Client) -> None:
    responses = [shop.get("/v2/limited") for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[2].json() == {"message": "Too Many Requests"}
    assert shop.get("/v2/items/1").status_code == 200


def test_head_has_no_body(echo: httpx.Client) -> None:
    assert echo.head("/").content == b""


class TestCors:
    ALLOWED = "https://shop.example.com"

    def test_preflight_of_an_allowed_origin(self, shop: httpx.Client) -> None:
        headers = {"origin": self.ALLOWED, "access-control-request-method": "PUT"}
        response = shop.options("/v2/anything", headers=headers)
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["access-control-allow-origin"] == self.ALLOWED
        assert response.headers["access-control-allow-methods"] == "GET,PUT"
        assert response.headers["access-control-allow-headers"] == "authorization,content-type"
        assert response.headers["access-control-max-age"] == "600"

    def test_preflight_of_another_origin_allows_nothing(self, shop: httpx.Client) -> None:
        headers = {"origin": "https://evil.example.com", "access-control-request-method": "PUT"}
        response = shop.options("/v2/anything", headers=headers)
        assert response.status_code == 204
        assert not [name for name in response.headers if name.startswith("access-control-")]

    def test_response_has_the_gateways_headers_and_not_the_functions(self, shop: httpx.Client) -> None:
        response = shop.get("/v2/cookies", headers={"origin": self.ALLOWED})
        assert response.headers.get_list("access-control-allow-origin") == [self.ALLOWED]
        assert response.headers["access-control-expose-headers"] == "etag"
        assert "access-control-allow-origin" not in shop.get("/v2/cookies").headers

    def test_options_that_is_no_preflight_is_routed(self, shop: httpx.Client) -> None:
        assert shop.options("/v2/x").json() == {"caught": "x", "method": "OPTIONS"}


def test_function_sees_lambdas_environment_and_not_the_developers(shop: httpx.Client) -> None:
    answer = shop.get("/v2/environment").json()
    environment, context = answer["environment"], answer["context"]
    assert environment["TABLE"] == "Table"
    assert environment["GREETING"] == "hello"
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "local-Environment"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["_HANDLER"] == "app.lambda_handler"
    assert not {"DEVELOPERS_SECRET", "HOME", "VIRTUAL_ENV", "AWS_SAM_LOCAL"} & environment.keys()
    assert context["function_name"] == "local-Environment"
    assert context["invoked_function_arn"].endswith(":function:local-Environment")
    assert context["memory_limit_in_mb"] == "256"
    assert context["log_group_name"] == "/aws/lambda/local-Environment"
    assert 0 < answer["remaining"] <= 10_000
    assert answer["path"][0].endswith("functions/environment")
    assert answer["path"][1].endswith("layers/packed/python")
    assert answer["path"][2].endswith("layers/plain")
    assert "/.local/runtime/" in answer["path"][3]
    # Neither the engine's own folder, nor its packages, nor the current folder.
    assert not [path for path in answer["path"][4:] if "local_engine" in path or "site-packages" in path]


def test_start_lists_routes_and_pages(shop_engine: EngineProcess) -> None:
    assert "GET /items/{id}" in shop_engine.output
    assert f"curl {shop_engine.url}/v2" in shop_engine.output
    assert f"{shop_engine.url}/_local/" in shop_engine.output


def test_each_request_has_a_line(shop_engine: EngineProcess, shop: httpx.Client) -> None:
    response = shop.get("/v2/items/line%1B")
    line = shop_engine.wait_for_line(re.escape(response.headers["apigw-requestid"][:8]))
    assert "GET /v2/items/line%1B 200" in line
    assert re.fullmatch(r"[0-9:]{8} GET /v2/items/line%1B 200 \d+ ms Items (warm|cold) \S{8}", line)
