"""Every route by every kind of token, through the gateway with real tokens."""

from functools import partial

import pytest

from tests.security.doors import GatewayDoor
from tests.support.items import call, find_path, read_state
from tests.support.matrix import find_claims, list_cells
from tests.support.stack import Route

GATEWAY_ERRORS = {401: {"message": "Unauthorized"}, 403: {"message": "Forbidden"}}


@pytest.mark.parametrize(
    ("route", "token", "expected"),
    [pytest.param(*cell, id=f"{cell[0].key}-{cell[1]}-{cell[2]}") for cell in list_cells()],
)
def test_route(gateway: GatewayDoor, attacker: str, route: Route, token: str, expected: str | int) -> None:
    own = partial(gateway.send, attacker)
    path = find_path(route, own)
    before = read_state(route, own, path)
    answer = call(route, partial(own, claims=find_claims(route, token)), path)
    assert answer.status == route.resolve(expected)
    if expected in GATEWAY_ERRORS:
        assert answer.json() == GATEWAY_ERRORS[expected]
        assert read_state(route, own, path) == before
