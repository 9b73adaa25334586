"""What tests of exports share."""

import pytest

from local_engine.testing import EngineProcess


@pytest.fixture(scope="session")
def export_url(local_engine: EngineProcess) -> str:
    """The address of exports: the API that streams is on the port after the first API's."""
    return f"http://127.0.0.1:{local_engine.port + 1}/live/api/v1/export"
