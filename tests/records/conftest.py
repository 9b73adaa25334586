"""The stack in the local engine, and clients of the AWS services behind it."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local_engine.issuer import AUDIENCE, issuer_url
from local_engine.testing import EngineProcess, free_port
from tests.records.bus import Bus
from tests.support.stack import ROOT

type Clients = Callable[[str], Any]


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineProcess]:
    port = free_port(count=8)
    parameters = (f"Issuer={issuer_url(port)}", f"Audience={AUDIENCE}")
    with EngineProcess(ROOT / "template.yaml", "--parameters", *parameters, port=port) as engine:
        yield engine


@pytest.fixture(scope="session")
def aws(engine: EngineProcess) -> Clients:
    """Makes clients of the services, and of the functions with `lambda`."""

    def make_client(service: str) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=f"{engine.url}/_local/lambda" if service == "lambda" else engine.services,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    return make_client


@pytest.fixture(scope="session")
def bus(aws: Clients) -> Bus:
    return Bus(aws("sqs"), aws("events"), "local-events")
