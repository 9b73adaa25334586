"""Deadlines: the moment by which an invocation must answer, whatever it waits for.

Waits, retries and timeouts are cut to the time that remains. A signal ends anything that waits longer, such as a
dependency that sends one byte a second and so never meets a socket's timeout: see `Deadline.enforce`.

While a debugger is attached, time stands still: the deadlines of the invocation no longer end anything.

Python handles signals between two of its own instructions, so nothing here ends a single call into C that takes too
long. Lambda does: it stops the environment at the function's timeout, reports the request ID and counts an error. Just
before that, `invocation_deadline` writes the traceback to the log, so that the report has a cause.
"""

import faulthandler
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

RESERVE_SECONDS = 0.75
"""Time that an invocation keeps for its response, logs and metrics: half a second, and some to get there."""

TRACEBACK_SECONDS = 0.25
"""Time between the traceback of an invocation that does not end and Lambda's timeout."""

AGAIN_SECONDS = 0.1
"""Interval at which the signal is repeated, for code that catches the first one."""

_STANDARD_ERROR = 2

_DEBUGGERS = ("bdb", "pdb", "pydevd", "_pydevd")


class DeadlineExceeded(BaseException):
    """The time is up.

    Not an `Exception`, so that it passes through libraries that catch every `Exception` around calls that may fail.
    """


class Deadline:
    """A point in time.

    Args:
        seconds: from now.
        clock: returns seconds of a monotonic clock; tests pass a fake.

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
            context: the invocation's context.
            reserve: seconds between the deadline and the moment at which Lambda ends the invocation.
        """
        return cls(context.get_remaining_time_in_millis() / 1000 - reserve)

    @property
    def remaining(self) -> float:
        """Seconds left; negative once the time is up."""
        return self._end - self._clock()

    def cut(self, seconds: float) -> float:
        """Return `seconds`, or the time left if that is less.

        Raises:
            DeadlineExceeded: no time is left.
        """
        left = min(seconds, self.remaining)
        if left <= 0:
            raise DeadlineExceeded
        return left

    def shorten(self, seconds: float) -> "Deadline":
        """Return a deadline in `seconds`, or at this one's end if that is earlier."""
        return Deadline(min(seconds, self.remaining), self._clock)

    def lift(self) -> None:
        """Make this a deadline that never comes."""
        self._end = math.inf

    @contextmanager
    def enforce(self) -> Iterator[None]:
        """End the block when the time is up, whatever it waits for.

        Works in the main thread, where Lambda runs handlers; in other threads it does nothing. If deadlines are nested,
        the earlier one ends the block.

        Raises:
            DeadlineExceeded: in the block, when the time is up.
        """
        if self._end == math.inf or threading.current_thread() is not threading.main_thread():
            yield
            return
        outer_handler = signal.getsignal(signal.SIGALRM)
        outer_left, outer_interval = signal.getitimer(signal.ITIMER_REAL)
        started = time.monotonic()
        is_enforced = True

        def end_block(_number: int, frame: FrameType | None) -> None:
            if _is_debugged(frame):
                for deadline in _enforced:
                    deadline.lift()
                faulthandler.cancel_dump_traceback_later()
                signal.setitimer(signal.ITIMER_REAL, 0)
            elif is_enforced:
                raise DeadlineExceeded

        _enforced.append(self)

        try:
            try:
                signal.signal(signal.SIGALRM, end_block)
                own = max(self.remaining, 1e-6)
                # Repeated, for code that catches the first signal and waits on.
                signal.setitimer(signal.ITIMER_REAL, min(own, outer_left) if outer_left else own, AGAIN_SECONDS)
                yield
            finally:
                is_enforced = False
        finally:
            # Once more, because the signal may arrive just before the line above.
            is_enforced = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, outer_handler)
            _enforced.pop()
            if outer_left and not (_enforced and _enforced[-1].remaining == math.inf):
                left = max(outer_left - (time.monotonic() - started), 1e-6)
                signal.setitimer(signal.ITIMER_REAL, left, outer_interval)


def _is_debugged(frame: FrameType | None) -> bool:
    """Return whether a debugger is attached, or pdb is waiting in one of the frames below `frame`.

    A trace function alone proves nothing: tools that measure coverage set one too.
    """
    if sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID):
        return True
    if (getattr(sys.gettrace(), "__module__", None) or "").startswith(_DEBUGGERS):
        return True
    while frame and frame.f_globals.get("__name__") not in _DEBUGGERS:
        frame = frame.f_back
    return frame is not None


_current = Deadline(math.inf)
_enforced: list[Deadline] = []  # the outermost first; a debugger lifts them all


def current_deadline() -> Deadline:
    """Return the deadline of the current invocation, or one that never comes if none is set."""
    return _current


@contextmanager
def invocation_deadline(context: "LambdaContext") -> Iterator[Deadline]:
    """Set and enforce the deadline of an invocation for the block.

    If the block outlives the deadline nevertheless, the main thread's traceback is written to standard error.

    Raises:
        DeadlineExceeded: in the block, when the time is up.
    """
    global _current  # noqa: PLW0603 - an environment runs one invocation at a time
    _current = Deadline.of_invocation(context)
    is_watched = threading.current_thread() is threading.main_thread()
    if is_watched:
        seconds = _current.remaining + RESERVE_SECONDS - TRACEBACK_SECONDS
        # A thread of C code, which runs even while another call into C holds the interpreter's lock.
        faulthandler.dump_traceback_later(max(seconds, TRACEBACK_SECONDS), file=_STANDARD_ERROR)
    try:
        with _current.enforce():
            yield _current
    finally:
        if is_watched:
            faulthandler.cancel_dump_traceback_later()
        _current = Deadline(math.inf)
