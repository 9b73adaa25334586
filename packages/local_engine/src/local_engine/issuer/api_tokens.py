"""Tokens that a given API accepts, if the local issuer can sign them.

Sources: "Understanding the access token" and "Understanding the identity (ID) token" (Amazon Cognito Developer Guide).
"""

import http.client
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from local_engine.access.user_pools import UserPool
from local_engine.issuer.access_tokens import (
    AUDIENCE,
    CLIENT_ID,
    ISSUER_PATH,
    TOKEN_SECONDS,
    issuer_url,
    mint_token,
)

TOKEN_PATH = "/_local/token"  # noqa: S105 - a path
"""Where an API says what it asks of a token, and its pages get theirs."""
_ANSWER_SECONDS = 5.0
_LOCAL_ISSUER = re.compile(rf"http://(?:127\.0\.0\.1|localhost):\d+{ISSUER_PATH}")


@dataclass(frozen=True)
class TokenSettings:
    """What an authorizer asks of a token."""

    issuer: str
    audience: str
    """`aud`, or the ID of a user pool's client."""
    is_user_pool: bool = False
    is_cognito: bool = False
    """Whether it is a Cognito authorizer of a REST API, which takes ID tokens if the method asks for no scopes."""


def find_token_settings(
    document: Mapping[str, Any], authorizer: str, pools: Sequence[UserPool]
) -> TokenSettings | None:
    """Return what an authorizer asks of a token, or None if the local issuer cannot sign one for it.

    Args:
        document: the API's OpenAPI document.
        authorizer: the authorizer's name.
        pools: the template's user pools, which the local issuer stands in for.
    """
    scheme = ((document.get("components") or {}).get("securitySchemes") or {}).get(authorizer)
    settings = scheme.get("x-amazon-apigateway-authorizer") if isinstance(scheme, dict) else None
    match settings:
        case {"type": "jwt", "jwtConfiguration": {"issuer": str(issuer), "audience": str() | [str(), *_] as audience}}:
            known = [audience] if isinstance(audience, str) else audience
            if any(pool.issuer == issuer for pool in pools):
                return TokenSettings(issuer, known[0], is_user_pool=True)
            if _LOCAL_ISSUER.fullmatch(issuer):
                return TokenSettings(issuer, AUDIENCE if AUDIENCE in known else known[0])
        case {"type": "cognito_user_pools", "providerARNs": [*arns]}:
            for pool in pools:
                if pool.arn in arns and pool.clients:
                    return TokenSettings(pool.issuer, pool.clients[0].id, is_user_pool=True, is_cognito=True)
    return None


def fetch_token_settings(port: int) -> TokenSettings:
    """Return what the API at a port asks of a token; if no engine with an API answers, what the local issuer gives.

    Args:
        port: the API's port, which is also the local issuer's.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", TOKEN_PATH)
        response = connection.getresponse()
        found = json.loads(response.read())
        if response.status == http.client.OK:
            return TokenSettings(**found)
    except (OSError, http.client.HTTPException, ValueError, TypeError):
        pass
    finally:
        connection.close()
    return _local_settings(port)


def choose_token_settings(document: Mapping[str, Any], pools: Sequence[UserPool], port: int) -> TokenSettings:
    """Return what the API's first authorizer asks for whose tokens the local issuer can sign; if none, what it gives.

    Args:
        document: the API's OpenAPI document.
        pools: the template's user pools, which the local issuer stands in for.
        port: the API's port, which is also the local issuer's.
    """
    names = (document.get("components") or {}).get("securitySchemes") or {}
    found = (find_token_settings(document, name, pools) for name in names)
    return next(filter(None, found), _local_settings(port))


def _local_settings(port: int) -> TokenSettings:
    return TokenSettings(issuer_url(port), AUDIENCE)


def mint_api_token(
    key: rsa.RSAPrivateKey,
    settings: TokenSettings,
    subject: str,
    scopes: Sequence[str],
    *,
    expires_in: int = TOKEN_SECONDS,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Return a token that an authorizer accepts.

    Args:
        key: the local issuer's key.
        settings: what the authorizer asks of the token.
        subject: `sub`, the user.
        scopes: the token's scopes.
        expires_in: seconds until the token expires.
        claims: claims to set. None removes a claim.
    """
    if settings.is_user_pool:
        return mint_pool_token(
            key,
            settings.issuer,
            settings.audience,
            subject,
            scopes,
            uses_id=settings.is_cognito and not scopes,
            expires_in=expires_in,
            claims=claims,
        )
    return mint_token(
        key,
        issuer=settings.issuer,
        audience=settings.audience,
        subject=subject,
        scopes=scopes,
        expires_in=expires_in,
        claims=claims,
    )


def mint_pool_token(
    key: rsa.RSAPrivateKey,
    issuer: str,
    client_id: str,
    subject: str,
    scopes: Sequence[str],
    *,
    uses_id: bool = False,
    expires_in: int = TOKEN_SECONDS,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Sign a token as a user pool does.

    Args:
        key: the local issuer's key.
        issuer: the pool's issuer.
        client_id: the app client.
        subject: `sub`, the user.
        scopes: the scopes of an access token.
        uses_id: whether it is an ID token.
        expires_in: seconds until the token expires.
        claims: claims to set. None removes a claim.
    """
    own: dict[str, Any] = {
        "auth_time": int(time.time()),
        "origin_jti": str(uuid.uuid4()),
        # An access token of a user pool has no audience.
        **({"cognito:username": subject, "client_id": None, "scope": None} if uses_id else {"aud": None, "version": 2}),
        "token_use": "id" if uses_id else "access",
        **({} if uses_id else {"username": subject}),
    }
    return mint_token(
        key,
        issuer=issuer,
        audience=client_id,
        subject=subject,
        scopes=scopes,
        client_id=client_id or CLIENT_ID,
        expires_in=expires_in,
        claims={**own, **(claims or {})},
    )
