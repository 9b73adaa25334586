"""OpenID Connect issuer for one machine: discovery, keys, client credentials grant and introspection.

Local tokens come the same way as real ones, so the authorizer runs the same code as it would for a real issuer.
"""

import base64
import binascii
import hmac
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from local_engine.access.user_pools import UserPool
from local_engine.gateway.issuer_keys import InvalidToken
from local_engine.gateway.jwt_authorizer import verify_token
from local_engine.issuer.access_tokens import (
    AUDIENCE,
    CLIENT_ID,
    TOKEN_SECONDS,
    load_client_secret,
    load_signing_key,
    mint_token,
    public_jwk,
)
from local_engine.issuer.api_tokens import mint_pool_token

_NOT_STORED = {"Cache-Control": "no-store"}
_LARGEST_FORM = 64 * 1024
_AUTHENTICATION_METHODS = ["client_secret_basic", "client_secret_post"]


@dataclass(frozen=True)
class _Client:
    secret: str
    scopes: Sequence[str]
    """The scopes that it may request, and gets if it requests none."""


def create_issuer(issuer: str, scopes: Sequence[str], project: Path) -> Router:
    """Return the issuer as an ASGI application, to be mounted at the path of its URL.

    Args:
        issuer: its identifier and base URL, without a slash at the end.
        scopes: the scopes that its client may request, and gets if it requests none.
        project: the folder of the template.

    Raises:
        StateError: the key or the client's secret cannot be read or written.
    """
    key = load_signing_key(project)
    client = _Client(load_client_secret(project), scopes)

    def mint(client_id: str, granted: Sequence[str]) -> str:
        return mint_token(key, issuer=issuer, audience=AUDIENCE, subject=client_id, scopes=granted)

    return _create_router(
        _Issuer(issuer, issuer, clients={CLIENT_ID: client}, key=key, audiences=[AUDIENCE], mint=mint)
    )


def create_pool_issuer(pool: UserPool, url: str, project: Path) -> Router:
    """Return the issuer that stands in for a user pool, as an ASGI application.

    Its clients are the pool's with a secret.

    Args:
        pool: the user pool.
        url: the base URL of the endpoints, without a slash at the end. The tokens have the pool's own issuer.
        project: the folder of the template.

    Raises:
        StateError: the key or a client's secret cannot be read or written.
    """
    key = load_signing_key(project)
    clients = {
        client.id: _Client(load_client_secret(project, client.id), client.scopes)
        for client in pool.clients
        if client.has_secret
    }
    audiences = [client.id for client in pool.clients]

    def mint(client_id: str, granted: Sequence[str]) -> str:
        return mint_pool_token(key, pool.issuer, client_id, client_id, granted, claims={"username": None})

    return _create_router(_Issuer(pool.issuer, url, clients=clients, key=key, audiences=audiences, mint=mint))


def _create_router(application: "_Issuer") -> Router:
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
        self,
        issuer: str,
        url: str,
        *,
        clients: Mapping[str, _Client],
        key: rsa.RSAPrivateKey,
        audiences: Sequence[str],
        mint: Callable[[str, Sequence[str]], str],
    ) -> None:
        self._issuer = issuer
        self._url = url
        self._clients = clients
        self._key = key
        self._audiences = audiences
        self._mint = mint

    async def describe(self, _: Request) -> Response:
        """OpenID Connect Discovery 1.0, section 3."""
        return JSONResponse(
            {
                "issuer": self._issuer,
                "jwks_uri": f"{self._url}/.well-known/jwks.json",
                "token_endpoint": f"{self._url}/oauth2/token",
                "introspection_endpoint": f"{self._url}/oauth2/introspect",
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": sorted({scope for client in self._clients.values() for scope in client.scopes}),
                "token_endpoint_auth_methods_supported": _AUTHENTICATION_METHODS,
                # RFC 8414 section 2. `none`: functions under `sam local` have no secret, and a token tells nothing
                # that its bearer cannot read in it.
                "introspection_endpoint_auth_methods_supported": ["none", *_AUTHENTICATION_METHODS],
            }
        )

    async def list_keys(self, _: Request) -> Response:
        """RFC 7517, section 5."""
        return JSONResponse({"keys": [public_jwk(self._key)]})

    async def give_token(self, request: Request) -> Response:
        """RFC 6749, sections 2.3.1, 4.4 and 5."""
        try:
            form = await _read_form(request)
            client_id = _authenticate_client(request.headers.get("authorization"), form, self._clients)
            if form.get("grant_type") != "client_credentials":
                raise _Refusal("unsupported_grant_type" if form.get("grant_type") else "invalid_request")
            scopes = self._clients[client_id].scopes
            granted = [scope for scope in form.get("scope", "").split(" ") if scope] or scopes
            if not set(granted) <= set(scopes):
                raise _Refusal("invalid_scope")
        except _Refusal as refusal:
            return refusal.response()
        answer = {
            "access_token": self._mint(client_id, granted),
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": " ".join(granted),
        }
        return JSONResponse(answer, headers=_NOT_STORED)

    async def introspect(self, request: Request) -> Response:
        """RFC 7662. Only this machine reaches the issuer, so credentials are optional, but must not be wrong."""
        try:
            form = await _read_form(request)
            authorization = request.headers.get("authorization")
            if authorization is not None or "client_secret" in form:
                _authenticate_client(authorization, form, self._clients)
            token = form.get("token")
            if not token:
                raise _Refusal("invalid_request")
            claims = verify_token(token, self._key.public_key(), self._issuer, self._audiences)
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


def _authenticate_client(authorization: str | None, form: Mapping[str, str], clients: Mapping[str, _Client]) -> str:
    """Return the client's ID."""
    if authorization is not None and "client_secret" in form:
        raise _Refusal("invalid_request")
    if authorization is None:
        client, given = form.get("client_id", ""), form.get("client_secret", "")
    else:
        client, given = _basic_credentials(authorization)
        if form.get("client_id", client) != client:
            raise _Refusal("invalid_request")
    if client not in clients or not hmac.compare_digest(given.encode(), clients[client].secret.encode()):
        raise _Refusal("invalid_client")
    return client


def _basic_credentials(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise _Refusal("invalid_client") from None
    if scheme.lower() != "basic":
        raise _Refusal("invalid_client")
    return urllib.parse.unquote_plus(client), urllib.parse.unquote_plus(secret)
