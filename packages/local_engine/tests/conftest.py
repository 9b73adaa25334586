import importlib.util
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from hypothesis import Phase, settings
from playwright.sync_api import Browser, expect, sync_playwright

from local_engine.bedrock.instruct_model import PACKAGES
from local_engine.services import Services, start_services
from local_engine.testing import EngineProcess

# No environment of the tests has these packages, which weigh 200 MB; `make run MODEL=small` installs them.
collect_ignore = [] if all(map(importlib.util.find_spec, PACKAGES)) else ["test_small_model.py"]

STACKS = Path(__file__).parent / "stacks"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# A shell that starts the tests in the background ignores SIGINT, and the started engines would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Each client of httpx reads the trusted certificates, which takes 30 ms of the processor.
transports: Any = httpx._transports.default
transports.create_ssl_context = cache(httpx.create_ssl_context)

# A loaded machine needs its time to load Swagger UI.
expect.set_options(timeout=30_000)

# The same examples in every run, so that a failure repeats. To explain a failure, Hypothesis traces every line.
phases = set(Phase) - {Phase.explain}
settings.register_profile("repeat", derandomize=True, database=None, deadline=None, phases=phases)
settings.load_profile("repeat")


def aws_client(name: str, endpoint: str, **options: Any) -> Any:
    """A client of the local AWS services; `options` are those of botocore's `Config`."""
    configuration = Config(retries={"total_max_attempts": 1}, max_pool_connections=32, **options)
    secrets = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client(name, endpoint_url=endpoint, region_name="us-east-1", config=configuration, **secrets)


def connect(port: int) -> socket.socket:
    """A connection to a server of this machine, for what no HTTP client sends."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def copy_stack(name: str, folder: Path) -> Path:
    """Copy a stack into a folder, to edit it; returns its template's path."""
    shutil.copytree(STACKS / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".local"))
    return folder / name / "template.yaml"


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """The AWS services, without a stack."""
    services = start_services()
    try:
        yield services
    finally:
        services.stop()


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
    with EngineProcess(STACKS / "misbehaving" / "template.yaml", "--verbose") as engine:
        yield engine


@pytest.fixture
def misbehaving(misbehaving_engine: EngineProcess) -> Iterator[httpx.Client]:
    with misbehaving_engine.client() as client:
        yield client


@pytest.fixture(scope="session")
def rest_engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "rest_shop" / "template.yaml") as engine:
        yield engine


@pytest.fixture(scope="session")
def rest_urls(rest_engine: EngineProcess) -> dict[str, str]:
    """URL of each API of the stack with its first stage, by logical ID."""
    served = [line.split(" is served at ") for line in rest_engine.lines if " is served at " in line]
    return dict(served)


@pytest.fixture(scope="session")
def rest_shop(rest_urls: dict[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=rest_urls["Shop"], timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def echo_copy(tmp_path: Path) -> Path:
    """The template of a copy of the echo stack, to edit."""
    return copy_stack("echo", tmp_path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        reason = "no Chromium is installed (on Debian: apt-get install chromium)"
        # In CI, nobody would notice a skipped test.
        pytest.fail(reason) if os.environ.get("CI") in ("true", "1") else pytest.skip(reason)
    # Root in a container gets no sandbox. The browser opens only the engine's own pages.
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()
