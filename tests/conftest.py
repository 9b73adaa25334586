"""What all tests share."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings
from playwright.sync_api import Browser

from tests.support.browser import CHROMIUM, open_browser
from tests.support.missing import skip_or_fail

# A shell that starts the tests in the background has SIGINT ignored, which the servers that they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, so that a failure repeats. HYPOTHESIS_PROFILE=explore searches for new ones, and
# `make check` uses the profile `quick`.
# Only `explore` explains a failure, because that traces every line of every example.
REPEATED = settings(derandomize=True, database=None, deadline=None, phases=set(Phase) - {Phase.explain})
settings.register_profile("repeat", REPEATED)
settings.register_profile("quick", REPEATED, max_examples=20)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("needs_linux")
    if marker and sys.platform != "linux":
        (reason,) = marker.args
        pytest.skip(f"needs Linux: {reason}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        skip_or_fail("no Chromium is installed (on Debian: apt-get install chromium)")
    with open_browser() as browser:
        yield browser
