"""The time of imports at the start of a process."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""Exit status after Ctrl-C."""


@contextmanager
def import_quickly() -> Iterator[None]:
    """Import modules without garbage collections. Ctrl-C ends the process at once, as there is nothing to stop.

    Collections would take a tenth of the start, and what is imported stays until the end. An exception for Ctrl-C
    could come up anywhere in a module.
    """
    previous = signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        signal.signal(signal.SIGINT, previous)
