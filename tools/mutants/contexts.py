"""Plugin of pytest: coverage.py notes the test that runs a line."""

from collections.abc import Iterator

import pytest
from coverage import Coverage


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if coverage := Coverage.current():
        coverage.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        if coverage:
            coverage.switch_context("")
