"""Access tokens of the local issuer: its signing key, its client, and how a token is made."""

import base64
import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local_engine.state import StateError, read_or_create, state_directory

AUDIENCE = "local"
"""`aud` of the tokens."""
CLIENT_ID = "local-machine"
"""The issuer's one client, for programs."""
ISSUER_PATH = "/_local/issuer"
"""Where the issuer is on an API's port."""
USER_POOLS_PATH = "/_local/user-pools"
"""Where the issuers that stand in for user pools are, by the pools' IDs."""
ISSUER_PORT = 4567
"""The issuer's port under `local-engine backend`."""
TOKEN_SECONDS = 3600
_KEY_FILE = "issuer-key.pem"


def issuer_url(port: int) -> str:
    """Return the URL of the issuer on an API's port, which is also its identifier."""
    return f"http://127.0.0.1:{port}{ISSUER_PATH}"


def user_pool_url(port: int, pool_id: str) -> str:
    """Return the base URL of the endpoints of the issuer that stands in for a user pool."""
    return f"http://127.0.0.1:{port}{USER_POOLS_PATH}/{pool_id}"


def load_signing_key(project: Path = Path()) -> rsa.RSAPrivateKey:
    """Return the issuer's signing key. The first call creates and keeps it.

    Args:
        project: the folder of the template.

    Raises:
        StateError: the kept file is not an RSA key, or it cannot be read or written.
    """
    pem = read_or_create(project, _KEY_FILE, _create_key)
    try:
        # The check of an RSA key takes a tenth of a second. A wrong key in this file hurts nobody but its owner.
        key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        path = state_directory(project) / _KEY_FILE
        raise StateError(f"{path} is not an RSA private key. Delete it to get a new one.")
    return key


def load_public_keys(project: Path = Path()) -> dict[str, rsa.RSAPublicKey]:
    """Return the issuer's public key by its key ID, as authorizers use it.

    Args:
        project: the folder of the template.

    Raises:
        StateError: as `load_signing_key`.
    """
    key = load_signing_key(project)
    return {public_jwk(key)["kid"]: key.public_key()}


def load_client_secret(project: Path = Path(), client_id: str = CLIENT_ID) -> str:
    """Return a client's secret. The first call creates and keeps it.

    Args:
        project: the folder of the template.
        client_id: the issuer's own client, or one of a user pool.

    Raises:
        StateError: the secret cannot be read or written.
    """
    name = "client-secret" if client_id == CLIENT_ID else f"client-secrets/{client_id}"
    return read_or_create(project, name, lambda: secrets.token_urlsafe(32).encode()).decode()


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
        subject: `sub`, the user.
        scopes: `scope`.
        client_id: the client that the token is issued to.
        expires_in: seconds until the token expires. A negative number makes an expired token.
        claims: claims to set. None removes a claim.
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
    # PyJWS does not check the registered claims: tests of an authorizer need tokens with wrong ones.
    return jwt.PyJWS().encode(payload, key, algorithm="RS256", headers={"kid": public_jwk(key)["kid"], "typ": "JWT"})


def _create_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_jwk(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    """Return the public half of the issuer's key as an entry of a JWKS (RFC 7517)."""
    jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    # The key ID is the key's thumbprint (RFC 7638), so a new key gets a new ID.
    thumbprint = hashlib.sha256(
        json.dumps({name: jwk[name] for name in ("e", "kty", "n")}, separators=(",", ":")).encode()
    ).digest()
    key_id = base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id, "n": jwk["n"], "e": jwk["e"]}
