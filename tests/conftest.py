"""What all tests share."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest
from hypothesis import Phase, settings
from playwright.sync_api import Browser
from xdist.scheduler import LoadFileScheduling

from local_engine.testing import EngineProcess, is_running, processes_below
from tests.support.browser import CHROMIUM, open_browser
from tests.support.imports import CHANGED_BY_IMPORTS
from tests.support.missing import skip_or_fail

pytest_plugins = ["local_engine.pytest_plugin"]

# What is imported and collected stays until the end, so collections of garbage only slow the start down.
gc.disable()

_ENVIRONMENT = dict(os.environ)


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()
    changed = {name for name, _ in _ENVIRONMENT.items() ^ os.environ.items()}
    session.config.stash[CHANGED_BY_IMPORTS] = {name for name in changed if not name.startswith("PYTEST_")}


# A shell that starts the tests in the background has SIGINT ignored, which the servers that they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Each client of httpx reads the trusted certificates, which takes 30 ms of the processor.
transports: Any = httpx._transports.default
transports.create_ssl_context = cache(httpx.create_ssl_context)

# The same examples in every run, so that a failure repeats. HYPOTHESIS_PROFILE=explore searches for new ones, and
# `make check` uses the profile `quick`.
# Only `explore` explains a failure, because that traces every line of every example.
REPEATED = settings(derandomize=True, database=None, deadline=None, phases=set(Phase) - {Phase.explain})
settings.register_profile("repeat", REPEATED)
settings.register_profile("quick", REPEATED, max_examples=20)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


# Several processes share the files out in the order of collection; a long one at the end would have only one at work.
LONGEST = (
    "tests/recipes",
    "tests/alarms",
    "tests/faults",
    "tests/sam_local",
    "tests/deploy",
    "tests/contract/test_build.py",
    "tests/contract/test_published_versions.py",
    "packages/local_engine/tests/test_public_templates.py",
    "tests/records",
    "tests/api/test_schema.py",
    "tests/clients",
    "tests/load",
    "tests/tools",
    "tests/security",
    "tests/machine_client",
    "packages/local_engine/tests",
)


# Files that share a build or a deployment, and therefore a process.
TOGETHER = {
    "tests/deploy/": "tests/deploy",
    "tests/contract/test_build.py": "build",
    "tests/contract/test_published_versions.py": "build",
    "tests/contract/test_cold_start.py": "build",
}


class FileScheduling(LoadFileScheduling):
    """Gives a process whole files, and those that belong together."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((scope for start, scope in TOGETHER.items() if file.startswith(start)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take longest first."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}

    def find_rank(item: pytest.Item) -> int:
        parents = item.nodeid.partition("::")[0].split("/")
        return min(ranks.get("/".join(parents[:end]), len(ranks)) for end in range(1, len(parents) + 1))

    items.sort(key=find_rank)


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("needs_linux")
    if marker and sys.platform != "linux":
        (reason,) = marker.args
        pytest.skip(f"needs Linux: {reason}")


@pytest.fixture(scope="session")
def local_engine(local_engine: EngineProcess) -> Iterator[EngineProcess]:
    """The engine that all tests share, which leaves no process behind."""
    yield local_engine
    children = processes_below(local_engine.process.pid)
    local_engine.stop()
    assert not [child for child in children if is_running(child)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        skip_or_fail("no Chromium is installed (on Debian: apt-get install chromium)")
    with open_browser() as browser:
        yield browser
