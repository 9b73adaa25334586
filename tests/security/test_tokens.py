"""Tokens that must not hold, at the gateway's authorizer and at a function under `sam local`, which asks the issuer."""

from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest

from tests.engine_process import EngineProcess
from tests.security.doors import RESOURCES
from tests.security.tokens import BOTH, READ, Forge
from tests.unit.gateway import Gateway, import_functions
from tests.unit.http_server import Server

type Authorization = Callable[[Forge], str | Sequence[str] | None]
"""The value of the header, the values of several, or None for no header."""


def bearer(make: Callable[[Forge], str]) -> Authorization:
    return lambda forge: f"Bearer {make(forge)}"


def own(**changes: object) -> Authorization:
    """A token of the issuer's own, with these claims."""
    return bearer(lambda forge: forge.mint(**changes))  # type: ignore[arg-type]


def scoped(scope: object) -> Authorization:
    return own(scope=scope)


def with_exp(number: bytes) -> Authorization:
    """A token of the issuer's own with an `exp` that no JSON library writes; of two the last one counts."""
    return bearer(lambda forge: forge.mint_with_payload(lambda payload: payload[:-1] + b',"exp":' + number + b"}"))


ATTACKS: dict[str, tuple[Authorization, int]] = {
    "no token": (lambda _: None, 401),
    "an empty header": (lambda _: "", 401),
    "a scheme and no token": (lambda _: "Bearer", 401),
    "two headers, the good one first": (lambda forge: [f"Bearer {forge.mint()}", "Bearer x"], 401),
    "two headers, the good one last": (lambda forge: ["Bearer x", f"Bearer {forge.mint()}"], 401),
    "two headers, both good": (lambda forge: [f"Bearer {forge.mint()}"] * 2, 401),
    "two tokens in one header": (lambda forge: f"Bearer {forge.mint()} {forge.mint()}", 401),
    "another scheme": (lambda forge: f"Basic {forge.mint()}", 401),
    "not a JWT": (lambda _: "Bearer garbage", 401),
    "an encrypted token's five parts": (lambda forge: f"Bearer {forge.mint()}.a.b", 401),
    "another's claims under a good signature": (bearer(Forge.with_other_claims), 401),
    "a signature cut off": (bearer(lambda forge: forge.mint().rpartition(".")[0] + "."), 401),
    **{
        f"alg {algorithm} without a signature": (bearer(lambda forge, alg=algorithm: forge.unsigned(alg)), 401)
        for algorithm in ("none", "None", "NONE", "nOnE", "", None, ["none"])
    },
    "alg none with a signature": (bearer(lambda forge: forge.unsigned("none", b"x" * 256)), 401),
    **{
        f"HS256 with the public key's {form} as secret": (
            bearer(lambda forge, form=form: forge.signed_with_public_key(form)),
            401,
        )
        for form in ("PEM", "DER", "modulus")
    },
    "another key under the same kid": (bearer(lambda forge: forge.sign_elsewhere()), 401),
    "an unknown kid": (bearer(lambda forge: forge.sign_elsewhere({"kid": "unknown"})), 401),
    "a kid that is a path": (bearer(lambda forge: forge.sign_elsewhere({"kid": "../../../../dev/null"})), 401),
    "a key in jwk": (bearer(lambda forge: forge.sign_elsewhere({"jwk": forge.own_jwk})), 401),
    "a key's address in jku": (bearer(lambda forge: forge.sign_elsewhere({"jku": f"{forge.elsewhere}/keys"})), 401),
    "a key's address in x5u": (bearer(lambda forge: forge.sign_elsewhere({"x5u": f"{forge.elsewhere}/chain"})), 401),
    "an issuer elsewhere": (bearer(lambda forge: forge.sign_elsewhere(iss=forge.elsewhere)), 401),
    "expired": (own(expires=-1), 401),
    "not yet valid": (own(nbf=4102444800), 401),
    "issued in the future": (own(iat=4102444800), 401),
    "no exp": (own(exp=None), 401),
    "exp as text": (own(exp="4102444800"), 401),
    "exp true": (own(exp=True), 401),
    "exp of 40 digits": (own(exp=10**40), 200),
    "exp past every number": (with_exp(b"1e999"), 401),
    "exp of 5,000 digits": (with_exp(b"9" * 5000), 401),
    "wrong issuer": (own(iss="https://issuer.example.com"), 401),
    "the issuer with a slash more": (bearer(lambda forge: forge.mint(iss=f"{forge.issuer}/")), 401),
    "wrong audience": (own(aud="other"), 401),
    "wrong audience, ours as client_id": (own(aud="other", client_id="local"), 401),
    "our audience in other case": (own(aud="LOCAL"), 401),
    "our audience among others": (own(aud=["other", "local"]), 200),
    "an array of others' audiences": (own(aud=["other", "local "]), 401),
    "an empty array of audiences": (own(aud=[], client_id="local"), 401),
    "an ID token": (own(scope=None, token_use="id", nonce="n", email="mallory@example.com"), 403),
    "no sub": (own(sub=None), 401),
    "an empty sub": (own(subject=""), 401),
    "a sub of 2 kB": (own(subject="x" * 2048), 401),
    "a sub with half a surrogate pair": (own(subject="mallory\ud800"), 401),
    "no scope": (scoped(None), 403),
    "a scope that starts alike": (scoped("read:resourcesx"), 403),
    "a scope that ends alike": (scoped("xread:resources other/resources/read"), 403),
    "a part of the scope": (scoped("read:resource read resources"), 403),
    "the scope in other case": (scoped("READ:resources Resources/Read"), 403),
    "scopes between commas": (scoped("read:resources,write:resources"), 403),
    "scopes between two spaces": (scoped("  write:resources   read:resources  "), 200),
    "a scope in a nested array": (scoped([[READ]]), 403),
    "a scope as a property": (scoped({READ: True}), 403),
    "the array of scopes as text": (scoped(f"[{READ}]"), 403),
    "the token without a scheme": (lambda forge: forge.mint(), 200),
    "a good token": (own(), 200),
}


