"""Pages of other origins, in the user's browser. The token is in no cookie, so what counts is who may read."""

from collections.abc import Iterator

import httpx
import pytest

from tests.security.doors import INPUT, RESOURCES
from tests.security.tokens import Forge
from tests.support.engine_process import EngineProcess

ALLOWED = "https://app.example.com"
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


@pytest.fixture(scope="module")
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


def list_permissions(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize(("origin", "status"), [(origin, 200) for origin in OTHERS])
def test_request_of_another_origin(client: httpx.Client, forge: Forge, origin: str, status: int) -> None:
    # It is answered, as API Gateway does, but no browser shows the answer to the page.
    headers = {"Origin": OTHERS[origin], "Authorization": f"Bearer {forge.mint()}"}
    answer = client.get(RESOURCES, headers=headers)
    assert (answer.status_code, list_permissions(answer)) == (status, {})


@pytest.mark.parametrize(("origin", "status"), [(origin, 204) for origin in OTHERS])
def test_preflight_of_another_origin(client: httpx.Client, origin: str, status: int) -> None:
    headers = {"Origin": OTHERS[origin], "Access-Control-Request-Method": "PUT"}
    answer = client.options(RESOURCES, headers=headers)
    assert (answer.status_code, list_permissions(answer)) == (status, {})


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("Method", "PATCH", 204), ("Method", "TRACE", 204), ("Headers", "x-admin", 204), ("Headers", "cookie", 204)],
)
def test_preflight_of_what_is_forbidden(client: httpx.Client, name: str, value: str, status: int) -> None:
    asked = {"Origin": ALLOWED, "Access-Control-Request-Method": "PUT", f"Access-Control-Request-{name}": value}
    answer = client.options(RESOURCES, headers=asked)
    granted = answer.headers[f"access-control-allow-{name.lower()}{'s' if name == 'Method' else ''}"].lower()
    assert answer.status_code == status
    # The browser compares; it is not echoed, and there is no wildcard.
    assert value.lower() not in granted.split(",")
    assert "*" not in granted
    assert "access-control-allow-credentials" not in answer.headers


def test_answer_to_the_allowed_origin_is_not_for_credentials(client: httpx.Client, forge: Forge) -> None:
    headers = {"Origin": ALLOWED, "Authorization": f"Bearer {forge.mint()}"}
    answer = client.post(RESOURCES, json=INPUT, headers=headers)
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "access-control-allow-credentials" not in answer.headers
    assert "set-cookie" not in answer.headers


def test_preflight_tells_nothing_of_routes(client: httpx.Client) -> None:
    asked = {"Origin": ALLOWED, "Access-Control-Request-Method": "GET"}
    assert (
        client.options("/nowhere", headers=asked).headers.keys()
        == client.options(RESOURCES, headers=asked).headers.keys()
    )
