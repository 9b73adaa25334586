"""The stack in the local engine, and clients of the AWS services behind it."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from local_engine.issuer import AUDIENCE
from local_engine.testing import EngineProcess
from tests.records.bus import Bus
from tests.support.stack import ROOT

type Clients = Callable[[str], Any]


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(ROOT / "template.yaml", parameters={"Issuer": "{issuer}", "Audience": AUDIENCE}) as engine:
        yield engine


@pytest.fixture(scope="session")
def aws(engine: EngineProcess) -> Clients:
    """Makes clients of the services, and of the functions with `lambda`."""
    return cache(engine.aws_client)


@pytest.fixture(scope="session")
def bus(aws: Clients) -> Bus:
    return Bus(aws("sqs"), aws("events"), "local-events")
