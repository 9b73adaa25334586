from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rotation.aws import AWS, Function


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
