"""Every route by every kind of token, through the gateway with real tokens."""

from collections.abc import Iterator

import httpx
import pytest

from tests.security.doors import INPUT, RESOURCES
from tests.security.tokens import Forge
from tests.support.engine_process import EngineProcess
from tests.support.matrix import TOKENS, list_cells
from tests.support.stack import Route

GATEWAY_ERRORS = {401: {"message": "Unauthorized"}, 403: {"message": "Forbidden"}}


@pytest.fixture(scope="module")
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


@pytest.mark.parametrize(
    ("route", "token", "status"),
    [pytest.param(*cell, id=f"{cell[0].key}, {cell[1]}-{cell[2]}") for cell in list_cells()],
)
def test_route(client: httpx.Client, forge: Forge, route: Route, token: str, status: int) -> None:
    owner = {"Authorization": f"Bearer {forge.mint('owner')}"}
    path = client.post(RESOURCES, json=INPUT, headers=owner).headers["location"]
    claims = TOKENS[token]
    answer = client.request(
        route.method,
        route.path.replace(f"{RESOURCES}/{{id}}", path),
        headers={} if claims is None else {"Authorization": f"Bearer {forge.mint('owner', **claims)}"},
        json={"name": "changed", "type": "B"} if route.method in ("POST", "PUT") else None,
    )
    assert answer.status_code == status
    if status in GATEWAY_ERRORS:
        assert answer.json() == GATEWAY_ERRORS[status]
        left = client.get(path, headers=owner)
        assert (left.status_code, left.json()["name"]) == (200, INPUT["name"])
