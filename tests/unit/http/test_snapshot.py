"""SnapStart: one snapshot is restored as several unique environments."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.support.dynamodb import DynamoDB
from tests.support.gateway import ENVIRONMENT
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.tables import create_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.needs_linux("reads its own memory in /proc, and runs Lambda's runtime interface client"),
]

SECRET = "c4nary-of-the-secret-access-key"
TOKEN = "c4nary-of-the-session-token"


class Recorder:
    """DynamoDB with a record of its requests, and the credentials endpoint of a function under SnapStart."""

    def __init__(self) -> None:
        self.keys = 0
        self._backend = DynamoDB()

    def __enter__(self) -> "Recorder":
        self._backend.__enter__()
        self.dynamodb = Server(self._pass_on).__enter__()
        self.credentials = Server(self._give_credentials).__enter__()
        client = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=self._backend.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        self._client = client
        create_table(client, ENVIRONMENT["TABLE_NAME"])
        return self

    def __exit__(self, *_: object) -> None:
        self._client.delete_table(TableName=ENVIRONMENT["TABLE_NAME"])
        self.credentials.__exit__()
        self.dynamodb.__exit__()
        self._backend.__exit__()

    def _pass_on(self, request: Request) -> Reply:
        with httpx.Client(base_url=self._backend.url, trust_env=False) as client:
            answer = client.post("/", content=request.body, headers=list(request.headers.items()))
        return make_reply(answer.content, answer.status_code)

    def _give_credentials(self, _: Request) -> Reply:
        self.keys += 1
        expires = datetime.now(UTC) + timedelta(hours=6)
        document = {
            "AccessKeyId": f"ASIAEXAMPLE{self.keys}",
            "SecretAccessKey": SECRET,
            "Token": TOKEN,
            "Expiration": expires.isoformat(),
        }
        return make_reply(document)


def run_program(dynamodb: str, credentials: str, **more: str) -> dict[str, Any]:
    hidden = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in hidden} | {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{credentials}/credentials",
        "AWS_ENDPOINT_URL": dynamodb,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("snapshot_program.py")],
        env=environment | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# Nothing listens on port 9 (discard, RFC 863).
@pytest.fixture(scope="module", params=["", "http://127.0.0.1:9/"], ids=["plain", "enriching"])
def run(request: pytest.FixtureRequest) -> Any:
    """The program's report, and the requests that DynamoDB and the credentials endpoint got."""
    with Recorder() as recorder:
        report = run_program(recorder.dynamodb.url, recorder.credentials.url, ENRICHMENT_URL=request.param)
        yield report, recorder


def test_no_credential_is_in_what_is_frozen(run: Any) -> None:
    report, _ = run
    assert report["frozen"]["canaries"] == []
    # The search works: each restored environment has fetched its credentials.
    assert all(set(restored["canaries"]) == {SECRET, TOKEN} for restored in report["restored"])


def test_no_connection_is_in_what_is_frozen(run: Any) -> None:
    report, recorder = run
    assert report["frozen"]["sockets"] == 0
    # One opened and closed before the snapshot, without a request; then one for each environment.
    assert recorder.dynamodb.connections == 3
    assert len({request.connection for request in recorder.dynamodb.requests}) == 2


def test_each_environment_fetches_credentials_of_its_own(run: Any) -> None:
    _, recorder = run
    assert recorder.keys == 2
    used = {request.headers["authorization"].split("/")[0] for request in recorder.dynamodb.requests}
    assert len(used) == 2


def test_environments_differ_in_all_that_is_random(run: Any) -> None:
    report, _ = run
    one, other = report["restored"]
    assert one["statuses"] == other["statuses"] == [200, 201]
    assert one["id"] != other["id"]
    assert one["version"] != other["version"]
    assert one["waits"] != other["waits"]


def test_the_first_requests_after_a_restore_import_nothing(run: Any) -> None:
    report, _ = run
    assert [restored["imported"] for restored in report["restored"]] == [[], []]


def test_a_snapshot_is_taken_without_a_network_too() -> None:
    report = run_program("http://127.0.0.1:9", "http://127.0.0.1:9")
    assert report["frozen"]["sockets"] == 0
