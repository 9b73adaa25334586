"""Tokens that must not be accepted: at the gateway, and at a function under `sam local`, which asks the issuer."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import httpx
import pytest

from tests.security.doors import GatewayDoor
from tests.security.tokens import Forge
from tests.support.cases import ROUTES, each
from tests.support.gateway import Answer, Gateway, import_functions
from tests.support.http_server import Server
from tests.support.items import create, find_path, read_state
from tests.support.stack import SUCCESS, Route, list_creators

SUBJECT = "mallory"

type Authorization = Callable[[Forge, str], str | Sequence[str] | None]
"""Makes the header's value for a route's scope: one, several, or None for no header."""


def bearer(make: Callable[[Forge], str]) -> Authorization:
    return lambda forge, _: f"Bearer {make(forge)}"


def own(**changes: Any) -> Authorization:
    """A token signed by the issuer, with these claims."""
    return bearer(lambda forge: forge.mint(**changes))


def scoped(write: Callable[[str], object], claim: str = "scope") -> Authorization:
    """A token signed by the issuer that has a scope of the route in another form."""
    return lambda forge, scope: f"Bearer {forge.mint(**{'scope': None, claim: write(scope)})}"


def with_exp(number: bytes) -> Authorization:
    """A token signed by the issuer with an `exp` that no JSON library writes; the last of two counts."""
    return bearer(lambda forge: forge.mint_with_payload(lambda payload: payload[:-1] + b',"exp":' + number + b"}"))


ATTACKS: dict[str, tuple[Authorization, str | int]] = {
    "no token": (lambda *_: None, 401),
    "an empty header": (lambda *_: "", 401),
    "a scheme and no token": (lambda *_: "Bearer", 401),
    "two headers, the good one first": (lambda forge, _: [f"Bearer {forge.mint()}", "Bearer x"], 401),
    "two headers, the good one last": (lambda forge, _: ["Bearer x", f"Bearer {forge.mint()}"], 401),
    "two headers, both good": (lambda forge, _: [f"Bearer {forge.mint()}"] * 2, 401),
    "two tokens in one header": (lambda forge, _: f"Bearer {forge.mint()} {forge.mint()}", 401),
    "another scheme": (lambda forge, _: f"Basic {forge.mint()}", 401),
    "not a JWT": (lambda *_: "Bearer garbage", 401),
    "an encrypted token's five parts": (lambda forge, _: f"Bearer {forge.mint()}.a.b", 401),
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
    "exp of 40 digits": (own(exp=10**40), SUCCESS),
    "exp past every number": (with_exp(b"1e999"), 401),
    "exp of 5,000 digits": (with_exp(b"9" * 5000), 401),
    "wrong issuer": (own(iss="https://issuer.example.com"), 401),
    "the issuer with a slash more": (bearer(lambda forge: forge.mint(iss=f"{forge.issuer}/")), 401),
    "wrong audience": (own(aud="other"), 401),
    "wrong audience, ours as client_id": (own(aud="other", client_id="local"), 401),
    "our audience in other case": (own(aud="LOCAL"), 401),
    "our audience among others": (own(aud=["other", "local"]), SUCCESS),
    "an array of others' audiences": (own(aud=["other", "local "]), 401),
    "an empty array of audiences": (own(aud=[], client_id="local"), 401),
    "an ID token": (own(scope=None, token_use="id", nonce="n", email="mallory@example.com"), 403),
    "no sub": (own(sub=None), 401),
    "an empty sub": (own(subject=""), 401),
    "a sub of 2 kB": (own(subject="x" * 2048), 401),
    "a sub with half a surrogate pair": (own(subject="mallory\ud800"), 401),
    "no scope": (own(scope=None), 403),
    "a scope that starts alike": (scoped(lambda scope: f"{scope}x"), 403),
    "a scope that ends alike": (scoped(lambda scope: f"x{scope} other/{scope}"), 403),
    "a part of the scope": (scoped(lambda scope: f"{scope[:-1]} {scope.replace(':', ' ')}"), 403),
    "the scope in other case": (scoped(str.upper), 403),
    "scopes between commas": (scoped(lambda scope: f"{scope},{scope}"), 403),
    "scopes between two spaces": (scoped(lambda scope: f"  other:scope   {scope}  "), SUCCESS),
    "scopes in an array, as Okta's scp": (scoped(lambda scope: [scope], "scp"), SUCCESS),
    "a scope in a nested array": (scoped(lambda scope: [[scope]]), 403),
    "a scope as a property": (scoped(lambda scope: {scope: True}), 403),
    "the array of scopes as text": (scoped(lambda scope: f"[{scope}]"), 403),
    "a good token": (own(), SUCCESS),
}


def list_values(authorization: Authorization, forge: Forge, route: Route) -> list[str]:
    match authorization(forge, route.scopes[0]):
        case None:
            return []
        case str(value):
            return [value]
        case values:
            return list(values)


@pytest.fixture(scope="module")
def sam_local(settings: Mapping[str, str], forge: Forge) -> Iterator[Gateway]:
    """The functions as `sam local` starts them: without an authorizer, with an issuer to ask."""
    asks = {"AWS_SAM_LOCAL": "true", "TOKEN_INTROSPECTION_URL": f"{forge.issuer}/oauth2/introspect"}
    with import_functions({**settings, **asks}) as handlers:
        yield Gateway(handlers)


def ask_gateway(client: httpx.Client, route: Route, path: str, values: Sequence[str]) -> Answer:
    headers = [("Content-Type", route.media_type), *(("Authorization", value) for value in values)]
    response = client.request(route.method, path, headers=headers, json=route.body)
    return Answer(response.status_code, response.headers, response.text)


def ask_function(functions: Gateway, route: Route, path: str, values: Sequence[str]) -> Answer:
    # An event joins headers of one name with commas.
    headers = {"Authorization": ",".join(values)} if values else {}
    event = functions.make_event(route.method, path, headers=headers, body=route.body)
    del event["requestContext"]["authorizer"]
    return functions.invoke(event)


type Ask = Callable[[Route, str, Sequence[str]], Answer]


@pytest.fixture(params=["gateway", "functions"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Sends the header to whoever decides: the gateway, or the function under `sam local`."""
    if request.param == "gateway":
        return partial(ask_gateway, request.getfixturevalue("client"))
    return partial(ask_function, request.getfixturevalue("sam_local"))


