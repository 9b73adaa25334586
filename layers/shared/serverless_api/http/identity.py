"""Who calls: the identity that the gateway's JWT authorizer has verified.

A deployed function takes it from the event alone. `sam local` runs no authorizer and passes no claims; only there, and
only when `TOKEN_INTROSPECTION_URL` is set, is the token verified by asking the local issuer (RFC 7662). Without claims
and without introspection there is no caller: 401.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serverless_api.environment import settings
from serverless_api.http.errors import Forbidden, Problem, Unauthorized
from serverless_api.http.gateway_event import is_text

# A subject identifier is at most 255 characters long (OpenID Connect Core 1.0, section 2).
MAX_SUBJECT_LENGTH = 255
# Besides `scope` (RFC 8693, section 4.2): `scp` of Okta and Microsoft Entra, `permissions` of Auth0.
_LIST_CLAIMS = ("scp", "permissions")


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller.

    Attributes:
        subject: the token's `sub`; everything that the caller owns is kept under it.
        scopes: what the token allows, in either spelling (`read:resources`, `resources/read`).
    """

    subject: str
    scopes: frozenset[str]

    def require_scope(self, scope: str) -> None:
        """Check that the caller may do what `scope` stands for.

        Args:
            scope: as `<action>:<noun>`; Cognito's spelling `<noun>/<action>` is accepted as well, since its scopes
                always start with the name of a resource server.

        Raises:
            Forbidden: the token carries neither spelling.
        """
        action, _, noun = scope.partition(":")
        if self.scopes.isdisjoint((scope, f"{noun}/{action}")):
            raise Forbidden("Insufficient permissions", [Problem("scope", f"{scope} is missing")])


def identify_caller(event: Mapping[str, Any]) -> Caller:
    """Return who sent the request behind a gateway event.

    Raises:
        Unauthorized: the event carries no verified claims, or they name no subject.
    """
    authorizer = ((event.get("requestContext") or {}).get("authorizer") or {}).get("jwt")
    if authorizer is None and settings.RUNS_IN_SAM_LOCAL and settings.TOKEN_INTROSPECTION_URL:
        from serverless_api.http.introspection import introspect_token  # noqa: PLC0415 - no deployed function loads it

        authorizer = introspect_token(event)
    if authorizer is None:
        raise _unauthorized()
    claims = authorizer.get("claims") or {}
    subject = claims.get("sub")
    if not is_text(subject) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH:
        raise _unauthorized()
    # The gateway lists scopes only where the route demands some; the claim has all of them.
    scopes = [*(authorizer.get("scopes") or ()), *str(claims.get("scope") or "").split(" ")]
    for name in _LIST_CLAIMS:
        scopes += _read_list(claims.get(name))
    return Caller(subject, frozenset(filter(None, scopes)))


def _read_list(claim: object) -> list[str]:
    """Return the entries of a claim that is a list, which the gateway writes as `[a b]`, or names parted by blanks."""
    if isinstance(claim, list):
        return [entry for entry in claim if isinstance(entry, str)]
    return str(claim or "").removeprefix("[").removesuffix("]").split(" ")


def _unauthorized() -> Unauthorized:
    return Unauthorized("A valid token is required", headers={"WWW-Authenticate": "Bearer"})
