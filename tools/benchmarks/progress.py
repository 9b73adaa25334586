"""Lines on stderr that show how far a long experiment is."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL_SECONDS = 10.0


@contextmanager
def show_progress(describe: Callable[[], str]) -> Iterator[None]:
    """Print a line to stderr every ten seconds of the block, with the seconds since its start.

    Args:
        describe: returns how far the experiment is.
    """
    over = threading.Event()
    started = time.monotonic()

    def show() -> None:
        while not over.wait(INTERVAL_SECONDS):
            print(f"{time.monotonic() - started:.0f} s: {describe()}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
