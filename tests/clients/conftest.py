"""The running API, as the tests of its contract have it."""

from tests.api.conftest import server

__all__ = ["server"]
