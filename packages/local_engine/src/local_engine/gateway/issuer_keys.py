"""Keys that an issuer publishes (OpenID Connect Discovery 1.0 section 4, RFC 7517)."""

import asyncio
import ipaddress
import json
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

_UNREACHABLE = (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError)


class InvalidToken(Exception):
    """The token is rejected. The message is the `error_description` of RFC 6750 section 3."""


class KnownKeys:
    """Keys of an issuer that are known without a fetch."""

    def __init__(self, keys: Mapping[str, RSAPublicKey]) -> None:
        """Take the keys by key ID."""
        self._keys = keys

    async def find(self, key_id: str) -> RSAPublicKey:
        """Return a key.

        Raises:
            InvalidToken: the issuer has no such key.
        """
        return _find_key(self._keys, key_id)


class IssuerKeys:
    """The issuer's RSA keys by key ID, fetched over HTTP when first needed."""

    def __init__(self, issuer: str, fetch_timeout: float, cache_seconds: float, refetch_seconds: float) -> None:
        self._issuer = issuer
        self._fetch_timeout = fetch_timeout
        self._cache_seconds = cache_seconds
        self._refetch_seconds = refetch_seconds
        self._keys: dict[str, RSAPublicKey] = {}
        self._fetched_at = -math.inf
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str) -> RSAPublicKey:
        """Return a key.

        Raises:
            InvalidToken: the issuer has no such key, or its keys cannot be fetched.
        """
        if not self._is_fresh(key_id):
            async with self._fetching:
                # Another request may have fetched while this one waited.
                if not self._is_fresh(key_id):
                    self._keys = await asyncio.to_thread(self._fetch)
                    self._fetched_at = time.monotonic()
        return _find_key(self._keys, key_id)

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
        # A proxy from the environment cannot reach this machine's loopback.
        handlers = [urllib.request.ProxyHandler({})] if _is_loopback(url) else []
        opener = urllib.request.build_opener(*handlers)
        with opener.open(url, timeout=self._fetch_timeout) as response:
            return json.load(response)


def _find_key(keys: Mapping[str, RSAPublicKey], key_id: str) -> RSAPublicKey:
    try:
        return keys[key_id]
    except KeyError:
        raise InvalidToken("the token was not signed by a key of the issuer") from None


def _is_loopback(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _rsa_public_key(key: Any) -> RSAPublicKey | None:
    """Read an entry of a JWKS. Return None for a key of another type or for encryption."""
    if not isinstance(key, dict) or key.get("kty") != "RSA" or key.get("use", "sig") != "sig":
        return None
    if not isinstance(key.get("kid"), str):
        return None
    try:
        public = RSAAlgorithm.from_jwk(key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return public if isinstance(public, RSAPublicKey) else None