@pytest.mark.parametrize(
    ("authorization", "expected"), [pytest.param(*attack, id=f"{name}-{attack[1]}") for name, attack in ATTACKS.items()]
)
@ROUTES
def test_token(
    ask: Ask,
    forge: Forge,
    gateway: GatewayDoor,
    elsewhere: Server,
    route: Route,
    authorization: Authorization,
    expected: str | int,
) -> None:
    path = find_path(route, partial(gateway.send, SUBJECT)) if expected == SUCCESS else route.fill()
    elsewhere.connections = 0
    answer = ask(route, path, list_values(authorization, forge, route))
    assert answer.status == route.resolve(expected), answer.body
    if expected == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert elsewhere.connections == 0


READS = each(lambda route: route.method == "GET")


@READS
def test_token_without_its_scheme(
    client: httpx.Client, sam_local: Gateway, forge: Forge, gateway: GatewayDoor, route: Route
) -> None:
    # The gateway accepts it. A function under `sam local` follows RFC 6750 and does not.
    path = find_path(route, partial(gateway.send, SUBJECT))
    assert ask_gateway(client, route, path, [forge.mint()]).status == route.success
    assert ask_function(sam_local, route, path, [forge.mint()]).status == 401


@READS
def test_scope_claim_that_is_an_array(
    client: httpx.Client, sam_local: Gateway, forge: Forge, gateway: GatewayDoor, route: Route
) -> None:
    # RFC 8693 knows only text; the gateway reads `scope` as it reads `scp`.
    path = find_path(route, partial(gateway.send, SUBJECT))
    authorization = f"Bearer {forge.mint(scope=[route.scopes[0]])}"
    assert ask_gateway(client, route, path, [authorization]).status == route.success
    assert ask_function(sam_local, route, path, [authorization]).status == 403


SUBJECTS = {
    "#": "a#b",
    "the form of a key": "user#a",
    "a slash": "a/b",
    "a path": "../a",
    "a letter with an accent": "jos\u00e9",
    "a letter and its accent": "jose\u0301",
    "another script": "\u7528\u6237",
    "characters of four bytes": "\U0001f600" * 100,
    "a space": "a b",
    "255 characters": "x" * 255,
}


@pytest.mark.parametrize(("form", "expected"), [(form, SUCCESS) for form in SUBJECTS])
@each(lambda route: route in list_creators())
def test_subject_with(gateway: GatewayDoor, route: Route, form: str, expected: str) -> None:
    send = partial(gateway.send, SUBJECTS[form])
    path = find_path(route, send)
    before = read_state(route, send, path)
    created = create(route, send)
    assert created.status == route.resolve(expected)
    assert read_state(route, send, path) == [created.json(), *before] * bool(route.page)
