"""examples/internal_client against the engine."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from examples.internal_client import internal_client
from examples.internal_client.internal_client import InternalClient
from local_engine.access.credentials import issue_user_credentials
from local_engine.testing import EngineProcess
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.internal import API, BODY
from tests.support.stack import ROOT

PROGRAM = ROOT / "examples/internal_client/internal_client.py"
POLICY = json.loads(PROGRAM.with_name("policy.json").read_text(encoding="utf-8"))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The key that `make internal-client` uses."""
    variables = issue_user_credentials(ROOT, "internal-client", [POLICY]).variables | {"AWS_REGION": "us-east-1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    return variables


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds the client would have waited, each time."""
    waits: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waits.append)
    return waits


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(lambda _: make_reply({})) as server:
        yield server


@pytest.mark.usefixtures("environment")
def test_the_program_runs_against_the_engine(local_engine: EngineProcess) -> None:
    environment = {**os.environ, "INTERNAL_URL": local_engine.urls[API], "SUBJECT": "auth0|internal client"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    first, newest, *_ = done.stdout.splitlines()
    entry = json.loads(newest)
    assert entry["id"] == first.split()[1].rstrip(";")
    assert entry.items() >= internal_client.BODY.items()


def test_the_command_that_make_run_prints_reads_a_page(local_engine: EngineProcess) -> None:
    (command,) = [line for line in local_engine.lines if "--aws-sigv4" in line]
    done = subprocess.run([*shlex.split(command), "--silent", "--fail"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"resources": [], "count": 0}


@pytest.mark.usefixtures("environment")
def test_queries_and_bodies_are_signed_as_they_are_sent(local_engine: EngineProcess) -> None:
    client = InternalClient(local_engine.urls[API])
    for _ in range(2):
        assert client.request("POST", "a b %ü", body=BODY).status == 201
    page = client.request("GET", "a b %ü", query={"limit": 1}).document
    rest = client.request("GET", "a b %ü", query={"limit": 1, "nextToken": page["nextToken"]}).document
    assert (page["count"], rest["count"]) == (1, 1)
    item = client.request("GET", "a b %ü", page["resources"][0]["id"])
    assert item.document == page["resources"][0]
    # The example's policy allows no deletions.
    assert client.request("DELETE", "a b %ü", item.document["id"]).status == 403


@pytest.mark.usefixtures("environment")
def test_a_rejected_request_is_sent_again_as_told(server: Server, waits: list[float]) -> None:
    answers = [make_reply({}, 429), make_reply({}, 503, {"Retry-After": "3"}), make_reply(BODY, 201)]

    def answer(_: Request) -> Reply:
        return answers.pop(0)

    server.answer = answer
    assert InternalClient(server.url).request("POST", "ann", body=BODY).status == 201
    assert 3 in waits
    keys = {request.headers["Idempotency-Key"] for request in server.requests}
    assert (len(server.requests), len(keys), server.connections) == (3, 1, 1)


@pytest.mark.parametrize(
    ("variables", "status"),
    [({}, 2), ({"INTERNAL_URL": "http://127.0.0.1:1/v1"}, 1)],
    ids=["without a URL", "without a server"],
)
@pytest.mark.usefixtures("environment")
def test_what_is_missing_is_one_sentence(variables: dict[str, str], status: int) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import urllib3.util.retry as r; r.time.sleep = print; exec(open({str(PROGRAM)!r}).read())",
        ],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == 1
