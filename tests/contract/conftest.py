"""What `sam build` makes, for the tests that look at it."""

import pytest

from tests.support.build import build_stack


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """The folder that `sam build` fills."""
    return build_stack(tmp_path_factory)
