from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.machine_client.machine_client import MachineClient
from tests.support.http_server import Server
from tests.support.secret_rotation_aws import AWS, CREDENTIALS, Function


@pytest.fixture
def aws() -> AWS:
    return AWS()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the function writes."""
    return tmp_path_factory.mktemp("function") / "function.log"


@pytest.fixture(scope="module")
def shared_function(log: Path) -> Iterator[Function]:
    with Function(AWS(), log) as function:
        yield function


@pytest.fixture
def function(shared_function: Function, aws: AWS) -> Function:
    shared_function.move(aws)
    return shared_function


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
