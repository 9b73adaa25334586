"""The project in a folder whose path has spaces: each Makefile of the stack builds, as `sam build` calls it."""

import os
import shutil
import subprocess

import pytest

from tests.support.stack import ROOT

# Stands in for Python, of which the builds need pip, and so a package index: creates the folder of `--target`.
PYTHON = """#!/bin/sh
while [ $# -gt 0 ]; do
    [ "$1" = --target ] && mkdir -p "$2" && touch "$2/installed.py"
    shift
done
"""


@pytest.mark.parametrize(
    ("folder", "name", "built"),
    [
        (
            "layers/shared",
            "SharedLayer",
            ["python/models/Resource.json", "python/serverless_api/__init__.py", "python/installed.py"],
        ),
        ("functions/rotate_client_secret", "RotateClientSecret", ["app.py", "installed.py"]),
        ("functions/verify_versions", "VerifyVersions", ["app.py", "events"]),
    ],
)
def test_a_makefile_in_a_path_with_spaces(tmp_path, folder, name, built):
    project = tmp_path / "päth  mit 'space" / "copy"
    for part in ("models", "events", folder):
        shutil.copytree(ROOT / part, project / part)
    python = project / ".venv" / "bin" / "python3.13"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    copy = shutil.copytree(project / folder, tmp_path / "a copy")
    artifacts = tmp_path / "the artifacts"
    artifacts.mkdir()
    done = subprocess.run(
        ["make", "--makefile", str(project / folder / "Makefile"), f"build-{name}"],
        cwd=copy,
        env=os.environ | {"ARTIFACTS_DIR": str(artifacts)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [path for path in built if not (artifacts / path).exists()] == []
