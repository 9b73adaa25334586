"""IAM authorization and resource policies of REST APIs, and tokens of the template's own user pool."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import copy_stack

from local_engine.testing import EngineProcess, run_engine

ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Users"
UNAUTHORIZED = {"message": "Unauthorized"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_stack("authorized", tmp_path_factory.mktemp("authorized"))


@pytest.fixture(scope="module")
def engine(template: Path) -> Iterator[EngineProcess]:
    with EngineProcess(template) as engine:
        yield engine


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def keys(engine: EngineProcess, template: Path) -> dict[str, Credentials]:
    found = {}
    for name in ("Caller", "Invoker", "EchoRole", "nobody"):
        key = json.loads(run_engine("credentials", "--principal", name, project=template.parent).stdout)
        found[name] = Credentials(key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"))
    return found


def url(engine: EngineProcess, api: str, path: str) -> str:
    offset, stage = {"Http": (0, ""), "Rest": (1, "/Prod"), "Walled": (2, "/v1")}[api]
    return f"http://127.0.0.1:{engine.port + offset}{stage}{path}"


def send_signed(client: httpx.Client, target: str, key: Credentials, **options: Any) -> httpx.Response:
    request = AWSRequest(options.get("method", "GET"), target, data=options.get("body", b""))
    SigV4Auth(key, options.get("service", "execute-api"), options.get("region", "us-east-1")).add_auth(request)
    return client.request(
        request.method, target, headers=dict(request.headers), content=options.get("sent", request.data)
    )


def test_a_signed_request_shows_its_identity(
    engine: EngineProcess, client: httpx.Client, keys: dict[str, Credentials]
) -> None:
    response = send_signed(client, url(engine, "Rest", "/signed/1"), keys["Caller"])
    assert response.status_code == 200, response.text
    context = response.json()["requestContext"]
    identity = context["identity"]
    assert "authorizer" not in context
    assert identity["accessKey"] == keys["Caller"].access_key
    assert identity["accountId"] == "123456789012"
    assert identity["userArn"] == "arn:aws:sts::123456789012:assumed-role/Caller/local"
    assert identity["caller"] == identity["user"]
    assert identity["user"].endswith(":local")


@pytest.mark.parametrize(
    ("options", "message", "error_type"),
    [
        ({"service": "lambda"}, "Credential should be scoped to correct service: 'execute-api'. ", "InvalidSignature"),
        (
            {"region": "eu-west-1"},
            "Credential should be scoped to a valid region, not 'eu-west-1'. ",
            "InvalidSignature",
        ),
        (
            {"sent": b"other", "method": "POST"},
            "The request signature we calculated does not match the signature you provided. ",
            "InvalidSignature",
        ),
    ],
)
def test_rest_api_says_what_is_wrong_with_a_signature(
    engine: EngineProcess,
    client: httpx.Client,
    keys: dict[str, Credentials],
    options: dict[str, Any],
    message: str,
    error_type: str,
) -> None:
    response = send_signed(client, url(engine, "Rest", "/signed/1"), keys["Caller"], **options)
    assert response.status_code == 403
    assert response.json()["message"].startswith(message)
    assert response.headers["x-amzn-errortype"] == f"{error_type}Exception"


def test_rest_api_answers_requests_without_a_known_key(
    engine: EngineProcess, client: httpx.Client, keys: dict[str, Credentials]
) -> None:
    target = url(engine, "Rest", "/signed/1")
    answers = [
        client.get(target),
        client.get(target, headers={"Authorization": "Bearer abc"}),
        send_signed(client, target, Credentials("AKIAAAAAAAAAAAAAAAAA", "x")),
        send_signed(client, target, Credentials(keys["Caller"].access_key, keys["Caller"].secret_key, "other")),
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert [answer.headers["x-amzn-errortype"] for answer in answers] == [
        "MissingAuthenticationTokenException",
        "IncompleteSignatureException",
        "UnrecognizedClientException",
        "UnrecognizedClientException",
    ]
    assert [answer.json()["message"] for answer in answers[::2]] == [
        "Missing Authentication Token",
        "The security token included in the request is invalid.",
    ]
    assert "hashed with SHA-256 and encoded with Base64" in answers[1].json()["message"]


def test_rest_api_names_who_may_not_do_what(
    engine: EngineProcess, client: httpx.Client, keys: dict[str, Credentials]
) -> None:
    response = send_signed(client, url(engine, "Rest", "/signed/1"), keys["nobody"])
    assert response.status_code == 403
    assert response.json() == {
        "Message": "User: arn:aws:iam::123456789012:user/nobody is not authorized to perform: execute-api:Invoke on "
        "resource: arn:aws:execute-api:us-east-1:********9012:Rest/Prod/GET/signed/1 because no identity-based policy "
        "allows the execute-api:Invoke action"
    }
    assert response.headers["x-amzn-errortype"] == "AccessDeniedException"


def test_callers_credentials_need_the_permission_to_invoke(
    engine: EngineProcess, client: httpx.Client, keys: dict[str, Credentials]
) -> None:
    target = url(engine, "Rest", "/caller")
    assert send_signed(client, target, keys["Invoker"]).status_code == 200
    response = send_signed(client, target, keys["Caller"])
    assert (response.status_code, response.json()) == (500, {"message": "Internal server error"})
    engine.wait_for_line("Allow lambda:InvokeFunction, or set InvokeRole: NONE")


@pytest.mark.parametrize(
    ("method", "path", "principal", "token", "status"),
    [
        # Without an authorizer, the policy must allow.
        ("GET", "/open", None, None, 200),
        ("POST", "/open", None, None, 403),
        ("GET", "/elsewhere", None, None, 403),
        # With a Lambda authorizer, it must not deny.
        ("GET", "/token/1", None, "allow", 200),
        ("GET", "/token/2", None, "deny", 403),
        # With IAM, one side has to allow, and none may deny.
        ("GET", "/signed/1", "nobody", None, 200),
        ("POST", "/signed/1", "nobody", None, 403),
        ("POST", "/signed/1", "Invoker", None, 200),
        ("GET", "/signed/secret", "Invoker", None, 403),
        ("GET", "/signed/1", None, None, 403),
    ],
)
def test_resource_policy(
    engine: EngineProcess,
    client: httpx.Client,
    keys: dict[str, Credentials],
    method: str,
    path: str,
    principal: str | None,
    token: str | None,
    status: int,
) -> None:
    target = url(engine, "Walled", path)
    if principal is not None:
        response = send_signed(client, target, keys[principal], method=method)
    else:
        response = client.request(method, target, headers={"X-Token": token} if token else {})
    assert response.status_code == status, response.text


def test_a_caller_that_the_resource_policy_denies_is_anonymous(engine: EngineProcess, client: httpx.Client) -> None:
    message = client.get(url(engine, "Walled", "/elsewhere")).json()["Message"]
    assert message.startswith("User: anonymous is not authorized to perform: execute-api:Invoke on resource: ")
    assert message.endswith(" with an explicit deny in a resource-based policy")


def mint(template: Path, *arguments: str) -> dict[str, str]:
    printed = run_engine("token", "--client", "App", *arguments, project=template.parent)
    assert printed.returncode == 0, printed.stderr
    return {"Authorization": f"Bearer {printed.stdout.strip()}"}


def test_the_template_s_own_user_pool_is_an_issuer(engine: EngineProcess, client: httpx.Client, template: Path) -> None:
    response = client.get(url(engine, "Http", "/scoped"), headers=mint(template, "--scopes", "orders/read"))
    assert response.status_code == 200, response.text
    jwt = response.json()["requestContext"]["authorizer"]["jwt"]
    assert jwt["claims"]["iss"] == ISSUER
    assert (jwt["claims"]["client_id"], jwt["claims"]["token_use"]) == ("App", "access")
    assert jwt["scopes"] == ["orders/read"]
    assert client.get(url(engine, "Http", "/scoped"), headers=mint(template)).status_code == 403
    assert client.get(url(engine, "Http", "/pool"), headers=mint(template, "--id")).status_code == 200
    wrong = mint(template, "--claims", '{"client_id": "other"}')
    assert client.get(url(engine, "Http", "/pool"), headers=wrong).status_code == 401


def test_cognito_authorizer_takes_id_tokens_or_access_tokens_with_scopes(
    engine: EngineProcess, client: httpx.Client, template: Path
) -> None:
    identity, access = mint(template, "--id", "--sub", "ann"), mint(template, "--scopes", "orders/read")
    answers = {
        (path, kind): client.get(url(engine, "Rest", path), headers=headers)
        for path in ("/pool", "/scoped")
        for kind, headers in (("id", identity), ("access", access))
    }
    statuses = {key: answer.status_code for key, answer in answers.items()}
    assert statuses == {
        ("/pool", "id"): 200,
        ("/pool", "access"): 401,
        ("/scoped", "id"): 401,
        ("/scoped", "access"): 200,
    }
    claims = answers["/pool", "id"].json()["requestContext"]["authorizer"]["claims"]
    assert (claims["sub"], claims["aud"], claims["cognito:username"]) == ("ann", "App", "ann")
    assert claims["exp"].split()[4] == "UTC"
    assert claims["auth_time"].isdecimal()


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["--id", "--expires", "-5"], {"message": "The incoming token has expired"}),
        (["--id", "--claims", '{"aud": "other"}'], UNAUTHORIZED),
        (["--id", "--claims", '{"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Other"}'], UNAUTHORIZED),
    ],
)
def test_cognito_authorizer_rejects_other_tokens(
    engine: EngineProcess, client: httpx.Client, template: Path, arguments: list[str], body: dict[str, str]
) -> None:
    response = client.get(url(engine, "Rest", "/pool"), headers=mint(template, *arguments))
    assert (response.status_code, response.json()) == (401, body)
    assert client.get(url(engine, "Rest", "/pool")).json() == UNAUTHORIZED


def test_the_pool_s_client_gets_its_tokens_from_the_local_issuer(engine: EngineProcess, client: httpx.Client) -> None:
    options = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    store = boto3.client("secretsmanager", endpoint_url=engine.services, **options)
    machine = json.loads(store.get_secret_value(SecretId="machine-client/Http")["SecretString"])
    assert (machine["clientId"], machine["scope"]) == ("App", "orders/read")
    form = {"grant_type": "client_credentials", "scope": machine["scope"]}
    answer = client.post(
        machine["tokenEndpoint"], data=form, auth=(machine["clientId"], machine["clientSecret"])
    ).json()
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert client.get(url(engine, "Http", "/scoped"), headers=headers).status_code == 200
    wrong = client.post(machine["tokenEndpoint"], data={**form, "scope": "orders/all"}, auth=("App", "no"))
    assert wrong.status_code == 401
    base = machine["tokenEndpoint"].removesuffix("/oauth2/token")
    discovery = client.get(f"{base}/.well-known/openid-configuration").json()
    assert discovery["issuer"] == ISSUER
    assert client.get(discovery["jwks_uri"]).json()["keys"]


def test_printed_commands_are_accepted(engine: EngineProcess, client: httpx.Client) -> None:
    commands = [line.split("'") for line in engine.lines if line.strip().startswith("curl -H")]
    assert len(commands) == 2
    for _, header, target in commands:
        name, _, value = header.partition(": ")
        assert client.get(target.strip(), headers={name: value}).status_code == 200


def test_the_page_s_token_is_accepted(engine: EngineProcess, client: httpx.Client) -> None:
    local = f"http://127.0.0.1:{engine.port}/_local"
    token = client.post(f"{local}/token", json={"sub": "eve", "scopes": ["orders/read"]}).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get(url(engine, "Http", "/scoped"), headers=headers).status_code == 200
    schemes = client.get(f"{local}/openapi.json").json()["components"]["securitySchemes"]
    assert schemes["Pool"]["flows"]["clientCredentials"]["tokenUrl"].endswith(
        "/_local/user-pools/us-east-1_Users/oauth2/token"
    )
