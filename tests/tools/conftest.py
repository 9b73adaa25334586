"""The API, as `make run` serves it."""

import shutil
from pathlib import Path

import pytest

from local_engine.issuer import load_client_secret
from tests.support.stack import ROOT


@pytest.fixture
def copied_stack(tmp_path: Path) -> Path:
    """A copy of the templates and all that they name, for tests to change; with the issuer of the project itself."""
    load_client_secret(ROOT)
    shutil.copytree(ROOT / ".local", tmp_path / ".local")
    for name in ("events", "functions", "layers", "models", "stacks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return Path(shutil.copy(ROOT / "template.yaml", tmp_path / "template.yaml"))
