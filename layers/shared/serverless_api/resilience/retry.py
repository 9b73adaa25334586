"""Retries with exponential backoff and full jitter, within a retry budget and a deadline.

Source: Marc Brooker, «Exponential Backoff And Jitter», AWS Architecture Blog; «Timeouts, retries, and backoff with
jitter», The Amazon Builders' Library.
"""

import random
import time
from collections.abc import Callable

from serverless_api.resilience.deadline import Deadline


class RetryableError(Exception):
    """A call failed in a way that may pass.

    Raise `DependencyUnavailable` instead if the failure shows that the dependency is down or overloaded.

    Args:
        message: the reason, for the log.
        retry_after: seconds to wait before the next attempt, from `Retry-After` (RFC 9110, section 10.2.3).
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RetryBudget:
    """A retry budget: each retry costs a token, and each successful call earns one back.

    A dependency that fails occasionally is retried as often as needed. One that is down earns nothing, so each request
    soon calls it only once.

    Attributes:
        capacity: the maximum and initial number of tokens.
        tokens: how many there are.
    """

    __slots__ = ("capacity", "tokens")

    def __init__(self, capacity: float = 20.0) -> None:
        if capacity < 0:
            raise ValueError(f"capacity of a retry budget must not be negative: {capacity}")
        self.capacity = capacity
        self.refill()

    def refill(self) -> None:
        """Restore the initial number of tokens."""
        self.tokens = self.capacity

    def spend(self) -> bool:
        """Take the token for one retry and return whether there was one."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def earn(self) -> None:
        """Add a token for a successful call."""
        self.tokens = min(self.capacity, self.tokens + 1)


class RetryPolicy:
    """How often, and after which waits, a call is retried.

    Attributes:
        retries: how many retries follow the first attempt.
        base: upper bound of the first wait in seconds; it doubles with each retry.
        cap: upper bound of any wait in seconds.
        sleep: waits for some seconds; tests pass a fake.
        draw: returns a random number from 0 to below 1; tests pass a fake.

    Example:
        >>> RetryPolicy().call(fetch, deadline=Deadline(2.0), budget=RetryBudget())
    """

    __slots__ = ("base", "cap", "draw", "retries", "sleep")

    def __init__(
        self,
        retries: int = 3,
        base: float = 0.1,
        cap: float = 2.0,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        for name, value in (("retries", retries), ("base", base), ("cap", cap)):
            if value < 0:
                raise ValueError(f"{name} of a retry policy must not be negative: {value}")
        self.retries, self.base, self.cap, self.sleep, self.draw = retries, base, cap, sleep, draw

    def call[Result](
        self,
        attempt: Callable[[], Result],
        deadline: Deadline,
        budget: RetryBudget,
        on_retry: Callable[[RetryableError], None] = lambda _: None,
    ) -> Result:
        """Return the result of `attempt`, repeating it while it raises `RetryableError`.

        Args:
            attempt: makes one attempt; must be safe to repeat.
            deadline: no wait goes past it.
            budget: pays for the retries.
            on_retry: called with the error before each retry.

        Raises:
            RetryableError: the last attempt's error, once the retries, the budget or the time are used up.
        """
        for retry in range(self.retries + 1):
            try:
                result = attempt()
            except RetryableError as error:
                wait = max(self.backoff(retry), error.retry_after)
                if retry == self.retries or wait >= deadline.remaining or not budget.spend():
                    raise
                on_retry(error)
                self.sleep(wait)
            else:
                budget.earn()
                return result
        raise AssertionError("unreachable: the last attempt returns or raises")

    def backoff(self, retry: int) -> float:
        """Return the seconds to wait before retry number `retry`, from 0: full jitter up to a doubling bound."""
        return float(self.draw() * min(self.cap, self.base * 2**retry))
