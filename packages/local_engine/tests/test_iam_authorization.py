"""IAM authorization over HTTP, with botocore as the client that signs."""

import hashlib
import http.client
import json
import re
import shlex
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import copy_stack

from local_engine.testing import EngineProcess, run_engine

FORBIDDEN = (403, {"message": "Forbidden"})


@dataclass
class Signer:
    """A client that signs as botocore does, and may change a part before or after."""

    engine: EngineProcess
    template: Path
    keys: dict[str, Credentials] = field(default_factory=dict)

    def key(self, principal: str, *arguments: str) -> Credentials:
        if arguments or principal not in self.keys:
            printed = run_engine("credentials", "--principal", principal, *arguments, project=self.template.parent)
            key = json.loads(printed.stdout)
            found = Credentials(key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"))
            if arguments:
                return found
            self.keys[principal] = found
        return self.keys[principal]

    def sign(
        self,
        target: str,
        key: Credentials,
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        service: str = "execute-api",
        region: str = "us-east-1",
    ) -> AWSRequest:
        request = AWSRequest(method, self.engine.url + target, data=body, headers=dict(headers or {}))
        SigV4Auth(key, service, region).add_auth(request)
        return request

    def send(self, request: AWSRequest) -> tuple[int, Any]:
        parts = urlsplit(str(request.url))
        connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=60)
        connection.request(
            request.method,
            parts.path + (f"?{parts.query}" if parts.query else ""),
            body=request.data or None,
            headers=dict(request.headers),
        )
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, json.loads(answer)

    def get(self, target: str, principal: str = "Reader", **options: Any) -> tuple[int, Any]:
        return self.send(self.sign(target, self.key(principal), **options))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_stack("signed", tmp_path_factory.mktemp("signed"))


@pytest.fixture(scope="module")
def client(template: Path) -> Iterator[Signer]:
    with EngineProcess(template) as engine:
        yield Signer(engine, template)


def test_a_role_that_is_allowed_reaches_the_function_with_its_identity(client: Signer) -> None:
    status, answer = client.get("/items/1")
    assert status == 200
    iam = answer["authorizer"]["iam"]
    assert iam.keys() == {
        "accessKey",
        "accountId",
        "callerId",
        "cognitoIdentity",
        "principalOrgId",
        "userArn",
        "userId",
    }
    assert iam["accessKey"] == client.key("Reader").access_key
    assert iam["userArn"] == "arn:aws:sts::123456789012:assumed-role/Reader/local"
    assert re.fullmatch(r"AROA[A-Z2-7]{17}:local", iam["userId"])
    assert (iam["callerId"], iam["cognitoIdentity"], iam["principalOrgId"]) == (iam["userId"], None, None)


def test_a_route_without_the_authorizer_stays_open(client: Signer) -> None:
    assert client.send(AWSRequest("GET", client.engine.url + "/open")) == (
        200,
        {"authorizer": None, "path": "/open", "body": None},
    )


def test_an_unsigned_request_is_forbidden(client: Signer) -> None:
    assert client.send(AWSRequest("GET", client.engine.url + "/items/1")) == FORBIDDEN


@pytest.mark.parametrize(
    ("target", "method", "body", "headers"),
    [
        ("/items/a%20b/", "GET", b"", {}),
        ("/items/%E1%88%B4", "GET", b"", {}),
        ("/items//a/./b/../c", "GET", b"", {}),
        ("/items/1?b=2&a=1&a=0&empty=&flag", "GET", b"", {}),
        ("/items/1?Param1=value%201&%E1%88%B4=bar", "GET", b"", {}),
        ("/items/-._~0123", "GET", b"", {"X-Spaced": "  a   b  c "}),
        ("/items/1", "GET", b"", {"User-Agent": "x", "Accept": "*/*"}),
        ("/items/1", "POST", b'{"a": 1}', {"Content-Type": "application/json"}),
        ("/items/1", "PUT", bytes(range(256)) * 300, {"Content-Type": "application/octet-stream"}),
    ],
)
def test_what_botocore_signs_is_accepted(
    client: Signer, target: str, method: str, body: bytes, headers: dict[str, str]
) -> None:
    status, answer = client.get(target, "wendy", method=method, body=body, headers=headers)
    assert status == 200, answer
    assert answer["authorizer"]["iam"]["userArn"] == "arn:aws:iam::123456789012:user/wendy"


