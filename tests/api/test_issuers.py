"""Tokens with the claims of Cognito, Auth0 and Okta, as docs/identity shows them."""

from typing import Any

import pytest

from tests.api.conftest import Server

MACHINES: dict[str, dict[str, Any]] = {
    "Cognito": {"aud": None, "client_id": "local", "scope": "resources/read", "version": 2},
    "Auth0": {"client_id": None, "azp": "awZ", "gty": "client-credentials", "scope": "read:resources"},
    "Auth0, a person": {"aud": ["local", "https://example.eu.auth0.com/userinfo"], "scope": "openid read:resources"},
    "Auth0 with RBAC": {"scope": "openid read:resources", "permissions": ["read:resources", "read:others"]},
    "Okta": {"client_id": None, "cid": "0oa", "scope": None, "scp": ["openid", "read:resources"], "ver": 1},
}


@pytest.mark.parametrize("claims", MACHINES.values(), ids=MACHINES)
def test_claims_of_an_issuer_are_understood(claims: dict[str, Any], server: Server) -> None:
    with server.connect("machine", scopes="", claims=claims) as client:
        assert client.get("/api/v1/resources").status_code == 200
        refused = client.post("/api/v1/resources", json={"name": "x", "type": "A"})
        assert (refused.status_code, refused.json()) == (403, {"message": "Forbidden"})


def test_permissions_alone_do_not_pass_the_gateway(server: Server) -> None:
    with server.connect("machine", claims={"scope": "openid", "permissions": ["read:resources"]}) as client:
        assert client.get("/api/v1/resources").json() == {"message": "Forbidden"}
