"""Access tokens, verified by the rules of API Gateway's own JWT authorizer.

So both APIs accept the same ones, except that a `sub` that is not text is rejected here.

Sources: RFC 7519 and RFC 7517; «Control access to HTTP APIs with JWT authorizers in API Gateway», Amazon API Gateway
Developer Guide.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from serverless_api import KeptConnection

ALGORITHMS = ["RS256", "RS384", "RS512"]
KEY_SECONDS = 3600
"""How long fetched keys are used."""
REFETCH_SECONDS = 5
"""Least time between two fetches, so that tokens with made-up key IDs cannot flood the issuer."""
FETCH_SECONDS = 2.0
"""Time limit of each of the two requests to the issuer."""
MAX_DOCUMENT = 256 * 1024
"""Most bytes of one of the issuer's documents."""
MAX_SUBJECT = 255
"""Most characters of a subject (OpenID Connect Core 1.0, section 2)."""

_JWS = jwt.PyJWS(ALGORITHMS)
# For some malformed headers, PyJWT raises Python's own errors.
_UNDECODABLE = (jwt.PyJWTError, ValueError, TypeError, RecursionError)
_BLANKS = " \t"


class InvalidToken(Exception):
    """A token is rejected. The message says why, and holds nothing of the token."""


class IssuerUnavailable(Exception):
    """The issuer's keys are needed and cannot be fetched."""


class IssuerKeys:
    """The issuer's public RSA keys, by key ID, fetched when first needed (OpenID Connect Discovery 1.0, section 4)."""

    def __init__(self, issuer: str) -> None:
        self._discovery = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        self._keys: dict[str, RSAPublicKey] = {}
        self._fetched_at = -math.inf

    def find(self, key_id: str) -> RSAPublicKey:
        """Return a key.

        Raises:
            InvalidToken: the issuer has no such key.
            IssuerUnavailable: its keys cannot be fetched.
        """
        age = time.time() - self._fetched_at
        if not 0 <= age < (KEY_SECONDS if key_id in self._keys else REFETCH_SECONDS):
            self._keys = self._fetch()
            self._fetched_at = time.time()
        if key_id not in self._keys:
            raise InvalidToken("it was not signed with a key of the issuer")
        return self._keys[key_id]

    def _fetch(self) -> dict[str, RSAPublicKey]:
        try:
            entries = _fetch_document(str(_fetch_document(self._discovery)["jwks_uri"]))["keys"]
            return {entry["kid"]: key for entry in entries if (key := _read_key(entry))}
        except (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError) as error:
            raise IssuerUnavailable(f"the issuer's keys cannot be fetched: {type(error).__name__}: {error}") from error


class TokenVerifier:
    """Verifies the tokens of one issuer.

    Args:
        issuer: the required `iss`.
        audiences: one of these must be in `aud`, or equal `client_id` if there is no `aud`.
        keys: the issuer's keys.
    """

    def __init__(self, issuer: str, audiences: Sequence[str], keys: IssuerKeys) -> None:
        self._issuer = issuer
        self._audiences = audiences
        self._keys = keys

    def verify(self, authorization: str) -> dict[str, Any]:
        """Return the claims of the token in an `Authorization` header, bare or after `Bearer`.

        Raises:
            InvalidToken: the token is not valid.
            IssuerUnavailable: that cannot be told.
        """
        value = authorization.strip(_BLANKS)
        scheme, _, rest = value.partition(" ")
        token = rest.strip(_BLANKS) if scheme.lower() == "bearer" else value
        try:
            key_id = _JWS.get_unverified_header(token).get("kid")
            if not isinstance(key_id, str):
                raise InvalidToken("it names no key")
            payload = _JWS.decode(token, self._keys.find(key_id), algorithms=ALGORITHMS)
            claims = json.loads(payload.decode(), parse_constant=_refuse_constant)
            # An escape can stand for half of a surrogate pair, which no encoding can represent.
            json.dumps(claims, ensure_ascii=False).encode()
        except _UNDECODABLE as error:
            raise InvalidToken(f"it is not a signed token: {type(error).__name__}") from error
        if not isinstance(claims, dict):
            raise InvalidToken("its claims are not an object")
        self._check(claims)
        return claims

    def _check(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") != self._issuer:
            raise InvalidToken("it is from another issuer")
        claimed = claims["aud"] if "aud" in claims else claims.get("client_id")
        if not set(_list_texts(claimed if isinstance(claimed, list) else [claimed])).intersection(self._audiences):
            raise InvalidToken("it is for another audience")
        now = time.time()
        expires = _read_date(claims, "exp")
        if expires is None or expires <= now:
            raise InvalidToken("it has expired, or never expires")
        if any((_read_date(claims, name) or 0) > now for name in ("nbf", "iat")):
            raise InvalidToken("it is not valid yet")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
            raise InvalidToken("it has no usable subject")


def list_scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes that a token grants in `scope` (RFC 8693, section 4.2), or in `scp` of Okta and Entra."""
    granted: list[str] = []
    for name in ("scope", "scp"):
        value = claims.get(name)
        # Only the space separates scopes (RFC 6749, section 3.3).
        granted += value.split(" ") if isinstance(value, str) else _list_texts(value if isinstance(value, list) else [])
    return frozenset(filter(None, granted))


def _list_texts(entries: list[Any]) -> list[str]:
    return [entry for entry in entries if isinstance(entry, str)]


def _read_date(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if name not in claims:
        return None
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise InvalidToken(f"{name} is not a number")


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _fetch_document(url: str) -> dict[str, Any]:
    connection = KeptConnection(url, local_http=True)
    try:
        headers = {"Host": connection.host, "Accept": "application/json"}
        response, content = connection.fetch("GET", headers, b"", FETCH_SECONDS, MAX_DOCUMENT)
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"{connection.host} answered {response.status}")
    document: dict[str, Any] = json.loads(content)
    return document


def _read_key(entry: Any) -> RSAPublicKey | None:
    """Return the key in an entry of a JWKS; None if it is not an RSA key for signatures."""
    if not isinstance(entry, dict) or entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig":
        return None
    if not isinstance(entry.get("kid"), str):
        return None
    try:
        key = RSAAlgorithm.from_jwk(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, RSAPublicKey) else None
