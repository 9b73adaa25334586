"""Cognito authorizers of REST APIs.

Source: "Control access to REST APIs using Amazon Cognito user pools as an authorizer" (API Gateway Developer Guide).
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from local_engine.gateway.api_access import EventSource
from local_engine.gateway.events import Request
from local_engine.gateway.identity_sources import IdentitySources
from local_engine.gateway.issuer_keys import InvalidToken
from local_engine.gateway.jwt_authorizer import bare_token, granted_scopes, verify_token
from local_engine.gateway.request_limits import AccessRefused
from local_engine.gateway.routes import ServedRoute

_EXPIRED = "the token has expired"


class CognitoAuthorizer:
    """Accepts tokens of user pools: an ID token, or an access token if the method asks for scopes."""

    kind = "cognito"
    reads_body = False
    refusal = ""

    def __init__(
        self,
        sources: IdentitySources,
        issuers: Mapping[str, tuple[RSAPublicKey, Sequence[str]]],
        validation: str | None,
    ) -> None:
        """Trust some user pools.

        Args:
            sources: where the token is.
            issuers: the pools' keys and client IDs, by issuer.
            validation: regular expression that the audience of an ID token must match.
        """
        self._sources = sources
        self._issuers = issuers
        self._validation = validation

    async def authorize(self, request: Request, route: ServedRoute, _: EventSource) -> dict[str, Any]:
        """Return the token's claims, as `requestContext.authorizer` has them.

        Raises:
            AccessRefused: the token is missing, not valid, or of the wrong kind, or has none of the method's scopes.
        """
        values = self._sources.read(request, {})
        if not values:
            raise _refuse("the token is missing")
        try:
            claims = self._verify(bare_token(values[0]))
            self._check_use(claims, route.scopes)
        except InvalidToken as error:
            raise _refuse(str(error)) from error
        return {"claims": {name: _write_claim(name, value) for name, value in claims.items() if value is not None}}

    def _verify(self, token: str) -> dict[str, Any]:
        # Which pool has issued the token is known only from its claims, so each pool is tried. An API trusts few.
        problem = InvalidToken("the issuer is not one of the authorizer's user pools")
        for issuer, (key, clients) in self._issuers.items():
            try:
                return verify_token(token, key, issuer, clients)
            except InvalidToken as error:
                problem = problem if str(error) == "issuer does not match" else error
        raise problem

    def _check_use(self, claims: Mapping[str, Any], scopes: Sequence[str]) -> None:
        use = claims.get("token_use")
        if scopes:
            if use != "access":
                raise InvalidToken("a method with scopes needs an access token")
            if not set(scopes) & set(granted_scopes(claims)):
                raise InvalidToken("the token has none of the method's scopes")
        elif use != "id":
            raise InvalidToken("a method without scopes needs an ID token")
        elif self._validation is not None and not re.fullmatch(self._validation, str(claims.get("aud"))):
            raise InvalidToken("the audience does not match the authorizer's expression")


def _refuse(problem: str) -> AccessRefused:
    message = "The incoming token has expired" if problem == _EXPIRED else "Unauthorized"
    return AccessRefused(401, message, "UNAUTHORIZED", error_type="UnauthorizedException", reason=problem)


def _write_claim(name: str, value: Any) -> str:
    if name in ("exp", "iat") and isinstance(value, int | float):
        return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(value))
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case list():
            return ",".join(str(entry) for entry in value)
        case _:
            return str(value)
