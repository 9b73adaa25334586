"""Work in threads beside an experiment: disturbances, and lines on stderr that show how far it is."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

INTERVAL_SECONDS = 10.0


@contextmanager
def run_beside(*works: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run functions in threads beside the block, and wait for them at its end. What one of them raises is raised then.

    Args:
        works: each gets an event that is set when the block is over, and returns soon after.
    """
    over = threading.Event()
    with ThreadPoolExecutor(len(works)) as threads:
        running = [threads.submit(work, over) for work in works]
        try:
            yield
        finally:
            over.set()
        for work in running:
            work.result()


@contextmanager
def show_progress(describe: Callable[[], str]) -> Iterator[None]:
    """Print a line to stderr every ten seconds of the block, with the seconds since its start.

    Args:
        describe: returns how far the experiment is.
    """
    started = time.monotonic()

    def show(over: threading.Event) -> None:
        while not over.wait(INTERVAL_SECONDS):
            print(f"{time.monotonic() - started:.0f} s: {describe()}", file=sys.stderr, flush=True)

    with run_beside(show):
        yield
