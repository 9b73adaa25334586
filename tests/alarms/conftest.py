"""The stack in the local engine, whose minutes last two seconds, with faults before what the functions call."""

from collections.abc import Iterator

import pytest

from tests.support.stand import Stand, start_stand

# What can be driven to its limit here: twelve clients use ten environments, two of them one that is reserved.
PARAMETERS = {"ColdStart": "warm", "AccountConcurrency": "10", "GetResourceReserved": "1"}
MINUTE_SECONDS = 2
TIME_LAPSE = ("--minute", str(MINUTE_SECONDS))


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with start_stand(*TIME_LAPSE, **PARAMETERS) as stand:
        yield stand


@pytest.fixture(scope="module")
def whole_stack() -> Iterator[Stand]:
    """With the functions as well that are there only beside the stack's own user pool."""
    with start_stand(*TIME_LAPSE, ColdStart="warm", Issuer="", Audience="") as stand:
        yield stand
