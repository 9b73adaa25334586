"""examples/machine_client against `make run`, the gateway's bad days included."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import httpx
import pytest

from examples.machine_client.machine_client import BODY, ExportError, MachineClient, SecretError
from local_engine.testing import EngineProcess
from tests.support.secret_rotation_aws import AWS, Function
from tests.support.stack import ROOT

PROGRAM = ROOT / "examples/machine_client/machine_client.py"


@pytest.fixture(scope="module")
def environment(local_engine: EngineProcess) -> dict[str, str]:
    """What `make run` prints for a machine client."""
    printed = local_engine.wait_for_line("^Machine client ").removeprefix("Machine client ")
    return dict(variable.split("=", 1) for variable in printed.split())


class Gate:
    """A proxy in front of the API that first gives its own answers."""

    def __init__(self, api: str) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.requests: list[dict[str, str]] = []
        gate = self

        class RequestHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                gate.requests.append(headers)
                if gate.answers:
                    self._send(*gate.answers.pop(0), b"{}")
                    return
                answer = httpx.request(self.command, api + self.path, headers=headers, content=body, trust_env=False)
                self._send(answer.status_code, {}, answer.content)

            do_POST = do_GET  # noqa: N815

            def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any, **__: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), RequestHandler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1/resources"

    @property
    def tokens(self) -> list[str]:
        return [request["authorization"] for request in self.requests]


@pytest.fixture
def gate(local_engine: EngineProcess) -> Iterator[Gate]:
    gate = Gate(local_engine.url)
    thread = threading.Thread(target=gate.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield gate
    gate.server.shutdown()
    gate.server.server_close()
    thread.join()


@pytest.fixture
def local_client(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> MachineClient:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return MachineClient(environment["CLIENT_SECRET_ID"])


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds the client would have waited, each time."""
    waits: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waits.append)
    return waits


