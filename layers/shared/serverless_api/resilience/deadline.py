"""One point in time by which an invocation answers, whatever it waits for.

Waits, retries and time-outs are cut to what remains. Where something waits longer all the same (a dependency that sends
a byte a second never meets a socket's time-out), a signal ends it: `Deadline.enforce`.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

RESERVE_SECONDS = 0.75
"""What an invocation keeps for its answer, logs and metrics: half a second, and what it takes to get there."""


AGAIN_SECONDS = 0.1
"""After how long the end is signalled once more, where it was caught."""


class DeadlineExceeded(BaseException):
    """The time is up.

    Not an `Exception`: it must pass through code that catches every `Exception` to go on, as libraries do around calls
    that may fail.
    """


class Deadline:
    """A point in time by which to be done.

    Args:
        seconds: from now.
        clock: seconds on a clock that never goes back; another one in tests.

    Example:
        >>> deadline = Deadline(2.0)
        >>> deadline.cut(5.0) <= 2.0
        True
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @classmethod
    def of_invocation(cls, context: "LambdaContext", reserve: float = RESERVE_SECONDS) -> "Deadline":
        """Return the deadline of a Lambda invocation.

        Args:
            context: the invocation's.
            reserve: seconds to keep between the deadline and the moment at which Lambda ends the invocation.
        """
        return cls(context.get_remaining_time_in_millis() / 1000 - reserve)

    @property
    def remaining(self) -> float:
        """Seconds left; negative once the time is up."""
        return self._end - self._clock()

    def cut(self, seconds: float) -> float:
        """Return `seconds`, or what is left where that is less.

        Raises:
            DeadlineExceeded: nothing is left.
        """
        left = min(seconds, self.remaining)
        if left <= 0:
            raise DeadlineExceeded
        return left

    def shorten(self, seconds: float) -> "Deadline":
        """Return a deadline in `seconds`, or this one where it is earlier."""
        return Deadline(min(seconds, self.remaining), self._clock)

    @contextmanager
    def enforce(self) -> Iterator[None]:
        """End the block when the time is up, whatever it waits for.

        Works in the main thread, in which Lambda runs handlers; in any other it ends nothing. A deadline enforced
        within another one gives way to whichever is earlier.

        Raises:
            DeadlineExceeded: in the block, when the time is up.
        """
        if self._end == float("inf") or threading.current_thread() is not threading.main_thread():
            yield
            return
        outer_handler = signal.getsignal(signal.SIGALRM)
        outer_left, outer_interval = signal.getitimer(signal.ITIMER_REAL)
        started = time.monotonic()
        is_enforced = True

        def end_block(_number: int, _frame: Any) -> None:
            if is_enforced:
                raise DeadlineExceeded

        try:
            try:
                signal.signal(signal.SIGALRM, end_block)
                own = max(self.remaining, 1e-6)
                # Again and again, for code that catches the first one and waits on.
                signal.setitimer(signal.ITIMER_REAL, min(own, outer_left) if outer_left else own, AGAIN_SECONDS)
                yield
            finally:
                is_enforced = False
        finally:
            # Here once more, since the signal may come just before the line above.
            is_enforced = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, outer_handler)
            if outer_left:
                left = max(outer_left - (time.monotonic() - started), 1e-6)
                signal.setitimer(signal.ITIMER_REAL, left, outer_interval)


_current = Deadline(float("inf"))


def current_deadline() -> Deadline:
    """Return the deadline of the invocation that runs; one that never comes where none was set."""
    return _current


@contextmanager
def invocation_deadline(context: "LambdaContext") -> Iterator[Deadline]:
    """Make an invocation's deadline the current one for the block, and enforce it.

    Raises:
        DeadlineExceeded: in the block, when the time is up.
    """
    global _current  # noqa: PLW0603 - an environment runs one invocation at a time
    _current = Deadline.of_invocation(context)
    try:
        with _current.enforce():
            yield _current
    finally:
        _current = Deadline(float("inf"))
