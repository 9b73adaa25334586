"""`sam build && sam local start-api` and `sam local invoke`, with the authorizer's work done by introspection."""

import json

import httpx
import pytest

from tests.sam_local.conftest import ROOT, SamLocal
from tests.support.matrix import TOKENS, list_cells
from tests.support.stack import Route

pytestmark = pytest.mark.timeout(600)

RESOURCE = {"name": "From a container", "type": "A", "metadata": {"weight": 1.50}}
MISSING = "/api/v1/resources/019ab0c1-0000-7000-8000-000000000000"
ROUTES = [
    ("GET", "/api/v1/resources"),
    ("POST", "/api/v1/resources"),
    ("GET", MISSING),
    ("PUT", MISSING),
    ("DELETE", MISSING),
]
READ = ("--scopes", "read:resources")
BAD_TOKENS = {
    "expired": ("--expires", "-1", *READ),
    "wrong audience": ("--claims", '{"aud": "other"}', *READ),
    "wrong issuer": ("--claims", '{"iss": "http://127.0.0.1:1/"}', *READ),
    "not valid yet": ("--claims", '{"nbf": 9999999999}', *READ),
}
INVOCATIONS = [
    ("ListResources", "list_resources", 200),
    ("CreateResource", "create_resource", 201),
    ("GetResource", "get_resource", 200),
    ("UpdateResource", "update_resource", 200),
    ("DeleteResource", "delete_resource", 204),
]


@pytest.fixture(scope="module")
def client(sam_local: SamLocal) -> httpx.Client:
    # The first request to a function waits for its container.
    with httpx.Client(base_url=sam_local.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def bad_tokens(sam_local: SamLocal) -> dict[str, str]:
    minted = {name: sam_local.mint_token(*arguments) for name, arguments in BAD_TOKENS.items()}
    return {"garbage": "garbage", **minted}


def _send(client: httpx.Client, method: str, path: str, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.request(method, path, headers=headers, json=RESOURCE if method in ("POST", "PUT") else None)


@pytest.mark.parametrize("kind", ["garbage", *BAD_TOKENS])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_bad_token_is_unauthorized(
    client: httpx.Client, bad_tokens: dict[str, str], method: str, path: str, kind: str
) -> None:
    assert _send(client, method, path, bad_tokens[kind]).status_code == 401


@pytest.fixture(scope="module")
def tokens(sam_local: SamLocal) -> dict[str, str | None]:
    """Each kind of token of the matrix."""
    return {
        kind: None if claims is None else sam_local.mint_token("--sub", "owner", "--claims", json.dumps(claims))
        for kind, claims in TOKENS.items()
    }


@pytest.mark.parametrize(
    ("route", "kind", "status"),
    [pytest.param(*cell, id=f"{cell[0].key}, {cell[1]}-{cell[2]}") for cell in list_cells()],
)
def test_every_route_by_every_kind_of_token(
    client: httpx.Client, tokens: dict[str, str | None], route: Route, kind: str, status: int
) -> None:
    path = _send(client, "POST", "/api/v1/resources", tokens["both"]).headers["Location"]
    answer = _send(client, route.method, route.path.replace("/api/v1/resources/{id}", path), tokens[kind])
    assert answer.status_code == status
    if status in (401, 403):
        assert _send(client, "GET", path, tokens["both"]).status_code == 200


def test_a_valid_token_reaches_every_route(client: httpx.Client, sam_local: SamLocal) -> None:
    token = sam_local.mint_token("--sub", "someone", "--scopes", "read:resources write:resources")
    created = _send(client, "POST", "/api/v1/resources", token)
    assert created.status_code == 201, created.text
    path = created.headers["Location"]
    assert _send(client, "GET", path, token).json()["metadata"] == {"weight": 1.50}
    assert _send(client, "PUT", path, token).status_code == 200
    listed = _send(client, "GET", "/api/v1/resources", token)
    assert listed.status_code == 200
    assert [entry["id"] for entry in listed.json()["resources"]] == [created.json()["id"]]
    assert _send(client, "DELETE", path, token).status_code == 204
    assert _send(client, "GET", path, token).status_code == 404


@pytest.mark.parametrize(("function", "event", "status"), INVOCATIONS)
def test_invoke_answers_the_fixture(sam_local: SamLocal, function: str, event: str, status: int) -> None:
    answer = sam_local.invoke(function, ROOT / f"events/{event}.json")
    assert answer["statusCode"] == status, answer
