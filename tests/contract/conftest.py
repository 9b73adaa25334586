"""What `sam build` makes, once for all tests of a process that look at it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stack import ROOT


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """The folder that `sam build` fills."""
    folder = tmp_path_factory.mktemp("sam") / "build"
    binaries = Path(sys.executable).parent
    # Beside the folder of `make build`, so that neither disturbs the other.
    done = subprocess.run(
        [binaries / "sam", "build", "--build-dir", folder, "--no-cached"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder
