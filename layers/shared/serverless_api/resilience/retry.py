"""Calls that are safe to repeat, repeated: exponential backoff with full jitter, within a budget and a deadline.

Source: Marc Brooker, «Exponential Backoff And Jitter», AWS Architecture Blog; «Timeouts, retries, and backoff with
jitter», The Amazon Builders' Library.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from serverless_api.resilience.deadline import Deadline


class RetryableError(Exception):
    """A call failed in a way that may pass: throttled, unavailable, timed out, not connected.

    Args:
        message: for the log.
        retry_after: seconds that the dependency asked to be left alone, as `Retry-After` says (RFC 9110, section
            10.2.3).
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(slots=True)
class RetryBudget:
    """How many retries there may be: each one costs a token, each call that succeeds earns one back.

    A dependency that fails now and then is retried as often as needed; one that is down earns nothing, and is soon
    called once for each request.

    Attributes:
        capacity: the most tokens there can be, and how many there are at first.
    """

    capacity: float = 20.0
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        if self.capacity < 0:
            raise ValueError(f"capacity of a retry budget must not be negative, and is {self.capacity}")
        self.refill()

    def refill(self) -> None:
        """Have as many tokens as at first."""
        self.tokens = self.capacity

    def spend(self) -> bool:
        """Take the token of one retry; return whether there was one."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def earn(self) -> None:
        """Give a token back for a call that succeeded."""
        self.tokens = min(self.capacity, self.tokens + 1)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to repeat a call.

    Attributes:
        retries: how many times after the first attempt.
        base: seconds of the first wait, at the most; each further one may be twice as long.
        cap: seconds of any wait, at the most.
        sleep: waits for some seconds; another one in tests.
        draw: returns a number from 0 to below 1; another one in tests.

    Example:
        >>> RetryPolicy().call(fetch, deadline=Deadline(2.0), budget=RetryBudget())
    """

    retries: int = 3
    base: float = 0.1
    cap: float = 2.0
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        for name in ("retries", "base", "cap"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} of a retry policy must not be negative, and is {getattr(self, name)}")

    def call[Result](
        self,
        attempt: Callable[[], Result],
        deadline: Deadline,
        budget: RetryBudget,
        on_retry: Callable[[RetryableError], None] = lambda _: None,
    ) -> Result:
        """Return what `attempt` returns, repeating it while it raises `RetryableError`.

        Args:
            attempt: one attempt; safe to repeat.
            deadline: no wait goes past it.
            budget: what the retries cost.
            on_retry: told of the error before each retry.

        Raises:
            RetryableError: the last attempt's, when the retries, the budget or the time are used up.
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
        """Return the seconds to wait before retry number `retry` (from 0): full jitter, up to a doubling bound."""
        return float(self.draw() * min(self.cap, self.base * 2**retry))
