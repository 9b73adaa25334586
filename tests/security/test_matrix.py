"""Every route by every kind of token, through the gateway with real tokens."""

from functools import partial

import pytest

from tests.security.doors import GatewayDoor
from tests.support.items import call, find_path, read_state
from tests.support.matrix import find_claims, list_cells
from tests.support.stack import Route, list_routes

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


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_a_route_takes_one_scope_in_both_spellings_and_only_a_read_scope_if_it_changes_nothing(route: Route) -> None:
    # The matrix takes the scopes from the template; this rule keeps the template from granting a read scope a write.
    action = "read" if route.method == "GET" else "write"
    (own,) = [scope for scope in route.scopes if ":" in scope]
    noun = own.partition(":")[2]
    assert set(route.scopes) == {f"{action}:{noun}", f"{noun}/{action}"}
