"""Local issuer of access tokens, and the tokens themselves."""

from local_engine.issuer.access_tokens import (
    AUDIENCE,
    CLIENT_ID,
    ISSUER_PATH,
    ISSUER_PORT,
    issuer_url,
    load_client_secret,
    load_signing_key,
    mint_token,
)
from local_engine.state import StateError

__all__ = [
    "AUDIENCE",
    "CLIENT_ID",
    "ISSUER_PATH",
    "ISSUER_PORT",
    "StateError",
    "issuer_url",
    "load_client_secret",
    "load_signing_key",
    "mint_token",
]
