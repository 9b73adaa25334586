"""Tokens that must not hold, at the gateway's authorizer and at a function under `sam local`, which asks the issuer."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import httpx
import pytest

from tests.security.doors import RESOURCES
from tests.security.tokens import BOTH, READ, Forge
from tests.support.engine_process import EngineProcess
from tests.support.gateway import Answer, Gateway, import_functions
from tests.support.http_server import Server

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
        f"alg {json.dumps(algorithm)} without a signature": (
            bearer(lambda forge, alg=algorithm: forge.unsigned(alg)),
            401,
        )
        for algorithm in ("none", "None", "NONE", "nOnE", None, ["none"])
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
    "scopes in an array, as Okta's scp": (own(scope=None, scp=[READ]), 200),
    "a scope in a nested array": (scoped([[READ]]), 403),
    "a scope as a property": (scoped({READ: True}), 403),
    "the array of scopes as text": (scoped(f"[{READ}]"), 403),
    "a good token": (own(), 200),
}


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


def ask_gateway(client: httpx.Client, values: Sequence[str]) -> Answer:
    response = client.get(RESOURCES, headers=[("Authorization", value) for value in values])
    return Answer(response.status_code, response.headers, response.text)


def ask_function(functions: Gateway, values: Sequence[str]) -> Answer:
    # Headers of one name are joined by commas in an event.
    event = functions.make_event("GET", RESOURCES, headers={"Authorization": ",".join(values)} if values else {})
    del event["requestContext"]["authorizer"]
    return functions.invoke(event)


@pytest.fixture(params=["gateway", "functions"])
def ask(request: pytest.FixtureRequest) -> Callable[[Sequence[str]], Answer]:
    """Sends the values of the header to who decides: the gateway, or under `sam local` the function."""
    if request.param == "gateway":
        return partial(ask_gateway, request.getfixturevalue("client"))
    return partial(ask_function, request.getfixturevalue("sam_local"))


@pytest.mark.parametrize(
    ("authorization", "status"), [pytest.param(*attack, id=f"{name}-{attack[1]}") for name, attack in ATTACKS.items()]
)
def test_token(
    ask: Callable[[Sequence[str]], Answer], forge: Forge, elsewhere: Server, authorization: Authorization, status: int
) -> None:
    elsewhere.connections = 0
    answer = ask(list_values(authorization, forge))
    assert answer.status == status, answer.body
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert elsewhere.connections == 0


def test_token_without_its_scheme(client: httpx.Client, sam_local: Gateway, forge: Forge) -> None:
    # The gateway takes it; RFC 6750, which a function goes by under `sam local`, does not.
    assert ask_gateway(client, [forge.mint()]).status == 200
    assert ask_function(sam_local, [forge.mint()]).status == 401


def test_scope_claim_that_is_an_array(client: httpx.Client, sam_local: Gateway, forge: Forge) -> None:
    # RFC 8693 knows text alone; the gateway reads `scope` as it reads `scp`.
    authorization = f"Bearer {forge.mint(scope=[READ])}"
    assert ask_gateway(client, [authorization]).status == 200
    assert ask_function(sam_local, [authorization]).status == 403


SUBJECTS = {
    "#": "a#b",
    "the form of a key": "user#a",
    "a slash": "a/b",
    "a path": "../a",
    "a letter with an accent": "jos\u00e9",
    "a letter and its accent": "jose\u0301",
    "another script": "\u7528\u6237",
    "characters of four bytes": "\U0001f600" * 100,
    "a blank": "a b",
    "255 characters": "x" * 255,
}


@pytest.mark.parametrize(("form", "status"), [(form, 201) for form in SUBJECTS])
def test_subject_with(client: httpx.Client, forge: Forge, form: str, status: int) -> None:
    subject = SUBJECTS[form]
    headers = {"Authorization": f"Bearer {forge.mint(subject, BOTH)}"}
    created = client.post(RESOURCES, json={"name": subject[:100], "type": "A"}, headers=headers)
    assert created.status_code == status
    assert client.get(RESOURCES, headers=headers).json() == {"resources": [created.json()], "count": 1}
