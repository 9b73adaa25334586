import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from serverless_api.resilience.deadline import Deadline, DeadlineExceeded, current_deadline, invocation_deadline

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

SHORT = 0.05
LONG = 30.0


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Context:
    remaining_milliseconds: int

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_milliseconds


@pytest.fixture
def silent_socket() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


@pytest.fixture(autouse=True)
def alarm_is_left_as_found() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getsignal(signal.SIGALRM) is handler


def test_what_remains_goes_down_with_the_clock():
    clock = Clock()
    deadline = Deadline(2.0, clock)
    clock.now += 1.5
    assert deadline.remaining == 0.5
    clock.now += 1.5
    assert deadline.remaining == -1.0


def test_times_are_cut_to_what_remains():
    clock = Clock()
    deadline = Deadline(2.0, clock)
    assert (deadline.cut(1.0), deadline.cut(5.0)) == (1.0, 2.0)
    clock.now += 2.0
    with pytest.raises(DeadlineExceeded):
        deadline.cut(1.0)


@pytest.mark.parametrize(("seconds", "remaining"), [(1.0, 1.0), (5.0, 2.0), (-1.0, -1.0)])
def test_a_shorter_deadline_is_never_later(seconds, remaining):
    assert Deadline(2.0, Clock()).shorten(seconds).remaining == remaining


@pytest.mark.parametrize("milliseconds", [29_000, 1_000])
def test_an_invocation_keeps_at_least_half_a_second(milliseconds):
    remaining = Deadline.of_invocation(Context(milliseconds)).remaining
    assert remaining <= milliseconds / 1000 - 0.5
    assert remaining > milliseconds / 1000 - 1.5


def test_a_wait_without_an_end_is_ended(silent_socket):
    with pytest.raises(DeadlineExceeded), Deadline(SHORT).enforce():
        silent_socket.recv(1)


def test_a_wait_that_is_begun_again_and_again_is_ended(silent_socket):
    def poll() -> None:
        while True:
            select.select([silent_socket], [], [], 0.001)

    with pytest.raises(DeadlineExceeded), Deadline(SHORT).enforce():
        poll()


def test_code_that_catches_every_exception_does_not_hold_it_up(silent_socket):
    def wait() -> None:
        for _ in range(3):
            try:
                silent_socket.recv(1)
            except Exception:
                continue

    with pytest.raises(DeadlineExceeded), Deadline(SHORT).enforce():
        wait()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_deadline_that_is_over_ends_the_first_wait(silent_socket, seconds):
    with pytest.raises(DeadlineExceeded), Deadline(seconds).enforce():
        silent_socket.recv(1)


@pytest.mark.parametrize(("outer", "inner"), [(LONG, SHORT), (SHORT, LONG)])
def test_of_two_deadlines_the_earlier_one_counts(silent_socket, outer, inner):
    with pytest.raises(DeadlineExceeded), Deadline(outer).enforce(), Deadline(inner).enforce():
        silent_socket.recv(1)


def test_the_outer_deadline_holds_after_the_inner_one(silent_socket):
    def wait() -> None:
        with pytest.raises(DeadlineExceeded), Deadline(SHORT).enforce():
            silent_socket.recv(1)
        with Deadline(LONG).enforce():
            pass
        silent_socket.recv(1)

    with pytest.raises(DeadlineExceeded), Deadline(0.2).enforce():
        wait()


def test_who_catches_the_inner_end_cannot_outlive_the_outer_one(silent_socket):
    def wait() -> None:
        try:
            with Deadline(LONG).enforce():
                silent_socket.recv(1)
        except DeadlineExceeded:
            silent_socket.recv(1)

    with pytest.raises(DeadlineExceeded), Deadline(SHORT).enforce():
        wait()


def test_what_ends_in_time_is_left_alone():
    with Deadline(LONG).enforce():
        pass


def test_a_deadline_that_never_comes_sets_no_alarm():
    before = signal.getsignal(signal.SIGALRM)
    with Deadline(float("inf")).enforce():
        assert signal.getsignal(signal.SIGALRM) is before


def test_other_threads_run_without_an_alarm():
    done = []

    def run() -> None:
        with Deadline(LONG).enforce():
            done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]


def test_the_current_deadline_is_the_invocations_own(silent_socket):
    def invoke() -> None:
        with invocation_deadline(Context(800)) as deadline:
            assert current_deadline() is deadline
            silent_socket.recv(1)

    assert current_deadline().remaining == float("inf")
    with pytest.raises(DeadlineExceeded):
        invoke()
    assert current_deadline().remaining == float("inf")


@contextmanager
def attach_debugger() -> Iterator[None]:
    """Register as a debugger that uses sys.monitoring."""
    sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "debugger")
    try:
        yield
    finally:
        sys.monitoring.free_tool_id(sys.monitoring.DEBUGGER_ID)


def test_time_stands_still_while_a_debugger_is_attached():
    invocation, attempt = Deadline(4 * SHORT), Deadline(SHORT)
    with invocation.enforce():
        with attach_debugger(), attempt.enforce():
            time.sleep(5 * SHORT)
        # The debugger is gone and has cost the invocation no time.
        time.sleep(SHORT)
        assert attempt.remaining == invocation.remaining == float("inf")
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded), invocation.shorten(4 * SHORT).enforce():
            time.sleep(LONG)
        assert time.monotonic() - started > 3 * SHORT


def test_a_trace_function_that_is_not_a_debuggers_stops_no_time():
    def trace(frame: object, event: str, argument: object) -> None:
        return None

    tracer = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(DeadlineExceeded), Deadline(SHORT).enforce():
            time.sleep(LONG)
    finally:
        sys.settrace(tracer)


def test_a_call_into_c_that_does_not_end_is_in_the_log(capfd):
    def wait_unresponsively() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        try:
            time.sleep(1.0)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

    with pytest.raises(DeadlineExceeded), invocation_deadline(Context(1_000)):
        wait_unresponsively()
    written = capfd.readouterr().err
    assert "Timeout (0:00:00.7" in written
    assert "in wait_unresponsively" in written


def test_an_invocation_that_ends_in_time_leaves_nothing_in_the_log(capfd):
    with invocation_deadline(Context(1_050)):
        pass
    with pytest.raises(DeadlineExceeded), invocation_deadline(Context(850)):
        time.sleep(LONG)
    time.sleep(1.0)
    assert capfd.readouterr().err == ""
