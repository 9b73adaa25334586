"""An OpenID Connect issuer for one machine: discovery, keys, and the client credentials grant.

Gives local tokens the same way as a real issuer, so that the authorizer's code path is the one that runs in AWS.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
import urllib.parse
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from local_engine.gateway.authorizer import InvalidToken, verify_token
from local_engine.state import STATE_DIRECTORY, StateError, read_or_create

CLIENT_ID = "local-machine"
TOKEN_SECONDS = 3600
_NOT_STORED = {"Cache-Control": "no-store"}
_LARGEST_FORM = 64 * 1024


def load_signing_key(directory: Path = STATE_DIRECTORY) -> rsa.RSAPrivateKey:
    """Return the issuer's key, made and kept the first time.

    Raises:
        StateError: what is kept is no RSA key, or cannot be read or written.
    """
    pem = read_or_create("issuer-key.pem", _create_key, directory)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise StateError(f"{directory / 'issuer-key.pem'} is not an RSA private key; delete it to get a new one.")
    return key


def load_client_secret(directory: Path = STATE_DIRECTORY) -> str:
    """Return the secret of the client `local-machine`, made and kept the first time.

    Raises:
        StateError: it cannot be read or written.
    """
    return read_or_create("client-secret", lambda: secrets.token_urlsafe(32).encode(), directory).decode()


def mint_token(
    key: rsa.RSAPrivateKey,
    *,
    issuer: str,
    audience: str,
    subject: str,
    scopes: Sequence[str],
    client_id: str = CLIENT_ID,
    expires_in: int = TOKEN_SECONDS,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Sign an access token.

    Args:
        key: the issuer's key.
        issuer: `iss`.
        audience: `aud`.
        subject: `sub`, whom the token stands for.
        scopes: what it allows.
        client_id: whom it was given to.
        expires_in: seconds from now until it expires; negative for one that already has.
        claims: replaces any claim, or removes it where the value is None.
    """
    now = int(time.time())
    content: dict[str, Any] = {
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "client_id": client_id,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + expires_in,
        "jti": str(uuid.uuid4()),
        "token_use": "access",
    }
    content |= claims or {}
    payload = json.dumps({name: value for name, value in content.items() if value is not None}).encode()
    # The registered claims are not checked on purpose: a wrong token is what one tries an authorizer with.
    return jwt.PyJWS().encode(payload, key, algorithm="RS256", headers={"kid": _public_jwk(key)["kid"], "typ": "JWT"})


def create_issuer(issuer: str, audience: str, scopes: Sequence[str], directory: Path = STATE_DIRECTORY) -> Router:
    """Return the issuer as an ASGI application, to be mounted at the path of its URL.

    Args:
        issuer: its identifier and base URL, without a slash at the end.
        audience: `aud` of the tokens it gives.
        scopes: what its client may ask for; all of it where the client names none.
        directory: where its key and secret are kept.

    Raises:
        StateError: key or secret cannot be read or written.
    """
    application = _Issuer(issuer, audience, scopes, load_signing_key(directory), load_client_secret(directory))
    return Router(
        [
            Route("/.well-known/openid-configuration", application.describe),
            Route("/.well-known/jwks.json", application.list_keys),
            Route("/oauth2/token", application.give_token, methods=["POST"]),
            Route("/oauth2/introspect", application.introspect, methods=["POST"]),
        ]
    )


class _Issuer:
    def __init__(
        self, issuer: str, audience: str, scopes: Sequence[str], key: rsa.RSAPrivateKey, client_secret: str
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._scopes = list(scopes)
        self._key = key
        self._client_secret = client_secret

    async def describe(self, _: Request) -> Response:
        """OpenID Connect Discovery 1.0, section 3."""
        return JSONResponse(
            {
                "issuer": self._issuer,
                "jwks_uri": f"{self._issuer}/.well-known/jwks.json",
                "token_endpoint": f"{self._issuer}/oauth2/token",
                "introspection_endpoint": f"{self._issuer}/oauth2/introspect",
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": self._scopes,
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            }
        )

    async def list_keys(self, _: Request) -> Response:
        """RFC 7517, section 5."""
        return JSONResponse({"keys": [_public_jwk(self._key)]})

    async def give_token(self, request: Request) -> Response:
        """RFC 6749, sections 2.3.1, 4.4 and 5."""
        try:
            form = await _read_form(request)
            _authenticate_client(request.headers.get("authorization"), form, self._client_secret)
            if form.get("grant_type") != "client_credentials":
                raise _Refusal("unsupported_grant_type" if form.get("grant_type") else "invalid_request")
            granted = form.get("scope", "").split() or self._scopes
            if not set(granted) <= set(self._scopes):
                raise _Refusal("invalid_scope")
        except _Refusal as refusal:
            return refusal.response()
        token = mint_token(self._key, issuer=self._issuer, audience=self._audience, subject=CLIENT_ID, scopes=granted)
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": " ".join(granted),
        }
        return JSONResponse(answer, headers=_NOT_STORED)

    async def introspect(self, request: Request) -> Response:
        """RFC 7662, but for section 2.1: only this machine reaches the issuer, so the caller need not prove itself."""
        try:
            token = (await _read_form(request)).get("token")
            if not token:
                raise _Refusal("invalid_request")
            claims = verify_token(token, self._key.public_key(), self._issuer, [self._audience])
        except _Refusal as refusal:
            return refusal.response()
        except InvalidToken:
            return JSONResponse({"active": False}, headers=_NOT_STORED)
        return JSONResponse({**claims, "active": True}, headers=_NOT_STORED)


class _Refusal(Exception):
    """An error of RFC 6749 section 5.2."""

    def response(self) -> Response:
        error = str(self)
        if error == "invalid_client":
            headers = {**_NOT_STORED, "WWW-Authenticate": 'Basic realm="local issuer"'}
            return JSONResponse({"error": error}, status_code=401, headers=headers)
        return JSONResponse({"error": error}, status_code=400, headers=_NOT_STORED)


async def _read_form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise _Refusal("invalid_request")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            raise _Refusal("invalid_request")
    try:
        pairs = urllib.parse.parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        raise _Refusal("invalid_request") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise _Refusal("invalid_request")  # RFC 6749 section 3.2: no parameter more than once
    return form


def _authenticate_client(authorization: str | None, form: Mapping[str, str], secret: str) -> None:
    if authorization is not None and "client_secret" in form:
        raise _Refusal("invalid_request")
    if authorization is None:
        client, given = form.get("client_id", ""), form.get("client_secret", "")
    else:
        client, given = _basic_credentials(authorization)
    if client != CLIENT_ID or not hmac.compare_digest(given.encode(), secret.encode()):
        raise _Refusal("invalid_client")


def _basic_credentials(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise _Refusal("invalid_client") from None
    if scheme.lower() != "basic":
        raise _Refusal("invalid_client")
    return urllib.parse.unquote_plus(client), urllib.parse.unquote_plus(secret)


def _create_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_jwk(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    # The key's own thumbprint (RFC 7638) names it, so that a new key gets a new name by itself.
    thumbprint = hashlib.sha256(
        json.dumps({name: jwk[name] for name in ("e", "kty", "n")}, separators=(",", ":")).encode()
    ).digest()
    key_id = base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id, "n": jwk["n"], "e": jwk["e"]}
