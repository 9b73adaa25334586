"""What `sam build` makes of the stack, once for all processes that run the tests."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stack import ROOT


def build_stack(directories: pytest.TempPathFactory) -> Path:
    """Return the folder that `sam build` fills, for tests to read or to copy. The first process that asks fills it."""
    own = directories.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "sam"
    shared.mkdir(exist_ok=True)
    folder, is_built = shared / "build", shared / "is_built"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_built.exists():
            _run_sam(folder)
            is_built.touch()
    return folder


def _run_sam(folder: Path) -> None:
    binaries = Path(sys.executable).parent
    # Beside the folder of `make build`, so that neither disturbs the other.
    done = subprocess.run(
        [binaries / "sam", "build", "--build-dir", folder, "--no-cached"],
        cwd=ROOT,
        # `sam build` looks for the interpreter and pip of the runtime on PATH.
        env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
