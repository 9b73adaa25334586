"""The stack in the local engine, whose minutes last two seconds, with a fault proxy before the table."""

from collections.abc import Iterator

import pytest

from tests.support.stand import Stand, start_stand
from tests.support.templates import write_variant

MINUTE_SECONDS = 2
CACHE = {"CacheSize": '"0.5"'}
TIME_LAPSE = ("--minute", str(MINUTE_SECONDS))


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    # Twelve clients can drive an account with ten environments to its limit. Records and messages age in real seconds.
    # Each answer costs more than a thousandth of a cent, and a day is five minutes.
    with (
        write_variant(AccountConcurrency="10", LateSeconds="15", SpendingLimit="10", SpendingSeconds="300") as template,
        start_stand(*TIME_LAPSE, template=template, ColdStart="warm") as stand,
    ):
        yield stand


@pytest.fixture(scope="module")
def whole_stack() -> Iterator[Stand]:
    """With the functions that exist only beside the stack's own user pool, or beside a cache."""
    with (
        write_variant(**CACHE) as template,
        start_stand(*TIME_LAPSE, template=template, ColdStart="warm", Issuer="", Audience="") as stand,
    ):
        yield stand
