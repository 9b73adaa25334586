import os
import subprocess
import sys

import pytest

from tests.support.gateway import ENVIRONMENT
from tests.support.stack import ROOT

pytestmark = pytest.mark.slow


def start_function(**settings: str) -> subprocess.CompletedProcess[str]:
    """Import a function as a cold start does."""
    environment = {"PATH": os.defpath, "PYTHONPATH": f"{ROOT / 'layers/shared'}", **ENVIRONMENT, **settings}
    return subprocess.run(
        [sys.executable, "-c", "import app"],
        cwd=ROOT / "functions/create_resource",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENRICHMENT_URL", "ftp://example.com/"),
        ("ENRICHMENT_URL", "https://user:secret@example.com/"),
        ("ENRICHMENT_URL", "https:///path"),
        ("ENRICHMENT_URL", "example.com"),
        ("ENRICHMENT_URL", "https://example.com/a path"),
        ("ENRICHMENT_URL", "https://example.com/\t"),
        ("ENRICHMENT_URL", "https://exämple.com/"),
        ("ENRICHMENT_URL", "https://.example.com/"),
        ("ENRICHMENT_URL", f"https://{'a' * 64}.example.com/"),
        ("ENRICHMENT_URL", "https://example.com:99999/"),
        ("ENRICHMENT_SECONDS", "0"),
        ("ENRICHMENT_SECONDS", "-1"),
        ("ENRICHMENT_SECONDS", "nan"),
        ("ENRICHMENT_SECONDS", "inf"),
        ("ENRICHMENT_SECONDS", "two"),
        ("CIRCUIT_THRESHOLD", "-1"),
        ("CIRCUIT_THRESHOLD", "0"),
        ("CIRCUIT_THRESHOLD", "1.5"),
        ("CIRCUIT_RESET_SECONDS", "-30"),
        ("CIRCUIT_RESET_SECONDS", "soon"),
    ],
)
def test_a_bad_setting_stops_the_start_and_is_named(name, value):
    start = start_function(**{name: value})
    assert start.returncode != 0
    last = start.stderr.strip().splitlines()[-1]
    assert "SettingError" in last
    assert name in last
    assert "secret" not in last


def test_good_settings_start():
    settings = {"ENRICHMENT_URL": "https://example.com/enrich", "ENRICHMENT_SECONDS": "0.5", "CIRCUIT_THRESHOLD": "1"}
    start = start_function(**settings, CIRCUIT_RESET_SECONDS="1")
    assert (start.returncode, start.stderr) == (0, "")


def test_empty_settings_take_their_defaults():
    names = ("ENRICHMENT_URL", "ENRICHMENT_SECONDS", "CIRCUIT_THRESHOLD", "CIRCUIT_RESET_SECONDS")
    start = start_function(**dict.fromkeys(names, ""))
    assert (start.returncode, start.stderr) == (0, "")
