"""The authorization matrix: every route by every kind of token."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.stack import SUCCESS, Route, list_routes, list_scopes

EVERY_SCOPE = " ".join(list_scopes())

TOKENS: Mapping[str, Mapping[str, Any] | None] = {
    "no token": None,
    "no scope": {"scope": None},
    **{f"{scope} alone": {"scope": scope} for scope in list_scopes()},
    "every scope": {"scope": EVERY_SCOPE},
    "every scope, for another audience": {"scope": EVERY_SCOPE, "aud": "other"},
}
"""The claims of each kind of token beside the usual ones; None for no token."""


def list_cells() -> Iterator[tuple[Route, str, str | int]]:
    """Each route with each kind of token, and the expected answer."""
    for route in list_routes():
        for token in TOKENS:
            yield route, token, _expect(route, token)
        yield route, "every other route's scope", 403


def find_claims(route: Route, token: str) -> Mapping[str, Any] | None:
    """The claims of a kind of token for a route; None for no token."""
    if token == "every other route's scope":
        return {"scope": " ".join(scope for scope in list_scopes() if scope not in route.scopes)}
    return TOKENS[token]


def _expect(route: Route, token: str) -> str | int:
    claims = TOKENS[token]
    if claims is None or "aud" in claims:
        return 401
    return SUCCESS if set((claims["scope"] or "").split()) & set(route.scopes) else 403
