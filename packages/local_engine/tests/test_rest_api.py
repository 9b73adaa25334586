"""REST APIs as a client sees them: routing, stages, responses, gateway responses, mock integrations."""

import re
import socket

import httpx
import pytest
from conftest import aws_client

from local_engine.testing import EngineProcess

MISSING = {"message": "Missing Authentication Token"}


def get(url: str, **options: object) -> httpx.Response:
    return httpx.request("GET", url, trust_env=False, timeout=60, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "resource"),
    [
        ("GET", "/items", "/items"),
        ("GET", "/items/", "/items"),
        ("GET", "/items/special", "/items/special"),
        ("GET", "/items/17", "/items/{id}"),
        ("DELETE", "/items/1/parts/2", "/items/{id}/parts/{part}"),
        ("HEAD", "/items/1/parts/2", "/items/{id}/parts/{part}"),
    ],
)
def test_the_most_specific_resource_wins(rest_shop: httpx.Client, method: str, path: str, resource: str) -> None:
    response = rest_shop.request(method, path)
    assert response.status_code == 200
    assert method == "HEAD" or response.json()["event"]["resource"] == resource


@pytest.mark.parametrize("path", ["", "/other", "/items/1/2", "/ITEMS", "/items%2F1/x/y"])
def test_an_unknown_resource_is_403(rest_urls: dict[str, str], path: str) -> None:
    response = get(f"{rest_urls['Plain']}{path}")
    assert (response.status_code, response.json()) == (403, MISSING)
    assert response.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS"])
def test_a_method_that_is_not_declared_is_403(rest_urls: dict[str, str], method: str) -> None:
    response = httpx.request(method, f"{rest_urls['Plain']}/things/1", trust_env=False)
    assert response.status_code == 403
    assert response.headers["x-amz-apigw-id"]


def test_an_unknown_stage_is_403(rest_urls: dict[str, str]) -> None:
    root = rest_urls["Shop"].removesuffix("/v1")
    for path in ("/", "/items", "/v2/items", "/v11/items"):
        response = get(root + path)
        assert (response.status_code, response.json()) == (403, {"message": "Forbidden"})


def test_a_greedy_variable_takes_what_no_other_resource_has(rest_urls: dict[str, str]) -> None:
    url = rest_urls["ServerlessRestApi"]
    assert get(f"{url}/below/fixed").json()["event"]["resource"] == "/below/fixed"
    event = get(f"{url}/below/x/y%20z/").json()["event"]
    assert (event["resource"], event["pathParameters"]) == ("/below/{proxy+}", {"proxy": "x/y%20z"})
    response = httpx.post(f"{url}/below/fixed", trust_env=False)
    assert response.json()["event"]["resource"] == "/below/{proxy+}"
    assert get(f"{url}/below").status_code == 403
    assert get(f"{url}").json()["event"]["resource"] == "/"


def test_implicit_declared_documented_plain_and_nested_apis_are_served(rest_urls: dict[str, str]) -> None:
    assert {"ServerlessHttpApi", "ServerlessRestApi", "Shop", "Documented", "Plain"} < rest_urls.keys()
    assert get(f"{rest_urls['ServerlessHttpApi']}/http").json()["event"]["version"] == "2.0"
    assert get(f"{rest_urls['Nested/ServerlessRestApi']}/inner").status_code == 200


def test_each_stage_is_served(rest_urls: dict[str, str]) -> None:
    root = rest_urls["Plain"].rpartition("/")[0]
    for stage in ("one", "two"):
        event = get(f"{root}/{stage}/things/1?q=1").json()["event"]
        assert event["requestContext"]["stage"] == stage
        assert (event["resource"], event["pathParameters"]) == ("/things/{id}", {"id": "1"})


def test_a_stage_variable_chooses_the_alias(rest_urls: dict[str, str]) -> None:
    response = httpx.put(
        f"{rest_urls['Documented']}/orders/1", json={"item": "a"}, headers={"tenant": "t"}, trust_env=False
    )
    assert response.json()["arn"].endswith(":function:local-Items:live")


def test_start_lists_methods_with_their_stage(rest_engine: EngineProcess, rest_urls: dict[str, str]) -> None:
    assert f"GET {rest_urls['Shop']}/items/{{id}}" in rest_engine.output
    assert f"curl {rest_urls['Shop']}/items" in rest_engine.output
    # HTTP APIs have the first ports.
    assert rest_urls["Variables"] == rest_engine.url


