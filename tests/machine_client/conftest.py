from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.machine_client.machine_client import MachineClient
from tests.support.http_server import Server
from tests.support.secret_rotation_aws import AWS, CREDENTIALS, Function


@pytest.fixture
def aws() -> AWS:
    return AWS()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """All that the function writes."""
    return tmp_path / "function.log"


@pytest.fixture
def function(aws: AWS, log: Path) -> Iterator[Function]:
    with Function(aws, log) as function:
        yield function


@pytest.fixture
def issuer(aws: AWS) -> Iterator[str]:
    """URL of the user pool and Secrets Manager for programs. The rotation function uses its own server."""
    with Server(aws.answer) as server:
        aws.cognito.issuer = server.url
        yield server.url


@pytest.fixture
def client(aws: AWS, issuer: str, monkeypatch: pytest.MonkeyPatch) -> MachineClient:
    """The example's client, of the user pool."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": issuer}.items():
        monkeypatch.setenv(name, value)
    return MachineClient(aws.secret_id)