def change_header(name: str, change: Callable[[str], str]) -> Callable[[AWSRequest], None]:
    def apply(request: AWSRequest) -> None:
        value = request.headers[name]
        del request.headers[name]
        request.headers[name] = change(value)

    return apply


def set_attribute(name: str, value: Any) -> Callable[[AWSRequest], None]:
    return lambda request: setattr(request, name, value)


def drop_header(name: str) -> Callable[[AWSRequest], None]:
    return lambda request: request.headers.__delitem__(name)


CHANGES: dict[str, Callable[[AWSRequest], None]] = {
    "signature": change_header("Authorization", lambda value: value[:-4] + "0000"),
    "key": change_header("Authorization", lambda value: re.sub(r"ASIA\w{4}", "ASIAAAAA", value)),
    "date of the scope": change_header("Authorization", lambda value: re.sub(r"/\d{8}/", "/20200101/", value)),
    "terminator": change_header("Authorization", lambda value: value.replace("aws4_request", "aws3_request")),
    "signed headers": change_header("Authorization", lambda value: value.replace("host;", "")),
    "algorithm": change_header("Authorization", lambda value: value.replace("SHA256", "SHA1")),
    "no signature": change_header("Authorization", lambda value: value.partition(", Signature")[0]),
    "another scheme": change_header("Authorization", lambda _: "Bearer abc"),
    "time": change_header("X-Amz-Date", lambda value: value[:-2] + ("1Z" if value[-2] != "1" else "2Z")),
    "token": change_header("X-Amz-Security-Token", lambda value: value[:-1]),
    "no token": drop_header("X-Amz-Security-Token"),
    "no date": drop_header("X-Amz-Date"),
    "method": set_attribute("method", "DELETE"),
    "body": set_attribute("data", b'{"a": 2}'),
    "header": change_header("Content-Type", lambda _: "text/plain"),
    "unsigned AWS header": lambda request: request.headers.add_header("X-Amz-Target", "x"),
    "payload hash": lambda request: request.headers.add_header("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"),
}


@pytest.mark.parametrize("part", CHANGES)
def test_a_change_of_any_part_is_forbidden(client: Signer, part: str) -> None:
    headers = {"Content-Type": "application/json", "Host": f"127.0.0.1:{client.engine.port}"}
    request = client.sign("/items/1", client.key("Echo" + "Role"), body=b'{"a": 1}', headers=headers)
    assert client.send(request)[0] == 200
    CHANGES[part](request)
    assert client.send(request) == FORBIDDEN


@pytest.mark.parametrize("option", [{"service": "lambda"}, {"region": "eu-west-1"}])
def test_another_scope_is_forbidden(client: Signer, option: dict[str, str]) -> None:
    assert client.get("/items/1", **option) == FORBIDDEN


def test_an_unsigned_payload_is_forbidden(client: Signer) -> None:
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    assert client.get("/items/1", "wendy", method="POST", body=b"x", headers=headers) == FORBIDDEN


class ActualHash(SigV4Auth):
    """Signs the hash of the body, whatever the header with the hash says."""

    def canonical_request(self, request: AWSRequest) -> str:
        *lines, _ = super().canonical_request(request).split("\n")
        return "\n".join([*lines, self.payload(request)])


def test_a_payload_hash_that_is_not_the_body_s_is_forbidden(client: Signer) -> None:
    for stated, status in ((hashlib.sha256(b"x").hexdigest(), 200), (hashlib.sha256(b"y").hexdigest(), 403)):
        headers = {"X-Amz-Content-SHA256": stated}
        request = AWSRequest("POST", f"{client.engine.url}/items/1", data=b"x", headers=headers)
        ActualHash(client.key("wendy"), "execute-api", "us-east-1").add_auth(request)
        assert client.send(request)[0] == status


@pytest.mark.parametrize("token", [None, "other"])
def test_a_session_s_key_needs_its_token(client: Signer, token: str | None) -> None:
    key = client.key("Reader")
    without = Credentials(key.access_key, key.secret_key, token)
    assert client.send(client.sign("/items/1", without)) == FORBIDDEN


@pytest.mark.parametrize(("seconds", "status"), [(-400, 403), (400, 403), (-200, 200), (200, 200)])
def test_the_clock_may_be_wrong_by_five_minutes(
    client: Signer, monkeypatch: pytest.MonkeyPatch, seconds: int, status: int
) -> None:
    key = client.key("Reader")
    shifted = datetime.fromtimestamp(time.time() + seconds, UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: shifted)
    assert client.send(client.sign("/items/1", key))[0] == status