def test_what_has_no_effect_has_a_line(rest_engine: EngineProcess) -> None:
    rest_engine.wait_for_line("Compression of Shop is not run: responses are sent as they are.")


def test_the_api_page_is_on_each_port(rest_urls: dict[str, str]) -> None:
    root = rest_urls["Documented"].removesuffix("/doc")
    assert get(f"{root}/_local/").status_code == 200
    described = get(f"{root}/_local/openapi.json").json()
    assert described["openapi"].startswith("3.0")
    assert described["servers"] == [{"url": f"{root}/doc"}]
    operation = described["paths"]["/orders/{id}"]["put"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}


@pytest.mark.parametrize(
    ("result", "status", "text"),
    [
        ("text", 200, "plain"),
        ("empty", 200, ""),
        ("headers", 201, "done"),
        *((result, 502, '{"message":"Internal server error"}') for result in ("none", "list", "extra", "status")),
        *((result, 502, '{"message":"Internal server error"}') for result in ("object", "number", "raise")),
    ],
)
def test_function_results(rest_shop: httpx.Client, result: str, status: int, text: str) -> None:
    response = rest_shop.get(f"/results/{result}")
    assert (response.status_code, response.text) == (status, text)


def test_response_headers_are_merged(rest_shop: httpx.Client) -> None:
    response = rest_shop.get("/results/headers")
    assert response.headers.get_list("x-both") == ["a", "b"]
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert (response.headers["x-one"], response.headers["x-flag"]) == ("1", "true")
    assert rest_shop.get("/results/text").headers["content-type"] == "application/json"


def test_headers_of_the_gateway_are_remapped(rest_shop: httpx.Client) -> None:
    response = rest_shop.get("/results/remapped")
    assert response.status_code == 401
    assert response.headers["x-amzn-remapped-www-authenticate"] == "Basic"
    assert response.headers["x-amzn-remapped-server"] == "mine"
    assert response.headers["x-amzn-remapped-date"] == "today"
    assert not {"www-authenticate", "server", "transfer-encoding"} & response.headers.keys()


def test_a_binary_response_is_decoded_if_the_client_accepts_it(rest_shop: httpx.Client) -> None:
    picture = b"\x89PNG\x00\xff"
    assert rest_shop.get("/results/picture", headers={"accept": "image/png"}).content == picture
    # Only the first media type counts.
    text = rest_shop.get("/results/picture", headers={"accept": "text/html, image/png"}).text
    assert text == "iVBORwD/"


def test_an_integration_has_its_own_timeout(rest_urls: dict[str, str]) -> None:
    response = get(f"{rest_urls['ServerlessRestApi']}/slow/sleep")
    assert (response.status_code, response.json()) == (504, {"message": "Endpoint request timed out"})


