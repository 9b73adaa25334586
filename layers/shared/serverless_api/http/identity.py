"""The caller's identity, as verified by the gateway's JWT authorizer, or by the Lambda authorizer of a REST API.

A deployed function takes it from the event alone. `sam local` runs no authorizer and passes no claims. Only there, and
only if `TOKEN_INTROSPECTION_URL` is set, the local issuer verifies the token (RFC 7662). Without claims and without
introspection the request gets a 401.
"""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from serverless_api.environment import settings
from serverless_api.http.errors import Forbidden, Problem, Unauthorized
from serverless_api.http.gateway_event import is_text

# A subject identifier is at most 255 characters long (OpenID Connect Core 1.0, section 2).
MAX_SUBJECT_LENGTH = 255
# In addition to `scope` (RFC 8693, section 4.2): `scp` of Okta and Microsoft Entra, `permissions` of Auth0.
_LIST_CLAIMS = ("scp", "permissions")
PARTITION_PREFIX = "user#"
"""The start of the `pk` of everything that a user owns; the subject follows."""


class Origin(NamedTuple):
    """Where a write comes from. Every item that a request writes carries it, for the table's stream and for erasure.

    Attributes:
        door: the way in, such as `api` for the HTTP API.
        request_id: the ID of the request, or of the job that writes on its behalf.
        requested_at: when the gateway received the request, in milliseconds since 1970.
        actor: the ARN of the IAM role or user that writes on the owner's behalf; empty for the owner.
    """

    door: str = "api"
    request_id: str = ""
    requested_at: int = 0
    actor: str = ""

    def to_attribute(self) -> dict[str, Any]:
        """Return the value of an item's attribute `writer`."""
        attribute: dict[str, Any] = {"door": self.door, "request": self.request_id, "at": self.requested_at}
        if self.actor:
            attribute["actor"] = self.actor
        return attribute


class Caller(NamedTuple):
    """A verified caller.

    Attributes:
        subject: the token's `sub`; everything that the caller owns is stored under it.
        scopes: the token's scopes, in either spelling (`read:widgets`, `widgets/read`).
        origin: where the caller's writes come from.
    """

    subject: str
    scopes: frozenset[str]
    origin: Origin = Origin()

    @property
    def partition(self) -> str:
        """The value of `pk` of everything that the caller owns."""
        return PARTITION_PREFIX + self.subject

    def has_scope(self, scope: str) -> bool:
        """Return whether the caller's token has a scope.

        Args:
            scope: the scope as `<action>:<noun>`. Cognito's spelling `<noun>/<action>` counts as well, because its
                scopes always start with the name of a resource server.
        """
        action, _, noun = scope.partition(":")
        return not self.scopes.isdisjoint((scope, f"{noun}/{action}"))

    def require_scope(self, scope: str) -> None:
        """Check that the caller's token has a scope, as `has_scope` does.

        Raises:
            Forbidden: the token has neither spelling.
        """
        if not self.has_scope(scope):
            raise Forbidden("Insufficient permissions", [Problem("scope", f"{scope} is missing")])


def identify_caller(event: Mapping[str, Any]) -> Caller:
    """Return the caller of a gateway event.

    Raises:
        Unauthorized: the event has no verified claims, or they have no usable subject.
    """
    authorizer = ((event.get("requestContext") or {}).get("authorizer") or {}).get("jwt")
    if authorizer is None and settings.RUNS_IN_SAM_LOCAL and settings.TOKEN_INTROSPECTION_URL:
        from serverless_api.http.introspection import introspect_token  # noqa: PLC0415 - deployed functions never load it

        authorizer = introspect_token(event)
    if authorizer is None or _has_expired(authorizer.get("expires")):
        raise _unauthorized()
    claims = authorizer.get("claims") or {}
    subject = claims.get("sub")
    if not is_text(subject) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH:
        raise _unauthorized()
    # The gateway lists scopes only if the route requires any; the claim has all of them.
    scopes = list(authorizer.get("scopes") or ())
    # Only the space separates scopes (RFC 6749, section 3.3), and only text is one.
    if isinstance(scope := claims.get("scope"), str):
        scopes += scope.split(" ")
    for name in _LIST_CLAIMS:
        scopes += _read_list(claims.get(name))
    return Caller(subject, frozenset(filter(None, scopes)), find_origin(event))


def _has_expired(expires: str | None) -> bool:
    """Return whether the result of a Lambda authorizer is used for longer than the token was valid."""
    return expires is not None and not (expires.isdecimal() and int(expires) > time.time())


def find_origin(event: Mapping[str, Any], door: str = "api", actor: str = "") -> Origin:
    """Return the origin of what a gateway event's request writes."""
    gateway = event.get("requestContext") or {}
    received = gateway.get("timeEpoch")
    requested_at = received if isinstance(received, int) else time.time_ns() // 1_000_000
    return Origin(door, str(gateway.get("requestId") or ""), requested_at, actor)


def _read_list(claim: object) -> list[str]:
    """Return the entries of a claim: a list, which the gateway writes as `[a b]`, or names separated by spaces."""
    if isinstance(claim, list):
        return [entry for entry in claim if isinstance(entry, str)]
    return claim.removeprefix("[").removesuffix("]").split(" ") if isinstance(claim, str) else []


def _unauthorized() -> Unauthorized:
    return Unauthorized("A valid token is required", headers={"WWW-Authenticate": "Bearer"})
