import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.engine_process import EngineProcess

STACKS = Path(__file__).parent / "stacks"


@pytest.fixture(scope="module")
def echo() -> Iterator[httpx.Client]:
    with EngineProcess(STACKS / "echo" / "template.yaml") as engine, engine.client() as client:
        yield client


@pytest.fixture(scope="module")
def shop_engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "shop" / "template.yaml", environment={"DEVELOPERS_SECRET": "x"}) as engine:
        yield engine


@pytest.fixture(scope="module")
def shop(shop_engine: EngineProcess) -> Iterator[httpx.Client]:
    with shop_engine.client() as client:
        yield client


@pytest.fixture(scope="module")
def misbehaving_engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "misbehaving" / "template.yaml") as engine:
        yield engine


@pytest.fixture
def misbehaving(misbehaving_engine: EngineProcess) -> Iterator[httpx.Client]:
    with misbehaving_engine.client() as client:
        yield client


@pytest.fixture
def echo_copy(tmp_path: Path) -> Path:
    """A copy of the echo stack to edit; its template's path."""
    shutil.copytree(STACKS / "echo", tmp_path / "echo", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "echo" / "template.yaml"
