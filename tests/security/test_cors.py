"""Pages of other origins in the user's browser. No cookie carries the token, so what counts is who may read."""

import httpx
import pytest

from tests.security.tokens import Forge
from tests.support.cases import ROUTES, each
from tests.support.stack import SUCCESS, Route, list_creators, list_routes, load_template, select_routes

ALLOWED = load_template()["Parameters"]["AllowedOrigin"]["Default"]
CREATORS = select_routes(lambda route: route in list_creators() and not route.path_parameters)
OTHERS = {
    "another": "https://evil.example.com",
    "the same over http": "http://app.example.com",
    "another port": "https://app.example.com:8443",
    "ours as the start of a name": "https://app.example.com.evil.example.net",
    "ours as the end of a name": "https://evilapp.example.com",
    "ours as a user name": "https://app.example.com@evil.example.net",
    "other case": "https://APP.example.com",
    "null": "null",
    "two": "https://app.example.com, https://evil.example.com",
}


def list_permissions(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize(("origin", "expected"), [(origin, SUCCESS) for origin in OTHERS])
@each(CREATORS.__contains__)
def test_request_of_another_origin(
    client: httpx.Client, forge: Forge, route: Route, origin: str, expected: str
) -> None:
    # The API answers, as API Gateway does, but no browser shows the answer to the page.
    headers = {"Origin": OTHERS[origin], "Authorization": f"Bearer {forge.mint()}"}
    answer = client.request(route.method, route.path, headers=headers, json=route.body)
    assert (answer.status_code, list_permissions(answer)) == (route.resolve(expected), {})


@pytest.mark.parametrize(("origin", "status"), [(origin, 204) for origin in OTHERS])
@ROUTES
def test_preflight_of_another_origin(client: httpx.Client, route: Route, origin: str, status: int) -> None:
    headers = {"Origin": OTHERS[origin], "Access-Control-Request-Method": route.method}
    answer = client.options(route.fill(), headers=headers)
    assert (answer.status_code, list_permissions(answer)) == (status, {})


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("Method", "TRACE", 204), ("Method", "CONNECT", 204), ("Headers", "x-admin", 204), ("Headers", "cookie", 204)],
)
@ROUTES
def test_preflight_of_what_is_forbidden(client: httpx.Client, route: Route, name: str, value: str, status: int) -> None:
    asked = {
        "Origin": ALLOWED,
        "Access-Control-Request-Method": route.method,
        f"Access-Control-Request-{name}": value,
    }
    answer = client.options(route.fill(), headers=asked)
    granted = answer.headers[f"access-control-allow-{name.lower()}{'s' if name == 'Method' else ''}"].lower()
    assert answer.status_code == status
    # The browser compares. The answer neither echoes the request nor has a wildcard.
    assert value.lower() not in granted.split(",")
    assert "*" not in granted
    assert "access-control-allow-credentials" not in answer.headers


@ROUTES
def test_preflight_allows_only_methods_that_routes_have(client: httpx.Client, route: Route) -> None:
    asked = {"Origin": ALLOWED, "Access-Control-Request-Method": route.method}
    granted = client.options(route.fill(), headers=asked).headers["access-control-allow-methods"]
    assert {method.strip() for method in granted.split(",")} == {other.method for other in list_routes()}


@each(CREATORS.__contains__)
def test_answer_to_the_allowed_origin_is_not_for_credentials(client: httpx.Client, forge: Forge, route: Route) -> None:
    headers = {"Origin": ALLOWED, "Authorization": f"Bearer {forge.mint()}"}
    answer = client.post(route.path, json=route.body, headers=headers)
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "access-control-allow-credentials" not in answer.headers
    assert "set-cookie" not in answer.headers


@ROUTES
def test_preflight_reveals_no_route(client: httpx.Client, route: Route) -> None:
    asked = {"Origin": ALLOWED, "Access-Control-Request-Method": route.method}
    of_no_route = client.options("/nowhere", headers=asked)
    assert of_no_route.headers.keys() == client.options(route.fill(), headers=asked).headers.keys()