TABLE = pytest.mark.parametrize(
    ("authorization", "status"),
    [pytest.param(*attack, id=f"{name}-{attack[1]}") for name, attack in ATTACKS.items()],
)


def list_values(authorization: Authorization, forge: Forge) -> list[str]:
    match authorization(forge):
        case None:
            return []
        case str(value):
            return [value]
        case values:
            return list(values)


@pytest.fixture(scope="module")
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


@TABLE
def test_token_at_the_gateway(
    client: httpx.Client, forge: Forge, elsewhere: Server, authorization: Authorization, status: int
) -> None:
    headers = [("Authorization", value) for value in list_values(authorization, forge)]
    answer = client.get(RESOURCES, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert elsewhere.connections == 0


@pytest.fixture(scope="module")
def sam_local(services: str, forge: Forge) -> Iterator[Gateway]:
    """The functions as `sam local` starts them: without an authorizer, with the issuer to ask."""
    settings = {
        "AWS_SAM_LOCAL": "true",
        "TOKEN_INTROSPECTION_URL": f"{forge.issuer}/oauth2/introspect",
        "AWS_ENDPOINT_URL": services,
        "TABLE_NAME": "Table",
    }
    with import_functions(settings) as handlers:
        yield Gateway(handlers)


# RFC 6750 knows no token without a scheme, and a function is no gateway.
ANSWERS_UNDER_SAM_LOCAL = {"the token without a scheme": 401}


@pytest.mark.parametrize("attack", ATTACKS)
def test_token_at_a_function_under_sam_local(sam_local: Gateway, forge: Forge, elsewhere: Server, attack: str) -> None:
    authorization, status = ATTACKS[attack]
    # The gateway joins headers of one name, and a function sees no other event.
    values = list_values(authorization, forge)
    event = sam_local.make_event("GET", RESOURCES, headers={"Authorization": ",".join(values)} if values else {})
    del event["requestContext"]["authorizer"]
    assert sam_local.invoke(event).status == ANSWERS_UNDER_SAM_LOCAL.get(attack, status)
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "subject", ["a#b", "user#a", "a/b", "../a", "josé", "jose\u0301", "用户", "😀" * 50, "a b", "<nil>"]
)
def test_a_subject_is_taken_as_it_is(client: httpx.Client, forge: Forge, subject: str) -> None:
    headers = {"Authorization": f"Bearer {forge.mint(subject, BOTH)}"}
    assert client.post(RESOURCES, json={"name": subject[:100], "type": "A"}, headers=headers).status_code == 201
    page = client.get(RESOURCES, headers=headers).json()
    assert [resource["name"] for resource in page["resources"]] == [subject[:100]]