@pytest.mark.parametrize(("expires", "age", "status"), [(60, 0, 200), (60, 120, 403), (600, 500, 200)])
def test_a_presigned_url_holds_until_it_expires(
    client: Signer, monkeypatch: pytest.MonkeyPatch, expires: int, age: int, status: int
) -> None:
    key = client.key("Reader")
    shifted = datetime.fromtimestamp(time.time() - age, UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: shifted)
    request = AWSRequest("GET", f"{client.engine.url}/items/1?a=b")
    SigV4QueryAuth(key, "execute-api", "us-east-1", expires).add_auth(request)
    assert client.send(AWSRequest("GET", request.url))[0] == status
    assert client.send(AWSRequest("GET", request.url.replace("a=b", "a=c"))) == FORBIDDEN


@pytest.mark.parametrize(
    ("principal", "method", "target", "status"),
    [
        ("Reader", "GET", "/items/1", 200),
        ("Reader", "POST", "/items/1", 403),
        ("Reader", "GET", "/items/secret", 403),
        ("EchoRole", "GET", "/items/1", 200),
        ("EchoRole", "GET", "/other", 403),
        ("Stranger", "GET", "/items/1", 403),
        ("wendy", "DELETE", "/items/secret", 200),
        ("Writer", "GET", "/other", 200),
        ("somebody", "GET", "/items/1", 403),
    ],
)
def test_policies_decide(client: Signer, principal: str, method: str, target: str, status: int) -> None:
    assert client.get(target, principal, method=method)[0] == status


def test_an_unknown_condition_operator_denies_and_is_named(client: Signer) -> None:
    assert client.get("/items/1", "Puzzled") == FORBIDDEN
    client.engine.wait_for_line("The condition operator StringSounds is not supported")


def test_a_user_of_its_own_may_do_what_its_policy_says(client: Signer, tmp_path: Path) -> None:
    policy = {"Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*/GET/items/7"}]}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    key = client.key("olga", "--policy", str(file))
    assert client.send(client.sign("/items/7", key))[0] == 200
    assert client.send(client.sign("/items/8", key)) == FORBIDDEN
    file.write_text(json.dumps({"Statement": {**policy["Statement"][0], "Effect": "Deny"}}))
    assert client.key("olga", "--policy", str(file)).access_key == key.access_key
    assert client.send(client.sign("/items/7", key)) == FORBIDDEN


def test_an_expired_key_is_forbidden(client: Signer) -> None:
    key = client.key("Reader", "--expires", "1")
    deadline = time.monotonic() + 20
    while client.send(client.sign("/items/1", key))[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert client.send(client.sign("/items/1", key)) == FORBIDDEN


def test_a_function_calls_the_api_with_its_own_role(client: Signer) -> None:
    status, answer = client.send(AWSRequest("GET", f"{client.engine.url}/open?call=/items/5"))
    assert status == 200
    assert answer["authorizer"]["iam"]["userArn"].endswith("assumed-role/EchoRole/local-Echo")
    assert client.send(AWSRequest("GET", f"{client.engine.url}/open?call=/other")) == FORBIDDEN


def test_keys_can_be_read_by_their_owner_alone(client: Signer, template: Path) -> None:
    client.key("Reader")
    files = list((template.parent / ".local" / "credentials").iterdir())
    assert files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_keys_can_be_exported_to_a_shell(client: Signer, template: Path) -> None:
    printed = run_engine("credentials", "--principal", "Reader", "--format", "env", project=template.parent).stdout
    shell = subprocess.run(
        ["sh", "-c", f'{printed}\necho "$AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN"'],
        capture_output=True,
        text=True,
        check=True,
    )
    key = client.key("Reader")
    assert shell.stdout.split() == [key.access_key, key.secret_key, key.token]


def test_a_role_gets_no_policy_of_its_own_here(template: Path, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"Statement": []}')
    refused = run_engine("credentials", "--principal", "Reader", "--policy", str(file), project=template.parent)
    assert refused.returncode == 2
    assert "has its policies in the template" in refused.stderr


def test_the_command_of_the_pages_is_accepted(client: Signer) -> None:
    command = httpx.post(f"{client.engine.url}/_local/signed-call", trust_env=False).json()["command"]
    done = subprocess.run([*shlex.split(command), "--silent", "--fail"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["authorizer"]["iam"]["userArn"].endswith(":user/local-engine-example")
