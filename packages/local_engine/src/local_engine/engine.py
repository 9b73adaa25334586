"""Serves the HTTP APIs of a stack and follows edits of its template."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from local_engine.cloudwatch.monitoring import Monitoring
from local_engine.cloudwatch.publishers import ApiMetrics
from local_engine.console import Console
from local_engine.functions.invocations import Invocations
from local_engine.functions.pool import FunctionPool, FunctionSettings
from local_engine.gateway.http_api import Gateway, Receive, Scope, Send
from local_engine.services.aws_services import ServicesError
from local_engine.template.stack import HttpApi, Stack, TemplateError, load_template

LOCAL_PREFIX = "/_local/"

AsgiApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


class Engine:
    """An ASGI application: on each port one API, and beside it what is local only."""

    def __init__(
        self,
        stack: Stack,
        settings: FunctionSettings,
        console: Console,
        monitoring: Monitoring,
        *,
        ports: Sequence[int],
        create_local_application: Callable[[HttpApi, int], AsgiApplication],
        create_resources: Callable[[Stack], None],
        invocations: Invocations,
    ) -> None:
        """Put a stack into service.

        Args:
            stack: what to serve.
            settings: what its functions share.
            console: where requests and faults are shown.
            monitoring: where the stack's metrics go and its alarms are looked at.
            ports: one for each API, in their order in the template.
            create_local_application: makes what answers below `/_local/` on an API's port.
            create_resources: makes the AWS resources that the template gets later.
            invocations: is told of the functions.

        Raises:
            TemplateError: an API has something that the engine does not serve.
        """
        self._settings = settings
        self._console = console
        self._monitoring = monitoring
        self._ports = ports
        self._create_local_application = create_local_application
        self._create_resources = create_resources
        self._invocations = invocations
        self._reloading = asyncio.Lock()
        self._pools: dict[str, FunctionPool] = {}
        self._edit_times: list[int] = []
        self._serve(stack)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, by the template as it is now."""
        if _edit_times(self._stack) != self._edit_times:
            await self._reload()
        applications = self._local if scope["path"].startswith(LOCAL_PREFIX) else self.gateways
        await applications[scope["server"][1]](scope, receive, send)

    async def close(self) -> None:
        """End every function's processes, and what waits for them."""
        await self._invocations.close()
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    async def _reload(self) -> None:
        async with self._reloading:
            old = self._stack
            times = _edit_times(old)
            if times == self._edit_times:
                return
            # Remembered first, so that a faulty template is complained about once.
            self._edit_times = times
            try:
                stack = await asyncio.to_thread(load_template, old.path, old.given)
                if len(stack.apis) != len(old.apis):
                    raise TemplateError("The template has another number of HTTP APIs now: start the engine again.")
                added = {name: entry for name, entry in stack.resources.items() if name not in old.resources}
                await asyncio.to_thread(self._create_resources, replace(stack, resources=added))
                retired = self._serve(stack)
            except (TemplateError, ServicesError) as error:
                self._console.show(f"{error}\nThe API stays as it was.")
                return
            self._console.show(f"{stack.path.name} has changed and is served as it is now.")
        await asyncio.gather(*(pool.retire() for pool in retired))

    def _serve(self, stack: Stack) -> list[FunctionPool]:
        """Put a stack into service and return the pools that it does not need."""
        kept = {name: pool for name, pool in self._pools.items() if stack.functions.get(name) == pool.function}
        pools = {
            name: kept.get(name) or FunctionPool(function, self._settings) for name, function in stack.functions.items()
        }
        by_name = {pool.function.name: pool for pool in pools.values()}
        apis = dict(zip(self._ports, stack.apis, strict=True))
        gateways = {
            port: Gateway(api, by_name, self._console, ApiMetrics(api, self._monitoring.store))
            for port, api in apis.items()
        }
        self._local = {port: self._create_local_application(api, port) for port, api in apis.items()}
        self._invocations.serve(stack, by_name)
        retired = [pool for name, pool in self._pools.items() if name not in kept]
        self._pools, self.gateways, self._stack = pools, gateways, stack
        self._edit_times = _edit_times(stack)
        self._monitoring.watch(stack)
        reserved = {of.name: of.reserved_concurrency for of in stack.functions.values()}
        self._settings.metrics.reserve({name: number for name, number in reserved.items() if number is not None})
        return retired


def _edit_times(stack: Stack) -> list[int]:
    return [_edit_time(path) for path in stack.sources]


def _edit_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
