"""Circuit breaker within one execution environment; the table's own circuit uses it.

For a state that all environments share, use `SharedCircuit`, which keeps it in DynamoDB. The circuit of DynamoDB itself
cannot be kept there. `is_failure` holds for both.

Source: Michael Nygard, «Release It!», chapter «Stability Patterns».
"""

import time
from collections.abc import Callable
from enum import StrEnum

from serverless_api.resilience.retry import RetryableError


class DependencyUnavailable(RetryableError):
    """A dependency gave no answer, or one that says that it is down or overloaded."""


def is_failure(error: BaseException) -> bool:
    """Return whether an error counts as a failure of the dependency. Any other outcome proves that it is alive.

    An exception that is no `Exception` ended the call before there was an answer: the deadline has passed.
    """
    return isinstance(error, DependencyUnavailable) or not isinstance(error, Exception)


class CircuitState(StrEnum):
    """Closed: calls go through. Open: they fail at once. Half-open: one call goes through as a probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpen(Exception):
    """The circuit is open, so the call was not made.

    Attributes:
        retry_after: seconds until the next call goes through.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__("the circuit is open")
        self.retry_after = retry_after


class CircuitBreaker:
    """Stops calls to a dependency that keeps failing.

    Args:
        threshold: how many failures in a row open the circuit.
        reset: seconds after which a probe goes through.
        on_transition: called with the state before and after each change.
        clock: returns seconds of a monotonic clock; tests pass a fake.

    Raises:
        ValueError: `threshold` is below 1, or `reset` is not positive.

    Example:
        >>> breaker = CircuitBreaker()
        >>> breaker.call(lambda: "an answer")
        'an answer'
    """

    def __init__(
        self,
        threshold: int = 5,
        reset: float = 30.0,
        on_transition: Callable[[CircuitState, CircuitState], None] = lambda _before, _after: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if threshold < 1:
            raise ValueError(f"threshold of a circuit breaker must be at least 1, not {threshold}")
        if reset <= 0:
            raise ValueError(f"reset of a circuit breaker must be more than 0 seconds, not {reset}")
        self._threshold = threshold
        self._reset_seconds = reset
        self._on_transition = on_transition
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Close the circuit and forget all failures, without calling `on_transition`."""
        self._failed = 0
        self._opened_at = 0.0
        self.state = CircuitState.CLOSED

    def call[Result](self, function: Callable[[], Result]) -> Result:
        """Return the result of `function`, unless the circuit is open.

        Raises:
            CircuitOpen: the circuit is open and `function` was not called.
        """
        if self.state is not CircuitState.CLOSED:
            left = self._opened_at + self._reset_seconds - self._clock()
            if left > 0:
                raise CircuitOpen(left)
            self._move_to(CircuitState.HALF_OPEN)
        try:
            result = function()
        except BaseException as error:
            if is_failure(error):
                self._record_failure()
            else:
                self._record_answer()
            raise
        self._record_answer()
        return result

    def _record_failure(self) -> None:
        self._failed += 1
        if self.state is CircuitState.HALF_OPEN or self._failed >= self._threshold:
            self._opened_at = self._clock()
            self._move_to(CircuitState.OPEN)

    def _record_answer(self) -> None:
        self._failed = 0
        self._move_to(CircuitState.CLOSED)

    def _move_to(self, state: CircuitState) -> None:
        before, self.state = self.state, state
        if before is not state:
            self._on_transition(before, state)
