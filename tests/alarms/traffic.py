"""Requests of all kinds, sent for as long as a block lasts."""

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.api_client import KINDS, ApiClient

CLIENTS = 12
PAUSE_SECONDS = 0.02


@contextmanager
def send_requests(url: str, clients: int = CLIENTS) -> Iterator[None]:
    """Have so many clients send one request after the other, whatever comes of them."""
    stop = threading.Event()

    def send(number: int) -> None:
        user = ApiClient(url, f"user-{number}")
        for kind in itertools.islice(itertools.cycle(KINDS), number, None):
            if stop.wait(PAUSE_SECONDS):
                return
            try:
                kind(user)
            except (OSError, http.client.HTTPException):
                # The connection that is left is no use for the next request.
                user = ApiClient(url, f"user-{number}")

    threads = [threading.Thread(target=send, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
        # Not all at once: what they measure is to arrive in each minute.
        time.sleep(PAUSE_SECONDS)
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
