"""Traffic of all kinds of requests."""

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.api_client import KINDS, ApiClient

CLIENTS = 12
PAUSE_SECONDS = 0.1


@contextmanager
def send_requests(url: str, clients: int = CLIENTS) -> Iterator[None]:
    """Send requests from several clients during the block, whatever the answers are."""
    stop = threading.Event()

    def send(number: int) -> None:
        user = ApiClient(url, f"user-{number}")
        for kind in itertools.islice(itertools.cycle(KINDS), number, None):
            if stop.wait(PAUSE_SECONDS):
                return
            try:
                kind(user)
            except (OSError, http.client.HTTPException):
                # The connection is unusable now.
                user = ApiClient(url, f"user-{number}")

    threads = [threading.Thread(target=send, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
        # Staggered, so that each minute gets measurements.
        time.sleep(PAUSE_SECONDS)
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
