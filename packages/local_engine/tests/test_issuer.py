"""The local issuer as its clients see it, and the tokens of the command line."""

import asyncio
import base64
import json
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from starlette.routing import Mount, Router

from local_engine.gateway.jwt_authorizer import JwtAuthorizer
from local_engine.issuer.access_tokens import CLIENT_ID, load_client_secret, load_signing_key, mint_token
from local_engine.issuer.openid_provider import create_issuer
from local_engine.state import StateError
from local_engine.testing import run_engine, serve

SCOPES = ["read:things", "write:things"]
AUDIENCE = "local"


class Client(httpx.Client):
    """Calls an issuer with its own state directory."""

    issuer: str
    directory: Path

    def ask(self, auth: tuple[str, str] | None = None, /, **form: str) -> httpx.Response:
        return self.post(f"{self.issuer}/oauth2/token", data={"grant_type": "client_credentials", **form}, auth=auth)

    def introspect(self, token: str) -> dict[str, Any]:
        answer = self.post(f"{self.issuer}/oauth2/introspect", data={"token": token})
        assert answer.status_code == 200
        return answer.json()

    def mint(self, **options: Any) -> str:
        arguments = {"issuer": self.issuer, "audience": AUDIENCE, "subject": "demo", "scopes": SCOPES, **options}
        return mint_token(load_signing_key(self.directory), **arguments)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    directory = tmp_path_factory.mktemp("state")

    def create(url: str) -> Router:
        issuer = create_issuer(f"{url}/_local/issuer", SCOPES, directory)
        return Router([Mount("/_local/issuer", issuer)])

    with serve(create) as url, Client(trust_env=False) as client:
        client.issuer, client.directory = f"{url}/_local/issuer", directory
        yield client


@pytest.fixture
def credentials(client: Client) -> tuple[str, str]:
    return CLIENT_ID, load_client_secret(client.directory)


def test_discovery_names_working_endpoints(client: Client) -> None:
    document = client.get(f"{client.issuer}/.well-known/openid-configuration").json()
    assert document["issuer"] == client.issuer
    assert client.get(document["jwks_uri"]).status_code == 200
    assert client.post(document["token_endpoint"]).status_code == 400
    assert client.post(document["introspection_endpoint"]).status_code == 400


def test_jwks_holds_the_public_key_only(client: Client) -> None:
    (key,) = client.get(f"{client.issuer}/.well-known/jwks.json").json()["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


def test_a_client_gets_a_token_that_the_authorizer_takes(client: Client, credentials: tuple[str, str]) -> None:
    answer = client.ask(credentials, scope="read:things")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 3600, "read:things")
    authorizer = JwtAuthorizer(client.issuer, [AUDIENCE])
    authorization = asyncio.run(authorizer.authorize(f"Bearer {body['access_token']}", ["read:things"]))
    assert authorization.claims["sub"] == CLIENT_ID
    assert authorization.claims["token_use"] == "access"
    assert authorization.scopes == ["read:things"]


def test_credentials_in_the_form_and_all_scopes_by_default(client: Client, credentials: tuple[str, str]) -> None:
    answer = client.ask(client_id=credentials[0], client_secret=credentials[1])
    assert answer.status_code == 200
    assert answer.json()["scope"] == "read:things write:things"


def test_errors_of_the_token_endpoint(client: Client, credentials: tuple[str, str]) -> None:
    """RFC 6749, section 5.2."""

    def assert_refused(answer: httpx.Response, status: int, error: str) -> None:
        assert (answer.status_code, answer.json()) == (status, {"error": error})

    url = f"{client.issuer}/oauth2/token"
    wrong = client.ask((CLIENT_ID, "guess"))
    assert_refused(wrong, 401, "invalid_client")
    assert wrong.headers["www-authenticate"].startswith("Basic")
    assert_refused(client.ask(), 401, "invalid_client")
    assert_refused(client.ask(("someone", credentials[1])), 401, "invalid_client")
    grant = {"grant_type": "client_credentials"}
    for header in ("Basic", "Basic !", "Bearer x", f"Basic {base64.b64encode(b'\xff').decode()}"):
        assert_refused(client.post(url, data=grant, headers={"Authorization": header}), 401, "invalid_client")
    assert_refused(client.ask(credentials, grant_type="password"), 400, "unsupported_grant_type")
    assert_refused(client.ask(credentials, grant_type=""), 400, "invalid_request")
    assert_refused(client.ask(credentials, scope="read:things admin"), 400, "invalid_scope")
    assert_refused(client.ask(credentials, scope="read:things\twrite:things"), 400, "invalid_scope")
    assert_refused(client.ask(credentials, client_secret=credentials[1]), 400, "invalid_request")
    assert_refused(client.ask(credentials, client_id="other"), 400, "invalid_request")
    assert_refused(client.post(url, json=grant), 400, "invalid_request")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"grant_type=a&grant_type=b", b"grant_type=\xff", b"grant_type=%ff", b"a=" + b"b" * 100_000):
        assert_refused(client.post(url, content=body, headers=form), 400, "invalid_request")
    assert client.get(url).status_code == 405


