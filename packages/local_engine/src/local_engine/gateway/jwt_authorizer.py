"""JWT authorizer of an HTTP API, behaving as API Gateway's.

Sources: "Control access to HTTP APIs with JWT authorizers in API Gateway" and "Troubleshooting issues with HTTP
API JWT authorizers" (API Gateway Developer Guide). AWS does not publish all descriptions in `www-authenticate`. The
others are this module's own.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from local_engine.gateway.api_access import EventSource
from local_engine.gateway.events import Request
from local_engine.gateway.identity_sources import IdentitySources
from local_engine.gateway.issuer_keys import InvalidToken, IssuerKeys, KnownKeys
from local_engine.gateway.request_limits import AccessRefused
from local_engine.gateway.routes import ServedRoute

ALGORITHMS = ("RS256", "RS384", "RS512")
_JWS = jwt.PyJWS(list(ALGORITHMS))
# For some malformed headers (an unhashable entry in `crit`, text that is not UTF-8), PyJWT raises Python's own errors.
_UNDECODABLE = (jwt.PyJWTError, ValueError, TypeError)
# Optional whitespace around a header's value (RFC 9110 section 5.6.3).
_BLANKS = " \t"


class Refused(Exception):
    """The request does not reach its function. The response has this `www-authenticate` header."""

    def __init__(self, www_authenticate: str) -> None:
        super().__init__(www_authenticate)
        self.www_authenticate = www_authenticate


class Unauthorized(Refused):
    """The token is missing or not valid: 401."""


class Forbidden(Refused):
    """The token is valid but has none of the route's scopes: 403."""


@dataclass(frozen=True)
class Authorization:
    """`requestContext.authorizer.jwt` of the event."""

    claims: dict[str, str]
    scopes: list[str] | None


class JwtAuthorizer:
    """Accepts or rejects requests by their tokens."""

    def __init__(
        self,
        issuer: str,
        audience: Sequence[str],
        *,
        fetch_timeout: float = 1.5,
        cache_seconds: float = 7200,
        refetch_seconds: float = 5,
        keys: KnownKeys | None = None,
    ) -> None:
        """Trust the tokens of one issuer.

        Args:
            issuer: the required `iss`, and the base URL of the issuer's discovery document.
            audience: one of these must be in `aud`, or equal `client_id` if `aud` is absent.
            fetch_timeout: seconds that discovery and JWKS may each take.
            cache_seconds: seconds that fetched keys are used. API Gateway keeps them for two hours.
            refetch_seconds: least seconds between fetches for unknown key IDs, so that forged tokens cannot
                flood the issuer.
            keys: the issuer's keys, if they need not be fetched.
        """
        self._issuer = issuer
        self._audience = tuple(audience)
        self._keys = keys or IssuerKeys(issuer, fetch_timeout, cache_seconds, refetch_seconds)

    async def authorize(self, authorization: str | None, scopes: Sequence[str]) -> Authorization:
        """Check a token against a route's requirements.

        Args:
            authorization: the value of the identity source: the token, bare or after `Bearer`. None if missing.
            scopes: the route's scopes, one of which the token needs. If empty, any valid token is accepted.

        Raises:
            Unauthorized: the token is missing or not valid, or the issuer's keys cannot be fetched.
            Forbidden: the token has none of the scopes.
        """
        token = bare_token(authorization)
        if not token:
            raise Unauthorized("Bearer")
        try:
            claims = verify_token(token, await self._keys.find(_key_id(token)), self._issuer, self._audience)
            # The event has no claim without a value. Which claims a token needs besides these is up to the function.
            texts = {name: _claim_text(value) for name, value in claims.items() if value is not None}
        except InvalidToken as error:
            raise Unauthorized(_challenge(scopes, "invalid_token", str(error))) from error
        except RecursionError as error:
            raise Unauthorized(_challenge(scopes, "invalid_token", "the claims are nested too deeply")) from error
        if not scopes:
            return Authorization(texts, None)
        granted = granted_scopes(claims)
        if not set(scopes) & set(granted):
            raise Forbidden(_challenge(scopes, "insufficient_scope", "the token has none of the route's scopes"))
        return Authorization(texts, granted)


class JwtSchemeAuthorizer:
    """A JWT authorizer as a security scheme of an API declares it, with its identity source."""

    kind = "jwt"
    reads_body = False
    refusal = ""

    def __init__(self, authorizer: JwtAuthorizer, sources: IdentitySources) -> None:
        self._authorizer = authorizer
        self._sources = sources

    async def authorize(self, request: Request, route: ServedRoute, _: EventSource) -> dict[str, Any]:
        """Return `requestContext.authorizer.jwt` of the event.

        Raises:
            AccessRefused: as `JwtAuthorizer.authorize`.
        """
        values = self._sources.read(request, {})
        try:
            authorization = await self._authorizer.authorize(values[0] if values else None, route.scopes)
        except Refused as error:
            status, message = (401, "Unauthorized") if isinstance(error, Unauthorized) else (403, "Forbidden")
            challenge = (b"www-authenticate", error.www_authenticate.encode("latin-1", "replace"))
            raise AccessRefused(status, message, headers=[challenge], reason=error.www_authenticate) from error
        return {"claims": authorization.claims, "scopes": authorization.scopes}