def run_program(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, str(PROGRAM)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_program_runs_with_what_make_run_prints(environment: dict[str, str]) -> None:
    result = run_program(environment)
    assert result.returncode == 0, result.stderr
    first, newest, *_ = result.stdout.splitlines()
    assert first.startswith("Created ")
    entry = json.loads(newest)
    assert entry["id"] == first.split()[1].rstrip(";")
    assert entry.items() >= BODY.items()


def test_token_is_kept(local_client: MachineClient, gate: Gate) -> None:
    for _ in range(3):
        assert local_client.request("GET", gate.url).status_code == 200
    assert len(set(gate.tokens)) == 1


def test_401_is_answered_with_another_token_once(local_client: MachineClient, gate: Gate) -> None:
    assert local_client.request("GET", gate.url).status_code == 200
    gate.answers = [(401, {"WWW-Authenticate": "Bearer"})]
    assert local_client.request("GET", gate.url).status_code == 200
    assert len(gate.requests) == 3
    assert gate.tokens[0] == gate.tokens[1] != gate.tokens[2]
    gate.answers = [(401, {})] * 5
    assert local_client.request("GET", gate.url).status_code == 401
    assert len(gate.requests) == 5


@pytest.mark.parametrize("status", [429, 503])
def test_refused_requests_are_repeated_when_the_answer_says(
    status: int, local_client: MachineClient, gate: Gate, waits: list[float]
) -> None:
    gate.answers = [(status, {"Retry-After": "7"}), (status, {"Retry-After": "2"})]
    resource = {"name": "made by a machine", "type": "A"}
    response = local_client.request("POST", gate.url, json=resource, headers={"Idempotency-Key": f"key-{status}"})
    assert response.status_code == 201
    assert waits == [7, 2]
    assert [request["idempotency-key"] for request in gate.requests] == [f"key-{status}"] * 3


def test_refused_requests_without_retry_after_wait_longer_each_time(
    local_client: MachineClient, gate: Gate, waits: list[float]
) -> None:
    gate.answers = [(429, {})] * 10
    assert local_client.request("GET", gate.url).status_code == 429
    assert len(gate.requests) == 6
    assert waits == sorted(waits)
    assert sum(waits) > 7


def test_token_is_renewed_shortly_before_it_expires(
    aws: AWS, function: Function, client: MachineClient, gate: Gate
) -> None:
    function.rotate()
    aws.cognito.token_seconds = 30
    for _ in range(2):
        client.request("GET", gate.url)
    # The local issuer's gateway knows no token of the user pool, so each request was made twice.
    assert len(set(gate.tokens)) == len(gate.tokens) == 3


def test_secret_is_fetched_again_where_it_has_rotated_twice(
    aws: AWS, function: Function, client: MachineClient
) -> None:
    function.rotate()
    aws.cognito.token_seconds = 30
    url = f"{aws.cognito.issuer}/.well-known/jwks.json"
    assert client.request("GET", url).status_code == 200
    function.rotate()
    function.rotate()
    assert client.request("GET", url).status_code == 200
    assert aws.cognito.refused_tokens == 1


def test_secret_without_a_value_is_named(client: MachineClient) -> None:
    with pytest.raises(SecretError, match="its first rotation writes it"):
        client.request("GET", "http://127.0.0.1:9/")


def test_secret_is_not_sent_unencrypted(environment: dict[str, str]) -> None:
    secrets_manager = boto3.client(
        "secretsmanager",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_DEFAULT_REGION"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    value = {"clientId": "c", "clientSecret": "s3cret", "tokenEndpoint": "http://192.0.2.1/oauth2/token", "scope": ""}
    secrets_manager.create_secret(Name="unsafe", SecretString=json.dumps(value))
    result = run_program({**environment, "CLIENT_SECRET_ID": "unsafe"})
    assert result.returncode == 1
    assert "not an https URL" in result.stderr
    assert "s3cret" not in result.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"API_URL": None}, "API_URL is not set"),
        ({"CLIENT_SECRET_ID": "none"}, "can't find the specified secret"),
        ({"API_URL": "somewhere"}, "The API could not be called"),
        ({"AWS_DEFAULT_REGION": None}, "specify a region"),
    ],
)
def test_faulty_environment_is_explained(
    change: dict[str, str | None], sentence: str, environment: dict[str, str]
) -> None:
    changed = {name: value for name, value in {**environment, **change}.items() if value is not None}
    result = run_program(changed)
    assert result.returncode in (1, 2)
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def machine_client(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> MachineClient:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return MachineClient(environment["CLIENT_SECRET_ID"])


def test_the_api_that_streams_takes_the_same_token(local_engine: EngineProcess, machine_client: MachineClient) -> None:
    body = {"name": "exported", "type": "A"}
    created = machine_client.request("POST", f"{local_engine.url}/api/v1/resources", json=body).json()
    entries = list(machine_client.export(f"http://127.0.0.1:{local_engine.port + 1}/live/api/v1/export"))
    assert entries[0]["resource"] == created


LINES = [json.dumps({"at": f"widgets.{number}", "widget": {"id": number}}).encode() + b"\n" for number in range(3)]


def make_end(*lines: bytes, complete: bool = True) -> bytes:
    end = {"complete": complete, "counts": {}, "checksum": f"sha256:{hashlib.sha256(b''.join(lines)).hexdigest()}"}
    return json.dumps({"end": end}).encode() + b"\n"


@pytest.fixture
def exports() -> Iterator[tuple[str, list[bytes], list[str]]]:
    """The URL of an export, the bodies of its responses, and the targets of its requests; `!` at the end cuts one."""
    bodies: list[bytes] = []
    targets: list[str] = []

    class RequestHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            targets.append(self.path)
            body = bodies.pop(0)
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            content = body.removesuffix(b"!")
            if content:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
            if content == body:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True

        def log_message(self, *_: Any, **__: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), RequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", bodies, targets
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_export_that_is_cut_goes_on_after_its_last_whole_line(
    machine_client: MachineClient, exports: tuple[str, list[bytes], list[str]]
) -> None:
    url, bodies, targets = exports
    error = b'{"error":"The service is busy, try again shortly","requestId":"r"}\n!'
    bodies += [
        LINES[0] + LINES[1][:20] + b"!",
        LINES[1] + error,
        make_end(complete=False),
        LINES[2] + make_end(LINES[2]),
    ]
    assert [entry["widget"]["id"] for entry in machine_client.export(url)] == [0, 1, 2]
    assert targets == ["/", "/?from=widgets.0", "/?from=widgets.1", "/?from=widgets.1"]


@pytest.mark.parametrize("body", [LINES[0] + make_end(LINES[1]), b"!"])
def test_an_export_that_is_not_what_it_says_is_an_error(
    machine_client: MachineClient, exports: tuple[str, list[bytes], list[str]], body: bytes
) -> None:
    url, bodies, _ = exports
    bodies.append(body)
    with pytest.raises(ExportError):
        list(machine_client.export(url))
