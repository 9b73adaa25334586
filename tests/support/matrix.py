"""Who may call what: every route by every kind of token, as template.yaml says."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.stack import Route, list_routes

SUCCESS = {"GET": 200, "POST": 201, "PUT": 200, "DELETE": 204}

TOKENS: Mapping[str, Mapping[str, Any] | None] = {
    "no token": None,
    "no scope": {"scope": None},
    "read alone": {"scope": "read:resources"},
    "read alone, as Cognito spells it": {"scope": "resources/read"},
    "write alone": {"scope": "write:resources"},
    "write alone, as Cognito spells it": {"scope": "resources/write"},
    "both": {"scope": "read:resources write:resources"},
    "both, for another audience": {"scope": "read:resources write:resources", "aud": "other"},
}
"""The claims of each kind of token beside the usual ones."""


def list_cells() -> Iterator[tuple[Route, str, int]]:
    """Each route with each kind of token, and the status that it is answered with."""
    for route in list_routes():
        for token in TOKENS:
            yield route, token, _expect(route, token)


def _expect(route: Route, token: str) -> int:
    claims = TOKENS[token]
    if claims is None or "aud" in claims:
        return 401
    granted = (claims["scope"] or "").split()
    # By the contract's table; the template's scopes must say the same.
    action = "read" if route.method == "GET" else "write"
    return SUCCESS[route.method] if {f"{action}:resources", f"resources/{action}"} & set(granted) else 403
