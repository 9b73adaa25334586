"""Serves the HTTP APIs of a stack and follows edits of its template."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from local.console import Console
from local.functions import FunctionPool, FunctionSettings
from local.gateway import Gateway, Receive, Scope, Send
from local.template import HttpApi, Stack, TemplateError, load_template

LOCAL_PREFIX = "/_local/"

AsgiApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


class Engine:
    """An ASGI application: on each port one API, and beside it what is local only."""

    def __init__(
        self,
        stack: Stack,
        ports: tuple[int, ...],
        settings: FunctionSettings,
        console: Console,
        create_local_application: Callable[[HttpApi, int], AsgiApplication],
        create_resources: Callable[[Stack], None],
    ) -> None:
        """
        Parameters:
            ports: one for each API, in their order in the template.
            create_local_application: makes what answers below `/_local/` on a port.
            create_resources: makes the AWS resources of a stack that the template gets later.

        Raises:
            TemplateError: an API has something that the engine does not serve.
        """
        self._ports = ports
        self._settings = settings
        self._console = console
        self._create_local_application = create_local_application
        self._create_resources = create_resources
        self._reloading = asyncio.Lock()
        self._pools: dict[str, FunctionPool] = {}
        self.gateways: dict[int, Gateway] = {}
        self._local: dict[int, AsgiApplication] = {}
        self._serve(stack)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _file_times(self._stack) != self._times:
            await self._reload()
        port = scope["server"][1]
        is_local = scope["path"].startswith(LOCAL_PREFIX)
        await (self._local[port] if is_local else self.gateways[port])(scope, receive, send)

    async def close(self) -> None:
        """Ends every function's processes."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    async def _reload(self) -> None:
        async with self._reloading:
            times = _file_times(self._stack)
            if times == self._times:
                return
            self._times = times
            old = self._stack
            try:
                stack = await asyncio.to_thread(load_template, old.path, old.given)
                if len(stack.apis) != len(old.apis):
                    raise TemplateError("The template has another number of HTTP APIs now: start the engine again.")
                added = {name: entry for name, entry in stack.resources.items() if name not in old.resources}
                await asyncio.to_thread(self._create_resources, replace(stack, resources=added))
                retired = self._serve(stack)
            except TemplateError as error:
                self._console.show(f"{error}\nThe API stays as it was.")
                return
            self._console.show(f"{stack.path.name} has changed and is served as it is now.")
            await asyncio.gather(*(pool.retire() for pool in retired))


    def _serve(self, stack: Stack) -> list[FunctionPool]:
        """Puts a stack into service and returns the pools that are no longer needed."""
        kept = {name: pool for name, pool in self._pools.items() if stack.functions.get(name) == pool.function}
        pools = {
            name: kept.get(name) or FunctionPool(function, self._settings) for name, function in stack.functions.items()
        }
        by_name = {pool.function.name: pool for pool in pools.values()}
        gateways = {
            port: Gateway(api, by_name, self._console) for port, api in zip(self._ports, stack.apis, strict=True)
        }
        self._local = {
            port: self._create_local_application(api, port) for port, api in zip(self._ports, stack.apis, strict=True)
        }
        retired = [pool for name, pool in self._pools.items() if name not in kept]
        self._pools, self.gateways, self._stack = pools, gateways, stack
        self._times = _file_times(stack)
        return retired


def _file_times(stack: Stack) -> list[int]:
    return [_modified_at(path) for path in stack.sources]


def _modified_at(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
