"""The JWT authorizer alone, against an issuer reached over HTTP, with tokens that are really signed."""

import asyncio
import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import Mock

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from local_engine.gateway.jwt_authorizer import Authorization, Forbidden, JwtAuthorizer, Unauthorized

AUDIENCE = "api"
NOW = 1_798_761_600


@cache
def _key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Serves discovery and JWKS, and signs."""

    def __init__(self) -> None:
        self.keys = ["first"]
        self.jwks_requests = 0
        self.broken: dict[str, bytes] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = issuer._answer(self.path)
                self.send_response(200 if body else 404)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "demo", "scope": "read write", "iat": now, "exp": now + 60}
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def sign(self, key: str = "first", algorithm: str = "RS256", /, **changes: Any) -> str:
        return self.sign_payload(json.dumps(self.claims(**changes)).encode(), key, algorithm)

    def sign_payload(
        self, payload: bytes, key: str = "first", algorithm: str = "RS256", headers: Mapping[str, Any] | None = None
    ) -> str:
        # Not jwt.encode, which rejects some of these claims.
        return jwt.PyJWS().encode(payload, _key(key), algorithm, headers={"kid": key, **(headers or {})})

    def _answer(self, path: str) -> bytes:
        if path in self.broken:
            return self.broken[path]
        if path == "/.well-known/openid-configuration":
            return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        self.jwks_requests += 1
        keys = [{**RSAAlgorithm.to_jwk(_key(name).public_key(), as_dict=True), "kid": name} for name in self.keys]
        return json.dumps({"keys": keys}).encode()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture
def own_issuer() -> Iterator[Issuer]:
    """An issuer that the test may change."""
    issuer = Issuer()
    yield issuer
    issuer.stop()


@cache
def _authorizer(issuer: str) -> JwtAuthorizer:
    return JwtAuthorizer(issuer, [AUDIENCE, "other-api"])


def _authorize(issuer: Issuer, authorization: str | None, *scopes: str) -> Authorization:
    return asyncio.run(_authorizer(issuer.url).authorize(authorization, scopes))


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  ", ""])
def test_a_valid_token_is_accepted_with_and_without_its_scheme(issuer: Issuer, scheme: str) -> None:
    authorization = _authorize(issuer, scheme + issuer.sign())
    assert authorization.claims["sub"] == "demo"
    assert authorization.scopes is None


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_rsa_algorithms_are_accepted(issuer: Issuer, algorithm: str) -> None:
    assert _authorize(issuer, issuer.sign("first", algorithm)).claims["sub"] == "demo"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other-api"},
        {"aud": ["someone-else", AUDIENCE]},
        {"aud": None, "client_id": AUDIENCE},
        {"iat": None},
        {"exp": 9999999999.5},
        {"nbf": 0},
    ],
)
def test_claims_of_valid_tokens(issuer: Issuer, claims: dict[str, Any]) -> None:
    assert _authorize(issuer, issuer.sign(**claims)).claims["sub"] == "demo"


def test_every_claim_becomes_text(issuer: Issuer) -> None:
    nested = {"b": [1], "a": None}
    token = issuer.sign(exp=9999999999, admin=True, groups=["a", "b"], rate=1.5, nested=nested, big=10**30, sub=5)
    claims = _authorize(issuer, token).claims
    assert claims["exp"] == "9999999999"
    assert claims["admin"] == "true"
    assert claims["groups"] == "[a b]"
    assert claims["rate"] == "1.5"
    assert claims["big"] == str(10**30)
    assert claims["nested"] == "map[a:<nil> b:[1]]"
    assert claims["sub"] == "5"


@pytest.mark.parametrize("name", ["sub", "scope", "nickname"])
def test_a_claim_without_a_value_does_not_reach_the_function(issuer: Issuer, name: str) -> None:
    payload = json.dumps({**issuer.claims(), name: None}).encode()
    assert name not in _authorize(issuer, issuer.sign_payload(payload)).claims


@pytest.mark.parametrize(
    ("carried", "demanded"),
    [
        ({"scope": "read write"}, ["write", "admin"]),
        ({"scope": None, "scp": ["read"]}, ["read"]),
        ({"scope": None, "scp": "read"}, ["read"]),
        ({"scope": "other", "scp": ["read"]}, ["read"]),
    ],
)
def test_one_scope_of_the_route_suffices(issuer: Issuer, carried: dict[str, Any], demanded: list[str]) -> None:
    authorization = _authorize(issuer, issuer.sign(**carried), *demanded)
    assert set(authorization.scopes or ()) & set(demanded)


@pytest.mark.parametrize(
    "scope",
    [
        *(None, "", " ", "reader", "READ", 5, {"read": 1}, [["read"]], ["other read"]),
        # RFC 6749 section 3.3: scopes are separated by spaces and nothing else.
        *(f"other{blank}read" for blank in "\t\n\r\x0b\x0c\x1c\x85\xa0\u2003\u3000,;"),
    ],
)
def test_a_token_without_the_scope_is_forbidden(issuer: Issuer, scope: Any) -> None:
    with pytest.raises(Forbidden) as refused:
        _authorize(issuer, issuer.sign(scope=scope), "read")
    assert refused.value.www_authenticate.startswith('Bearer scope="read" error="insufficient_scope"')


def test_blanks_between_scopes_are_no_scopes(issuer: Issuer) -> None:
    assert _authorize(issuer, issuer.sign(scope=" read  write "), "read").scopes == ["read", "write"]


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\u2003"])
def test_only_http_blanks_surround_a_token(issuer: Issuer, blank: str) -> None:
    with pytest.raises(Unauthorized):
        _authorize(issuer, f"Bearer {blank}{issuer.sign()}")


@pytest.mark.parametrize("authorization", [None, "", "  ", "Bearer", "Bearer "])
def test_no_token_is_unauthorized_without_an_error(issuer: Issuer, authorization: str | None) -> None:
    with pytest.raises(Unauthorized) as refused:
        _authorize(issuer, authorization)
    assert refused.value.www_authenticate == "Bearer"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://issuer.example.com"}, "issuer does not match"),
        ({"iss": None}, "issuer does not match"),
        ({"iss": ["x"]}, "issuer does not match"),
        ({"aud": "someone-else"}, "the token does not have a valid audience"),
        ({"aud": "someone-else", "client_id": AUDIENCE}, "the token does not have a valid audience"),
        ({"aud": [], "client_id": AUDIENCE}, "the token does not have a valid audience"),
        ({"aud": None}, "the token does not have a valid audience"),
        ({"aud": [[AUDIENCE], {"x": 1}, 5]}, "the token does not have a valid audience"),
        ({"exp": None}, "the token has no expiry time"),
        ({"exp": 1}, "the token has expired"),
        ({"exp": -(10**40)}, "the token has expired"),
        ({"exp": "9999999999"}, "exp is not a number"),
        ({"exp": True}, "exp is not a number"),
        ({"exp": [9999999999]}, "exp is not a number"),
        ({"nbf": 9999999999}, "the token is not valid yet"),
        ({"nbf": "0"}, "nbf is not a number"),
        ({"iat": 10**400}, "the token was issued in the future"),
    ],
)
def test_a_token_with_invalid_claims_is_unauthorized(issuer: Issuer, claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        _authorize(issuer, issuer.sign(**claims), "read")
    expected = f'Bearer scope="read" error="invalid_token" error_description="{reason}"'
    assert refused.value.www_authenticate == expected


@pytest.mark.parametrize(
    ("claims", "is_valid"),
    [
        ({"exp": NOW}, False),
        ({"exp": NOW + 1}, True),
        *(({"exp": NOW + 60, name: NOW}, True) for name in ("nbf", "iat")),
        *(({"exp": NOW + 60, name: NOW + 1}, False) for name in ("nbf", "iat")),
    ],
)
def test_a_token_is_valid_from_its_first_second_until_its_last(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any], is_valid: bool
) -> None:
    token = issuer.sign(**{"nbf": 0, "iat": 0, **claims})
    monkeypatch.setattr("time.time", lambda: float(NOW))
    with nullcontext() if is_valid else pytest.raises(Unauthorized):
        _authorize(issuer, token)


def _hostile_tokens(issuer: Issuer) -> dict[str, str]:
    claims = issuer.claims()
    open_claims = json.dumps(claims).encode()[:-1]
    header, payload, signature = issuer.sign().split(".")
    public = _key("first").public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    foreign = RSAAlgorithm.to_jwk(_key("foreign").public_key(), as_dict=True)
    curve = ec.generate_private_key(ec.SECP256R1())

    def encode(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    def with_header(content: bytes) -> str:
        return f"{encode(content)}.{payload}.{signature}"

    def foreign_token(**headers: Any) -> str:
        return jwt.encode(claims, _key("foreign"), "RS256", headers={"kid": "first", **headers})

    # Signed by hand: PyJWT rejects a PEM as an HMAC secret, but an attacker would use it.
    hmac_input = f"{encode(b'{"alg":"HS256","kid":"first"}')}.{payload}"
    return {
        "not a token": "garbage",
        "dots": "..",
        "not base64": "!.!.!",
        "not ASCII": "é.é.é",
        "a lone surrogate": "\ud800.a.b",
        "huge": "A" * 1_000_000,
        "no signature": f"{header}.{payload}.",
        "another's payload": f"{header}.{encode(json.dumps({**claims, 'sub': 'admin'}).encode())}.{signature}",
        "no algorithm": f"{encode(b'{"alg":"none","kid":"first"}')}.{payload}.",
        "the public key as an HMAC secret": f"{hmac_input}.{encode(hmac.digest(pem, hmac_input.encode(), 'sha256'))}",
        "an elliptic curve": jwt.encode(claims, curve, "ES256", headers={"kid": "first"}),
        "PSS": issuer.sign("first", "PS256"),
        "another's key": foreign_token(),
        "another's key in the header": foreign_token(jwk=foreign),
        "another's key by URL": foreign_token(jku="http://127.0.0.1:9/keys", x5u="http://127.0.0.1:9/certificate"),
        "an unknown key": jwt.encode(claims, _key("foreign"), "RS256", headers={"kid": "foreign"}),
        "no key id": jwt.encode(claims, _key("first"), "RS256"),
        "a header that is a list": with_header(b"[]"),
        "a deep header": with_header(b"[" * 100_000),
        "a key id that is an object": with_header(b'{"alg":"RS256","kid":{}}'),
        "an algorithm that is a list": with_header(b'{"alg":["RS256"],"kid":"first"}'),
        "a malformed critical extension": with_header(b'{"alg":"RS256","kid":"first","crit":[[]]}'),
        "a detached payload": with_header(b'{"alg":"RS256","kid":"first","b64":false,"crit":["b64"]}'),
        "an unknown critical extension": issuer.sign_payload(open_claims + b"}", headers={"crit": ["x"], "x": 1}),
        "claims that are not text": issuer.sign_payload(b"\xff\xfe"),
        "claims in UTF-16": issuer.sign_payload(json.dumps(claims).encode("utf-16")),
        "claims that are a list": issuer.sign_payload(b"[]"),
        "deep claims": issuer.sign_payload(b'{"a":' * 100_000),
        "a deep claim": issuer.sign_payload(open_claims + b',"deep":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
        "expiry not a number": issuer.sign_payload(open_claims + b',"exp":NaN}'),
        "expiry infinite": issuer.sign_payload(open_claims + b',"exp":Infinity}'),
        "expiry past every float": issuer.sign_payload(open_claims + b',"exp":1e999}'),
        "expiry of 5,000 digits": issuer.sign_payload(open_claims + b',"exp":' + b"9" * 5_000 + b"}"),
    }


def _is_accepted(issuer: Issuer, token: str) -> bool:
    try:
        _authorize(issuer, f"Bearer {token}")
    except Unauthorized:
        return False
    return True


def test_hostile_tokens_are_unauthorized(issuer: Issuer) -> None:
    assert [name for name, token in _hostile_tokens(issuer).items() if _is_accepted(issuer, token)] == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_CLAIMS = st.sampled_from(["iss", "aud", "client_id", "exp", "nbf", "iat", "scope", "scp", "sub"]) | st.text()


@given(changes=st.dictionaries(_CLAIMS, _JSON))
def test_any_signed_claims_are_decided_on(issuer: Issuer, changes: dict[str, Any]) -> None:
    token = issuer.sign_payload(json.dumps({**issuer.claims(), **changes}).encode())
    try:
        authorization = _authorize(issuer, token, "read")
    except (Unauthorized, Forbidden):
        return
    assert all(isinstance(value, str) for value in authorization.claims.values())


def test_keys_are_fetched_once_and_rotation_is_followed(own_issuer: Issuer) -> None:
    authorizer = JwtAuthorizer(own_issuer.url, [AUDIENCE], refetch_seconds=0)

    async def rotate() -> None:
        await asyncio.gather(*(authorizer.authorize(own_issuer.sign(), ()) for _ in range(8)))
        assert own_issuer.jwks_requests == 1
        own_issuer.keys = ["second"]
        await authorizer.authorize(own_issuer.sign("second"), ())
        assert own_issuer.jwks_requests == 2
        with pytest.raises(Unauthorized):
            await authorizer.authorize(own_issuer.sign("first"), ())

    asyncio.run(rotate())


def test_keys_are_used_for_two_hours(own_issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    authorizer = JwtAuthorizer(own_issuer.url, [AUDIENCE])
    requests = []
    for now in (0.0, 7_199.5, 7_200.0):
        monkeypatch.setattr("local_engine.gateway.issuer_keys.time", Mock(monotonic=Mock(return_value=now)))
        asyncio.run(authorizer.authorize(own_issuer.sign(), ()))
        requests.append(own_issuer.jwks_requests)
    assert requests == [1, 1, 2]


def test_forged_key_ids_do_not_flood_the_issuer(own_issuer: Issuer) -> None:
    authorizer = JwtAuthorizer(own_issuer.url, [AUDIENCE], refetch_seconds=3600)

    async def forge() -> None:
        for number in range(20):
            token = jwt.encode({}, _key("foreign"), "RS256", headers={"kid": str(number)})
            with pytest.raises(Unauthorized):
                await authorizer.authorize(token, ())
        await authorizer.authorize(own_issuer.sign(), ())

    asyncio.run(forge())
    assert own_issuer.jwks_requests == 1


@pytest.mark.parametrize(
    ("path", "answer", "reason"),
    [
        ("/.well-known/openid-configuration", b"", "OIDC discovery endpoint communication error"),
        ("/.well-known/openid-configuration", b"[]", "OIDC discovery endpoint communication error"),
        ("/.well-known/openid-configuration", b"[" * 100_000, "OIDC discovery endpoint communication error"),
        ("/.well-known/openid-configuration", b'{"jwks_uri": "file:///etc/passwd"}', "JWKS communication error"),
        ("/keys", b"", "JWKS communication error"),
        ("/keys", b'{"keys": 5}', "JWKS communication error"),
        (
            "/keys",
            b'{"keys": [5, {}, {"kty": "RSA", "kid": "first"}]}',
            "the token was not signed by a key of the issuer",
        ),
    ],
)
def test_an_issuer_that_fails_is_tried_again(own_issuer: Issuer, path: str, answer: bytes, reason: str) -> None:
    authorizer = JwtAuthorizer(own_issuer.url, [AUDIENCE], refetch_seconds=0)

    async def recover() -> None:
        own_issuer.broken[path] = answer
        with pytest.raises(Unauthorized, match=reason):
            await authorizer.authorize(own_issuer.sign(), ())
        del own_issuer.broken[path]
        await authorizer.authorize(own_issuer.sign(), ())

    asyncio.run(recover())


def test_an_issuer_that_is_not_there() -> None:
    issuer = Issuer()
    token = issuer.sign()
    issuer.stop()
    with pytest.raises(Unauthorized, match="OIDC discovery endpoint communication error"):
        _authorize(issuer, token)
