"""Tokens with the claims of Cognito, Auth0 and Okta, as docs/identity shows them."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import Server
from tests.support.cases import each
from tests.support.stack import Route, list_routes

# By the scope as an external issuer spells it, and as Cognito does.
MACHINES: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "Cognito": lambda _, scope: {"aud": None, "client_id": "local", "scope": scope, "version": 2},
    "Auth0": lambda scope, _: {"client_id": None, "azp": "awZ", "gty": "client-credentials", "scope": scope},
    "Auth0, a person": lambda scope, _: {
        "aud": ["local", "https://example.eu.auth0.com/userinfo"],
        "scope": f"openid {scope}",
    },
    "Auth0 with RBAC": lambda scope, _: {"scope": f"openid {scope}", "permissions": [scope, "read:others"]},
    "Okta": lambda scope, _: {"client_id": None, "cid": "0oa", "scope": None, "scp": ["openid", scope], "ver": 1},
}
COLLECTIONS = each(lambda route: not route.path_parameters)


@pytest.mark.parametrize("make_claims", MACHINES.values(), ids=MACHINES)
@COLLECTIONS
def test_claims_of_an_issuer_are_understood(
    server: Server, route: Route, make_claims: Callable[[str, str], dict[str, Any]]
) -> None:
    claims = make_claims(*sorted(route.scopes, key=lambda scope: "/" in scope))
    with server.connect("machine", scopes="", claims=claims) as client:
        assert client.request(route.method, route.fill(), json=route.body).status_code == route.success
        for other in list_routes():
            if not set(other.scopes) & set(route.scopes):
                rejected = client.request(other.method, other.fill(), json=other.body)
                assert (rejected.status_code, rejected.json()) == (403, {"message": "Forbidden"})


@COLLECTIONS
def test_permissions_alone_do_not_pass_the_gateway(server: Server, route: Route) -> None:
    with server.connect("machine", claims={"scope": "openid", "permissions": [*route.scopes]}) as client:
        answer = client.request(route.method, route.fill(), json=route.body)
        assert answer.json() == {"message": "Forbidden"}
