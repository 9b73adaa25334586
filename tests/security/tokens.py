"""Tokens as an attacker makes them: signed with the issuer's key, with another one, and unsigned."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from local_engine.issuer import AUDIENCE, issuer_url, load_signing_key, mint_token
from tests.support.matrix import EVERY_SCOPE
from tests.support.stack import ROOT


class Forge:
    """Makes tokens for the API on a port of this machine."""

    def __init__(self, port: int, elsewhere: str = "", project: Path = ROOT) -> None:
        """Take the API's port, the URL of the attacker's server, and the folder of the engine's template."""
        self.issuer = issuer_url(port)
        self.elsewhere = elsewhere
        self.key = load_signing_key(project)
        self.key_id: str = jwt.get_unverified_header(self.mint())["kid"]

    @cached_property
    def own_key(self) -> rsa.RSAPrivateKey:
        """The attacker's key."""
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def own_jwk(self) -> dict[str, Any]:
        """The attacker's public key under the ID of the issuer's key."""
        return {**RSAAlgorithm.to_jwk(self.own_key.public_key(), as_dict=True), "kid": self.key_id}

    def mint(self, subject: str = "mallory", scope: Any = EVERY_SCOPE, expires: int = 3600, **claims: Any) -> str:
        """A token signed by the issuer; a claim of None is left out."""
        return mint_token(
            self.key,
            issuer=self.issuer,
            audience=AUDIENCE,
            subject=subject,
            scopes=[],
            expires_in=expires,
            claims={"scope": scope, **claims},
        )

    def mint_with_payload(self, change: Callable[[bytes], bytes]) -> str:
        """A token signed by the issuer, whose claims are not as a JSON library would write them."""
        payload = json.dumps(self.claims()).encode()
        return jwt.PyJWS().encode(change(payload), self.key, "RS256", headers={"kid": self.key_id})

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "mallory",
            "scope": EVERY_SCOPE,
            "iat": now,
            "exp": now + 3600,
        }
        return {**claims, **changes}

    def sign_elsewhere(self, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token signed with the attacker's key under the ID of the issuer's key."""
        payload = json.dumps(self.claims(**claims)).encode()
        return jwt.PyJWS().encode(payload, self.own_key, "RS256", headers={"kid": self.key_id, **(headers or {})})

    def unsigned(self, algorithm: Any, signature: bytes = b"") -> str:
        """A token that itself says how to verify it."""
        return f"{self._signing_input(algorithm)}.{encode(signature)}"

    def signed_with_public_key(self, form: str) -> str:
        """A token with an HMAC whose secret is the issuer's public key, which anybody can fetch."""
        public = self.key.public_key()
        secret = {
            "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "modulus": public.public_numbers().n.to_bytes(256),
        }[form]
        signing_input = self._signing_input("HS256")
        return f"{signing_input}.{encode(hmac.digest(secret, signing_input.encode(), 'sha256'))}"

    def with_other_claims(self) -> str:
        """Another user's claims under a signature by the issuer."""
        header, _, signature = self.mint().split(".")
        return f"{header}.{encode(json.dumps(self.claims(sub='victim')).encode())}.{signature}"

    def _signing_input(self, algorithm: Any) -> str:
        header = json.dumps({"alg": algorithm, "kid": self.key_id, "typ": "JWT"}).encode()
        return f"{encode(header)}.{encode(json.dumps(self.claims()).encode())}"


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
