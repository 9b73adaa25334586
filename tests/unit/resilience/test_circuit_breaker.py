from dataclasses import dataclass, field
from typing import Any

import pytest

from serverless_api.resilience.circuit_breaker import CircuitBreaker, CircuitOpen, CircuitState, DependencyUnavailable
from serverless_api.resilience.deadline import DeadlineExceeded
from serverless_api.resilience.retry import RetryableError

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


@dataclass
class Stand:
    """A circuit breaker with a fake clock, and a record of its transitions."""

    now: float = 1_000.0
    transitions: list[tuple[CircuitState, CircuitState]] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(
            threshold=3,
            reset=10.0,
            on_transition=lambda before, after: self.transitions.append((before, after)),
            clock=lambda: self.now,
        )

    def call(self, outcome: Any = "an answer") -> Any:
        def function() -> Any:
            self.calls += 1
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return self.breaker.call(function)

    def fail(self, times: int = 1, error: BaseException | None = None) -> None:
        for _ in range(times):
            error = error or DependencyUnavailable("down")
            with pytest.raises(type(error)):
                self.call(error)


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_a_closed_circuit_passes_answers_on(stand):
    assert stand.call() == "an answer"
    assert (stand.breaker.state, stand.transitions) == (CLOSED, [])


def test_failures_in_a_row_open_it(stand):
    stand.fail(2)
    assert stand.breaker.state is CLOSED
    stand.fail()
    assert (stand.breaker.state, stand.transitions) == (OPEN, [(CLOSED, OPEN)])


def test_an_answer_between_failures_keeps_it_closed(stand):
    for _ in range(3):
        stand.fail(2)
        stand.call()
    assert stand.transitions == []


@pytest.mark.parametrize("error", [ValueError("no such item"), RetryableError("a conflict")])
def test_another_exception_is_an_answer(stand, error):
    stand.fail(2)
    stand.fail(1, error)
    stand.fail(2)
    assert stand.breaker.state is CLOSED


def test_time_that_is_up_is_a_failure(stand):
    stand.fail(3, DeadlineExceeded())
    assert stand.breaker.state is OPEN


@pytest.mark.parametrize("passed", [0.0, 9.999])
def test_an_open_circuit_calls_nothing_and_says_when_it_will(stand, passed):
    stand.fail(3)
    stand.now += passed
    with pytest.raises(CircuitOpen) as refusal:
        stand.call()
    assert stand.calls == 3
    assert refusal.value.retry_after == pytest.approx(10.0 - passed)


def test_a_probe_that_is_answered_closes_it(stand):
    stand.fail(3)
    stand.now += 10.0
    assert stand.call() == "an answer"
    assert stand.transitions == [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)]
    stand.fail(2)
    assert stand.breaker.state is CLOSED


@pytest.mark.parametrize("error", [ValueError("no such item"), RetryableError("a conflict")])
def test_a_probe_that_is_refused_closes_it(stand, error):
    stand.fail(3)
    stand.now += 10.0
    stand.fail(1, error)
    assert stand.breaker.state is CLOSED


@pytest.mark.parametrize("error", [DependencyUnavailable("down"), DeadlineExceeded()])
def test_one_probe_that_fails_opens_it_for_the_whole_time_again(stand, error):
    stand.fail(3)
    stand.now += 10.0
    stand.fail(1, error)
    assert stand.transitions == [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN)]
    stand.now += 9.9
    with pytest.raises(CircuitOpen):
        stand.call()
    assert stand.calls == 4


@pytest.mark.parametrize(("setting", "value"), [("threshold", 0), ("threshold", -1), ("reset", 0.0), ("reset", -1.0)])
def test_a_bad_setting_is_named(setting, value):
    with pytest.raises(ValueError, match=f"{setting} of a circuit breaker must be"):
        CircuitBreaker(**{setting: value})
