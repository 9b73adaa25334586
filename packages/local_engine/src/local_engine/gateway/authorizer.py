"""The JWT authorizer of an HTTP API, as API Gateway behaves.

Source: "Control access to HTTP APIs with JWT authorizers in API Gateway" and "Troubleshooting issues with HTTP
API JWT authorizers" (API Gateway Developer Guide). Descriptions in `www-authenticate` that AWS does not publish
are this module's own words.
"""

import asyncio
import ipaddress
import json
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

ALGORITHMS = ("RS256", "RS384", "RS512")
_JWS = jwt.PyJWS(list(ALGORITHMS))
# PyJWT lets some malformed headers (an unhashable entry in `crit`, text that is not UTF-8) fall through to errors of
# Python's own.
_UNDECODABLE = (jwt.PyJWTError, ValueError, TypeError)
_UNREACHABLE = (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError)


class Refused(Exception):
    """The request does not reach its function; the answer carries this `www-authenticate` header."""

    def __init__(self, www_authenticate: str) -> None:
        super().__init__(www_authenticate)
        self.www_authenticate = www_authenticate


class Unauthorized(Refused):
    """No token, or one that is not valid: 401."""


class Forbidden(Refused):
    """A valid token that lacks every scope of the route: 403."""


class InvalidToken(Exception):
    """Why a token is not accepted, as the `error_description` of RFC 6750 section 3."""


@dataclass(frozen=True)
class Authorization:
    """What a function finds at `requestContext.authorizer.jwt`."""

    claims: dict[str, str]
    scopes: list[str] | None


class JwtAuthorizer:
    """Decides on requests by the tokens they carry."""

    def __init__(
        self,
        issuer: str,
        audience: Sequence[str],
        *,
        fetch_timeout: float = 1.5,
        cache_seconds: float = 7200,
        refetch_seconds: float = 5,
    ) -> None:
        """Trust the tokens of one issuer.

        Args:
            issuer: what `iss` must equal, and the base URL of the issuer's discovery document.
            audience: one of these must be in `aud`, or equal `client_id` where `aud` is absent.
            fetch_timeout: seconds that discovery and JWKS may each take.
            cache_seconds: how long fetched keys serve; API Gateway keeps them for two hours.
            refetch_seconds: fetches caused by unknown key ids are at least this far apart, so that forged
                tokens cannot be used to flood the issuer.
        """
        self._issuer = issuer
        self._audience = tuple(audience)
        self._keys = _KeySet(issuer, fetch_timeout, cache_seconds, refetch_seconds)

    async def authorize(self, authorization: str | None, scopes: Sequence[str]) -> Authorization:
        """Check the value of the identity source against what a route demands.

        Args:
            authorization: the token, bare or after `Bearer`; None where the request has none.
            scopes: the route's scopes, of which the token needs one; empty where any valid token will do.

        Raises:
            Unauthorized: no token, or one that is not valid, or the issuer's keys cannot be had.
            Forbidden: a valid token with none of the scopes.
        """
        token = _bare_token(authorization)
        if not token:
            raise Unauthorized("Bearer")
        try:
            claims = verify_token(token, await self._keys.find(_key_id(token)), self._issuer, self._audience)
            texts = {name: _claim_text(value) for name, value in claims.items()}
        except InvalidToken as error:
            raise Unauthorized(_challenge(scopes, "invalid_token", str(error))) from error
        except RecursionError as error:
            raise Unauthorized(_challenge(scopes, "invalid_token", "the claims are nested too deeply")) from error
        if not scopes:
            return Authorization(texts, None)
        granted = _granted_scopes(claims)
        if not set(scopes) & set(granted):
            raise Forbidden(_challenge(scopes, "insufficient_scope", "the token has none of the route's scopes"))
        return Authorization(texts, granted)