def verify_token(token: str, key: RSAPublicKey, issuer: str, audience: Sequence[str]) -> dict[str, Any]:
    """Verify a token's signature and registered claims (RFC 7519 section 4.1) and return its claims.

    Args:
        token: the token in its compact form.
        key: the issuer's key that the token names.
        issuer: the required `iss`.
        audience: one of these must be in `aud`, or equal `client_id` if `aud` is absent.

    Raises:
        InvalidToken: the token is rejected.
    """
    try:
        payload = _JWS.decode(token, key, algorithms=list(ALGORITHMS))
    except jwt.InvalidAlgorithmError as error:
        raise InvalidToken("the signing algorithm is not one of " + ", ".join(ALGORITHMS)) from error
    except jwt.InvalidSignatureError as error:
        raise InvalidToken("the signature does not match") from error
    except _UNDECODABLE as error:
        raise InvalidToken("the token cannot be decoded") from error
    try:
        claims = json.loads(payload.decode(), parse_constant=_refuse_constant)
        # An escape can stand for half a surrogate pair, which no encoding can represent.
        json.dumps(claims, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidToken("the claims are not JSON") from error
    if not isinstance(claims, dict):
        raise InvalidToken("the claims are not an object")
    _check_claims(claims, issuer, audience)
    return claims


def _check_claims(claims: Mapping[str, Any], issuer: str, audience: Sequence[str]) -> None:
    if claims.get("iss") != issuer:
        raise InvalidToken("issuer does not match")
    claimed = claims["aud"] if "aud" in claims else claims.get("client_id")
    claimed = claimed if isinstance(claimed, list) else [claimed]
    if not any(entry in audience for entry in claimed if isinstance(entry, str)):
        raise InvalidToken("the token does not have a valid audience")
    now = time.time()
    expires = _numeric_date(claims, "exp")
    if expires is None:
        raise InvalidToken("the token has no expiry time")
    if expires <= now:
        raise InvalidToken("the token has expired")
    for name, problem in (("nbf", "the token is not valid yet"), ("iat", "the token was issued in the future")):
        if (moment := _numeric_date(claims, name)) is not None and moment > now:
            raise InvalidToken(problem)


def _numeric_date(claims: Mapping[str, Any], name: str) -> int | float | None:
    if name not in claims:
        return None
    value = claims[name]
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise InvalidToken(f"{name} is not a number")


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def bare_token(authorization: str | None) -> str:
    """Return the token of a header's value, which may start with `Bearer`."""
    value = (authorization or "").strip(_BLANKS)
    scheme, _, rest = value.partition(" ")
    return rest.strip(_BLANKS) if scheme.lower() == "bearer" else value


# PyJWT looks at each character of a token, and a client sends the same token many times.
@lru_cache(maxsize=64)
def _key_id(token: str) -> str:
    try:
        key_id = _JWS.get_unverified_header(token).get("kid")
    except _UNDECODABLE as error:
        raise InvalidToken("the token cannot be decoded") from error
    if not isinstance(key_id, str):
        raise InvalidToken("the token names no key (kid)")
    return key_id


def granted_scopes(claims: Mapping[str, Any]) -> list[str]:
    granted: list[str] = []
    for name in ("scope", "scp"):
        value = claims.get(name)
        # RFC 6749 section 3.3: the delimiter is a space and nothing else.
        entries = value.split(" ") if isinstance(value, str) else value if isinstance(value, list) else []
        granted += [entry for entry in entries if entry and isinstance(entry, str)]
    return granted


def _claim_text(value: Any) -> str:
    """Return a claim as the gateway writes it in an event.

    Numbers and booleans keep their JSON text. Lists become `[a b]`, as Go prints a slice. AWS documents neither objects
    nor null inside of them. They follow the same convention (`map[a:1 b:2]`, `<nil>`).
    """
    match value:
        case str():
            return value
        case None:
            return "<nil>"
        case list():
            return "[" + " ".join(map(_claim_text, value)) + "]"
        case dict():
            return "map[" + " ".join(f"{name}:{_claim_text(value[name])}" for name in sorted(value)) + "]"
        case _:
            return json.dumps(value)


def _challenge(scopes: Sequence[str], error: str, description: str) -> str:
    return f'Bearer scope="{" ".join(scopes)}" error="{error}" error_description="{description}"'
