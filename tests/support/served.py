"""Serves an ASGI application on a free port of loopback, for tests of parts of the local engine."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def serve(create: Callable[[str], Any]) -> Iterator[str]:
    """Serve what `create` makes of the server's URL, which is what the block gets."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    # A connection that comes before the server is up waits in the socket's queue.
    server = uvicorn.Server(uvicorn.Config(create(url), lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
