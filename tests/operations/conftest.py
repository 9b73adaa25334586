"""The API, as `make run` serves it."""

from collections.abc import Iterator

import pytest

from tests.engine_process import EngineProcess
from tests.operations.programs import run_engine_of
from tests.stack import ROOT


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineProcess]:
    with run_engine_of(ROOT / "template.yaml") as engine:
        yield engine