def verify_token(token: str, key: RSAPublicKey, issuer: str, audience: Sequence[str]) -> dict[str, Any]:
    """Return the claims of a token that `key` signed and whose registered claims (RFC 7519 section 4.1) hold.

    Args:
        token: the token in its compact form.
        key: one of the issuer's keys.
        issuer: what `iss` must equal.
        audience: one of these must be in `aud`, or equal `client_id` where `aud` is absent.

    Raises:
        InvalidToken: with the reason.
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
        # An escape can stand for half a surrogate pair, which is no text: no encoding carries it any further.
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


def _bare_token(authorization: str | None) -> str:
    value = (authorization or "").strip()
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else value


def _key_id(token: str) -> str:
    try:
        key_id = _JWS.get_unverified_header(token).get("kid")
    except _UNDECODABLE as error:
        raise InvalidToken("the token cannot be decoded") from error
    if not isinstance(key_id, str):
        raise InvalidToken("the token names no key (kid)")
    return key_id


def _granted_scopes(claims: Mapping[str, Any]) -> list[str]:
    granted: list[str] = []
    for name in ("scope", "scp"):
        value = claims.get(name)
        entries = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        granted += [entry for entry in entries if isinstance(entry, str)]
    return granted


def _claim_text(value: Any) -> str:
    """Write a claim as the gateway does in an event.

    Numbers and booleans keep their JSON text and lists become `[a b]`, which is how Go prints a slice; objects
    and null, on which AWS's documentation is silent, follow the same convention (`map[a:1 b:2]`, `<nil>`).
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


class _KeySet:
    """The issuer's RSA keys by key id, fetched over HTTP when first needed."""

    def __init__(self, issuer: str, fetch_timeout: float, cache_seconds: float, refetch_seconds: float) -> None:
        self._issuer = issuer
        self._fetch_timeout = fetch_timeout
        self._cache_seconds = cache_seconds
        self._refetch_seconds = refetch_seconds
        self._keys: dict[str, RSAPublicKey] = {}
        self._fetched_at = -math.inf
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str) -> RSAPublicKey:
        if not self._is_fresh(key_id):
            async with self._fetching:
                # Another request may have fetched while this one waited.
                if not self._is_fresh(key_id):
                    self._keys = await asyncio.to_thread(self._fetch)
                    self._fetched_at = time.monotonic()
        try:
            return self._keys[key_id]
        except KeyError:
            raise InvalidToken("the token was signed by no key of the issuer") from None

    def _is_fresh(self, key_id: str) -> bool:
        age = time.monotonic() - self._fetched_at
        return age < (self._cache_seconds if key_id in self._keys else self._refetch_seconds)

    def _fetch(self) -> dict[str, RSAPublicKey]:
        try:
            discovery = self._fetch_json(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
            jwks_url = str(discovery["jwks_uri"])
        except _UNREACHABLE as error:
            raise InvalidToken("OIDC discovery endpoint communication error") from error
        try:
            keys = self._fetch_json(jwks_url)["keys"]
            return {key["kid"]: public for key in keys if (public := _rsa_public_key(key))}
        except _UNREACHABLE as error:
            raise InvalidToken("JWKS communication error") from error

    def _fetch_json(self, url: str) -> Any:
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{url} is not an HTTP URL")
        # A proxy that the environment names cannot reach this machine's own loopback.
        handlers = [urllib.request.ProxyHandler({})] if _is_loopback(url) else []
        opener = urllib.request.build_opener(*handlers)
        with opener.open(url, timeout=self._fetch_timeout) as response:
            return json.load(response)


def _is_loopback(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _rsa_public_key(key: Any) -> RSAPublicKey | None:
    """Read an entry of a JWKS; None for what is no key to verify with (another type, or for encryption)."""
    if not isinstance(key, dict) or key.get("kty") != "RSA" or key.get("use", "sig") != "sig":
        return None
    if not isinstance(key.get("kid"), str):
        return None
    try:
        public = RSAAlgorithm.from_jwk(key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return public if isinstance(public, RSAPublicKey) else None
