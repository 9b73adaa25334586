"""The API, as `make run` serves it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_engine.testing import EngineProcess
from tests.support.programs import run_engine_of
from tests.support.stack import ROOT


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineProcess]:
    with run_engine_of(ROOT / "template.yaml") as engine:
        yield engine


@pytest.fixture
def copied_stack(tmp_path: Path) -> Path:
    """The template with all that it names, free to be changed."""
    for name in ("events", "functions", "layers", "models", "stacks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return Path(shutil.copy(ROOT / "template.yaml", tmp_path / "template.yaml"))