def test_introspection_tells_a_valid_token_from_others(client: Client) -> None:
    """RFC 7662, section 2.2."""
    assert client.introspect(client.mint())["sub"] == "demo"
    assert client.introspect(client.mint())["active"] is True
    foreign = jwt.encode({"iss": client.issuer}, "x" * 32, "HS256")
    bad: list[dict[str, Any]] = [
        {"expires_in": -1},
        {"audience": "other"},
        {"issuer": "http://127.0.0.1:1"},
        {"claims": {"exp": None}},
        {"claims": {"nbf": time.time() + 60}},
    ]
    for token in ["garbage", foreign, *(client.mint(**options) for options in bad)]:
        assert client.introspect(token) == {"active": False}
    # No claim may vouch for itself.
    assert client.introspect(client.mint(claims={"active": True, "exp": 1})) == {"active": False}


def test_introspection_enforces_what_discovery_advertises(client: Client, credentials: tuple[str, str]) -> None:
    """RFC 8414, section 2, and RFC 7662, section 2.1."""
    document = client.get(f"{client.issuer}/.well-known/openid-configuration").json()
    assert document["introspection_endpoint_auth_methods_supported"] == [
        "none",
        "client_secret_basic",
        "client_secret_post",
    ]
    assert document["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]
    form = {"token": client.mint()}
    client_id, secret = credentials

    def ask(auth: tuple[str, str] | None = None, **more: str) -> httpx.Response:
        return client.post(document["introspection_endpoint"], data={**form, **more}, auth=auth)

    for accepted in (ask(), ask(credentials), ask(client_id=client_id, client_secret=secret), ask(client_id=client_id)):
        assert (accepted.status_code, accepted.json()["active"]) == (200, True)
    for refused in (ask((client_id, "guess")), ask(("other", secret)), ask(client_id=client_id, client_secret="guess")):
        assert (refused.status_code, refused.json()) == (401, {"error": "invalid_client"})
    for twice in (ask(credentials, client_secret=secret), ask(credentials, client_id="other")):
        assert (twice.status_code, twice.json()) == (400, {"error": "invalid_request"})


def test_key_and_secret_are_private_and_last(client: Client) -> None:
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (client.directory / ".local").iterdir()}
    assert names == {"issuer-key.pem": 0o600, "client-secret": 0o600}
    assert load_client_secret(client.directory) == load_client_secret(client.directory)


def test_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as starts:
        keys = list(starts.map(lambda _: load_signing_key(tmp_path / "new").private_numbers(), range(8)))
    assert all(key == keys[0] for key in keys)
    assert [path.name for path in (tmp_path / "new" / ".local").iterdir()] == ["issuer-key.pem"]


def test_an_invalid_key_is_named(tmp_path: Path) -> None:
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "issuer-key.pem").write_text("invalid")
    with pytest.raises(StateError, match=r"issuer-key.pem is not an RSA private key. Delete it"):
        load_signing_key(tmp_path)


def test_an_unusable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be used"):
        load_signing_key(tmp_path / "file")


def test_token_command_prints_a_token_and_nothing_else(tmp_path: Path) -> None:
    before = int(time.time())
    answer = run_engine(
        "token", "--sub", "someone", "--scopes", "a b", "--expires", "-5", "--port", "3100", project=tmp_path
    )
    assert answer.stderr == ""
    assert answer.stdout.count("\n") == 1
    claims = jwt.decode(answer.stdout.strip(), options={"verify_signature": False, "verify_exp": False})
    assert claims["iss"] == "http://127.0.0.1:3100/_local/issuer"
    assert (claims["sub"], claims["aud"], claims["scope"], claims["token_use"]) == ("someone", "local", "a b", "access")
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] - 5
    assert {"jti", "client_id"} <= set(claims)


def test_token_command_replaces_and_removes_claims(tmp_path: Path) -> None:
    changes = {"aud": ["other"], "sub": None, "extra": {"a": [1]}, "exp": "never"}
    answer = run_engine("token", "--claims", json.dumps(changes), project=tmp_path)
    claims = jwt.decode(answer.stdout.strip(), options={"verify_signature": False})
    assert claims["aud"] == ["other"]
    assert claims["extra"] == {"a": [1]}
    assert claims["exp"] == "never"
    assert "sub" not in claims


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--claims", "{"], "is not JSON"),
        (["--claims", "[]"], "is not a JSON object of claims"),
        (["--claims", "[" * 100_000], "is not JSON"),
        (["--expires", "soon"], "'soon' is not a whole number of seconds"),
        (["--port", "0"], "is not a port number; choose one from 1 to 65535"),
        (["--port", "99999"], "is not a port number; choose one from 1 to 65535"),
        (["--scope", "a"], "unrecognized arguments"),
    ],
)
def test_token_command_names_invalid_arguments(arguments: list[str], problem: str) -> None:
    answer = run_engine("token", *arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert problem in answer.stderr
    assert "Traceback" not in answer.stderr