def test_a_throttled_method_is_429_and_others_are_not(rest_shop: httpx.Client) -> None:
    responses = [rest_shop.get("/limited") for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[2].json() == {"message": "Too Many Requests"}
    assert responses[2].headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert rest_shop.get("/items").status_code == 200


def test_limits(rest_shop: httpx.Client) -> None:
    response = rest_shop.post("/pictures", content=b"x" * (10 * 1024 * 1024 + 1))
    assert (response.status_code, response.json()["message"]) == (413, "HTTP content length exceeded 10485760 bytes.")
    response = rest_shop.post("/pictures", content=b"x" * (6 * 1024 * 1024))
    assert (response.status_code, response.json()["message"]) == (413, "Request Too Long")
    assert rest_shop.get("/items", headers={"x-long": "x" * 10_240}).status_code == 431


@pytest.mark.parametrize(
    ("api", "method", "path", "sentence"),
    [
        ("Shop", "GET", "/key", "requires an API key"),
        ("Documented", "GET", "/pages", "calls an HTTP endpoint"),
        ("Documented", "POST", "/queue", "integrates an AWS service"),
        ("Documented", "GET", "/templated", "a template with more than variables"),
        ("Documented", "GET", "/unset", "a stage variable that stage doc does not have: 'missing'"),
        ("Documented", "GET", "/unmodelled", "a model refers to #/components/schemas/Nothing"),
    ],
)
def test_what_is_not_served_is_501_with_a_sentence(
    rest_urls: dict[str, str], api: str, method: str, path: str, sentence: str
) -> None:
    response = httpx.request(method, rest_urls[api] + path, trust_env=False)
    assert response.status_code == 501
    assert sentence in response.json()["message"]


class TestGatewayResponses:
    def test_status_headers_and_template(self, rest_shop: httpx.Client) -> None:
        response = rest_shop.get("/nothing", headers={"x-ask": "why", "accept": "application/json"})
        assert response.status_code == 404
        assert response.json() == {
            "message": "Missing Authentication Token",
            "id": response.headers["x-amzn-requestid"],
            "stage": "v1",
        }
        assert response.headers["x-type"] == "MISSING_AUTHENTICATION_TOKEN"
        assert response.headers["x-asked"] == "why"
        assert response.headers["x-stage"] == "fixed"

    def test_the_client_chooses_the_template(self, rest_shop: httpx.Client) -> None:
        response = rest_shop.get("/nothing", headers={"accept": "text/plain"})
        assert (response.headers["content-type"], response.text) == ("text/plain", "Missing Authentication Token")
        assert "x-asked" not in response.headers

    def test_default_4xx_applies_to_other_types(self, rest_shop: httpx.Client) -> None:
        response = rest_shop.get("/search/x")
        assert response.status_code == 400
        assert response.headers["access-control-allow-origin"] == "*"
        assert rest_shop.get("/results/raise").headers.get("access-control-allow-origin") is None

    def test_a_header_cannot_be_split(self, rest_shop: httpx.Client) -> None:
        url = rest_shop.base_url
        request = f"GET /v1/nothing HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nX-Ask: a\tb\r\nConnection: close\r\n\r\n"
        with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
            connection.sendall(request.encode())
            head = connection.makefile("rb").read()
        assert b"x-asked: a\tb\r\n" in head


class TestMockIntegrations:
    def test_a_preflight_is_answered_by_the_gateway(self, rest_shop: httpx.Client) -> None:
        headers = {"origin": "https://shop.example.com", "access-control-request-method": "POST"}
        response = rest_shop.options("/items", headers=headers)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://shop.example.com"
        assert response.headers["access-control-allow-headers"] == "content-type"
        assert response.headers["access-control-allow-methods"] == "GET,OPTIONS,POST"
        assert response.headers["access-control-max-age"] == "600"
        assert response.json() == {}

    def test_the_status_selects_the_response(self, rest_urls: dict[str, str]) -> None:
        response = get(f"{rest_urls['Documented']}/mock?q=green")
        assert (response.status_code, response.json()) == (418, {"pot": "doc", "q": "green"})
        assert response.headers["x-asked"] == "green"


class TestMonitoring:
    def test_metrics_have_the_names_of_rest_apis(self, rest_engine: EngineProcess, rest_shop: httpx.Client) -> None:
        rest_shop.get("/items/metered")
        rest_shop.get("/search/x")
        metrics = get(f"{rest_engine.url}/_local/metrics.json").json()["metrics"]
        by_dimensions = {
            (metric["name"], *sorted(metric["dimensions"].items())): metric["sum"]
            for metric in metrics
            if metric["namespace"] == "AWS/ApiGateway"
        }
        name, stage = ("ApiName", "shop"), ("Stage", "v1")
        assert by_dimensions["Count", name] >= 2
        assert by_dimensions["4XXError", name, stage] >= 1
        method = ("Method", "GET")
        assert by_dimensions["Count", name, method, ("Resource", "/items/{id}"), stage] >= 1
        assert by_dimensions["IntegrationLatency", name, stage] > 0

    def test_metric_filters_read_the_access_log(self, rest_engine: EngineProcess, rest_shop: httpx.Client) -> None:
        rest_shop.get("/items/special")
        metrics = get(f"{rest_engine.url}/_local/metrics.json").json()["metrics"]
        assert [metric["sum"] >= 1 for metric in metrics if metric["name"] == "Fine"] == [True]

    def test_each_request_has_a_line(self, rest_engine: EngineProcess, rest_shop: httpx.Client) -> None:
        response = rest_shop.get("/items/line")
        line = rest_engine.wait_for_line(re.escape(response.headers["x-amzn-requestid"][:8]))
        assert re.fullmatch(r"[0-9:]{8} GET /v1/items/line 200 \d+ ms Items (warm|cold) \S{8}", line)


def test_functions_of_rest_apis_can_be_invoked(rest_engine: EngineProcess) -> None:
    client = aws_client("lambda", f"{rest_engine.url}/_local/lambda")
    assert client.invoke(FunctionName="Items", Payload=b"{}")["StatusCode"] == 200
