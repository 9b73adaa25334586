"""Waiting for a change in the AWS services."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

from local_engine.services.containers import Receive


class ChangeSignal:
    """Wakes all requests that wait."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Wake them. Call it in the event loop."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float, gone: "asyncio.Task[MutableMapping[str, Any]]") -> None:
        """Wait for a change, for some seconds, or until a client is gone."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait((changed, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()


@contextlib.asynccontextmanager
async def watch_client(receive: Receive) -> "AsyncIterator[asyncio.Task[MutableMapping[str, Any]]]":
    """Yield a task that is done when the client of a request is gone. The request's body must have been read."""
    gone = asyncio.create_task(_receive(receive))
    try:
        yield gone
    finally:
        gone.cancel()


async def _receive(receive: Receive) -> MutableMapping[str, Any]:
    return await receive()
