"""The stack in the local engine, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from local_engine.issuer import AUDIENCE, issuer_url
from local_engine.testing import EngineProcess, free_port
from tests.support.stack import ROOT


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineProcess]:
    port = free_port(count=2)
    parameters = ["--parameters", f"Issuer={issuer_url(port)}", f"Audience={AUDIENCE}"]
    with EngineProcess(ROOT / "template.yaml", *parameters, port=port) as engine:
        yield engine
