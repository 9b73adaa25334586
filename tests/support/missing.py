"""What a machine may lack."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(reason: str) -> NoReturn:
    """Skip what needs it on a developer's machine; fail in CI, where nobody would see that it was not tried."""
    if os.environ.get("CI") in ("true", "1"):
        pytest.fail(reason)
    pytest.skip(reason)
