"""What tests of the internal API share."""

import pytest

from local_engine.testing import EngineProcess
from tests.support.internal import EVERYTHING, InternalClient, make_principal


@pytest.fixture(scope="session")
def caller(local_engine: EngineProcess) -> InternalClient:
    """A principal that may use every route."""
    return InternalClient(local_engine, make_principal("internal-tests", EVERYTHING))
