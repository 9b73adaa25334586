import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from serverless_api.resilience.deadline import Deadline
from serverless_api.resilience.retry import RetryableError, RetryBudget, RetryPolicy


@dataclass
class Clock:
    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(round(seconds, 6))
        self.now += seconds


@dataclass
class Call:
    """Fails a given number of times."""

    failures: int
    error: Exception = field(default_factory=lambda: RetryableError("busy"))
    attempts: int = 0

    def __call__(self) -> str:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise self.error
        return "an answer"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_policy(clock: Clock) -> Callable[..., RetryPolicy]:
    return lambda drawn=0.5, **settings: RetryPolicy(sleep=clock.sleep, draw=lambda: drawn, **settings)


@pytest.mark.parametrize(
    ("drawn", "waits"), [(0.0, [0, 0, 0]), (0.5, [0.05, 0.1, 0.2]), (0.999, [0.0999, 0.1998, 0.3996])]
)
def test_waits_are_drawn_from_nothing_up_to_a_doubling_bound(make_policy, clock, drawn, waits):
    assert make_policy(drawn).call(Call(3), Deadline(60, clock), RetryBudget()) == "an answer"
    assert clock.waits == waits


def test_no_wait_is_longer_than_the_cap(make_policy, clock):
    make_policy(0.999, retries=9, cap=1.0).call(Call(9), Deadline(60, clock), RetryBudget())
    assert max(clock.waits) == 0.999
    assert clock.waits.count(0.999) == 5


def test_after_the_last_retry_its_error_is_raised(make_policy, clock):
    call = Call(9)
    with pytest.raises(RetryableError) as failure:
        make_policy().call(call, Deadline(60, clock), RetryBudget())
    assert failure.value is call.error
    assert (call.attempts, len(clock.waits)) == (4, 3)


def test_what_may_not_be_repeated_is_not(make_policy, clock):
    call = Call(1, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        make_policy().call(call, Deadline(60, clock), RetryBudget())
    assert call.attempts == 1


@pytest.mark.parametrize(("retry_after", "waits"), [(0.01, [0.05]), (1.5, [1.5]), (3.0, [3.0])])
def test_the_dependency_may_ask_for_a_longer_wait(make_policy, clock, retry_after, waits):
    make_policy().call(Call(1, RetryableError("busy", retry_after)), Deadline(60, clock), RetryBudget())
    assert clock.waits == waits


@pytest.mark.parametrize("retry_after", [2.0, 5.0])
def test_no_wait_goes_past_the_deadline(make_policy, clock, retry_after):
    call = Call(1, RetryableError("busy", retry_after))
    with pytest.raises(RetryableError):
        make_policy().call(call, Deadline(2.0, clock), RetryBudget())
    assert (call.attempts, clock.waits) == (1, [])


def test_attempts_that_take_long_leave_less_for_retries(make_policy, clock):
    attempts = []

    def attempt() -> None:
        attempts.append(clock.now)
        clock.now += 1.0
        raise RetryableError("slow")

    with pytest.raises(RetryableError):
        make_policy().call(attempt, Deadline(2.1, clock), RetryBudget())
    assert len(attempts) == 2


def test_a_dependency_that_is_down_is_soon_called_once_for_each_request(make_policy, clock):
    budget = RetryBudget(capacity=5)
    attempts = []
    for _ in range(20):
        call = Call(99)
        with pytest.raises(RetryableError):
            make_policy().call(call, Deadline(60, clock), budget)
        attempts.append(call.attempts)
    assert attempts == [4, 3, *[1] * 18]


def test_each_success_earns_a_retry(make_policy, clock):
    budget = RetryBudget(capacity=5)
    while budget.spend():
        pass
    with pytest.raises(RetryableError):
        make_policy().call(Call(1), Deadline(60, clock), budget)
    make_policy().call(Call(0), Deadline(60, clock), budget)
    assert make_policy().call(Call(1), Deadline(60, clock), budget) == "an answer"


def test_no_more_than_the_capacity_is_saved(make_policy, clock):
    budget = RetryBudget(capacity=2)
    for _ in range(10):
        make_policy().call(Call(0), Deadline(60, clock), budget)
    assert [budget.spend() for _ in range(3)] == [True, True, False]


def test_faults_now_and_then_are_retried_as_often_as_needed(make_policy, clock):
    budget = RetryBudget()
    results = [
        make_policy().call(Call(failures), Deadline(600, clock), budget)
        for failures in itertools.islice(itertools.cycle([0, 0, 1]), 300)
    ]
    assert results == ["an answer"] * 300


def test_each_retry_is_told_with_its_error(make_policy, clock):
    told = []
    call = Call(2)
    make_policy().call(call, Deadline(60, clock), RetryBudget(), told.append)
    assert told == [call.error] * 2


@pytest.mark.parametrize("name", ["retries", "base", "cap"])
def test_a_bad_setting_of_a_policy_is_named(name):
    with pytest.raises(ValueError, match=f"{name} of a retry policy must not be negative: -1"):
        RetryPolicy(**{name: -1})


def test_a_bad_capacity_is_named():
    with pytest.raises(ValueError, match="capacity"):
        RetryBudget(capacity=-1)


def test_by_default_waits_are_spread_over_the_whole_range():
    waits = [RetryPolicy().backoff(2) for _ in range(2_000)]
    assert 0 <= min(waits) < 0.02
    assert 0.38 < max(waits) < 0.4
