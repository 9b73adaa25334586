"""Ports, processes and servers of the machine that the tests run on."""

import contextlib
import os
import re
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

_FIRST_PORT = 20_000
_WORKERS = 10
_PORTS_OF_A_WORKER = 1_000


@contextmanager
def serve(create: Callable[[str], Any]) -> Iterator[str]:
    """Serve an ASGI application on a free port of loopback for the block, which gets its URL.

    Args:
        create: returns the application, given its URL.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    # A connection that arrives before the server is up waits in the socket's queue.
    server = uvicorn.Server(uvicorn.Config(create(url), lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def free_port(count: int = 1) -> int:
    """Return a free port below the range that systems take for outgoing connections.

    Workers of pytest-xdist take theirs from their own ranges.

    Args:
        count: how many ports must be free, from this one on.
    """
    worker = re.search(r"\d+$", os.environ.get("PYTEST_XDIST_WORKER", ""))
    first, size = _FIRST_PORT, _WORKERS * _PORTS_OF_A_WORKER
    if worker:
        first, size = _FIRST_PORT + int(worker[0]) % _WORKERS * _PORTS_OF_A_WORKER, _PORTS_OF_A_WORKER - count
    while True:
        port = first + secrets.randbelow(size)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for offset in range(count):
                probes.enter_context(contextlib.closing(socket.socket())).bind(("127.0.0.1", port + offset))
            return port


def poll(is_met: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until a condition is met.

    Raises:
        AssertionError: it is not met in time. The message is `what`.
    """
    started = time.monotonic()
    while not is_met():
        waited = time.monotonic() - started
        if waited > seconds:
            raise AssertionError(what)
        # What takes long is looked at less often, because each look may cost several processes some time.
        time.sleep(min(max(0.02, waited / 10), 0.2))


def processes_below(pid: int) -> Sequence[int]:
    """Return the IDs of a process's descendants."""
    # With BSD's ps, a header after an equals sign goes on to the end of the option.
    listed = _ps("-e", "-o", "pid=", "-o", "ppid=")
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    state = _ps("-o", "stat=", "-p", str(pid)).strip()
    return bool(state) and not state.startswith("Z")


def _ps(*arguments: str) -> str:
    return subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False).stdout  # noqa: S603, S607
