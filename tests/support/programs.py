"""The API as `make run` serves it, and the programs of `tools` as make starts them."""

import os
import re
import subprocess
import sys
from pathlib import Path

from local_engine.issuer import AUDIENCE
from local_engine.testing import EngineProcess
from tests.support.stack import ROOT

RUN_SECONDS = 120
PYTHONPATH = os.pathsep.join(str(ROOT / path) for path in ("layers/shared", "packages/local_engine/src"))


def list_make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def run_tool(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of `tools`; it never finds the developer's own account."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SMOKE_"))}
    closed = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return subprocess.run(
        [sys.executable, "-m", f"tools.{module}", *arguments],
        cwd=ROOT,
        env=inherited | closed | {"PYTHONPATH": PYTHONPATH} | environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def prepare_engine(
    template: Path = ROOT / "template.yaml",
    *arguments: str,
    environment: dict[str, str] | None = None,
    **parameters: str,
) -> EngineProcess:
    """An engine for a test that cannot share one, without example data; by default it trusts its own issuer."""
    given = {"Issuer": "{issuer}", "Audience": AUDIENCE, "Intelligence": "on"} | parameters
    return EngineProcess(template, *arguments, parameters=given, environment=environment)
