"""Serves a stack's APIs and follows edits of its templates."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from local_engine.functions.pool import FunctionPool
from local_engine.functions.process import FunctionSettings
from local_engine.functions.triggers import Trigger
from local_engine.gateway.invoke_api import InvokeApi
from local_engine.gateway.request_limits import Receive, Scope, Send
from local_engine.gateway.request_target import resolve_target
from local_engine.gateway.routes import Route
from local_engine.observer import Observer
from local_engine.services.services_client import ServicesError
from local_engine.services.stack_resources import find_changes
from local_engine.template.errors import TemplateError
from local_engine.template.function_urls import localize_urls
from local_engine.template.loader import load_template
from local_engine.template.sources import are_edited, read_editions
from local_engine.template.stack import Api, Stack

LOCAL_PREFIX = "/_local/"
_WATCH_SECONDS = 1.0

AsgiApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gateway(Protocol):
    """An ASGI application that serves one API."""

    @property
    def routes(self) -> Sequence[Route]:
        """The API's routes."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        ...


type GatewayFactory = Callable[[Api, Stack, Mapping[str, FunctionPool], Observer], Gateway]
"""Returns the gateway of an API, given its stack, the functions by name, and the observer."""


class Engine:
    """An ASGI application with one API per port, and local routes beside it."""

    def __init__(
        self,
        stack: Stack,
        settings: FunctionSettings,
        *,
        ports: Sequence[int],
        create_gateway: GatewayFactory,
        create_local_application: Callable[[Api | None, int, Stack], AsgiApplication],
        create_resources: Callable[[Stack], None],
        invoke_api: InvokeApi,
        triggers: Sequence[Trigger] = (),
    ) -> None:
        """Put a stack into service.

        Args:
            stack: the stack to serve.
            settings: what its functions share.
            ports: one for each of the stack's APIs, in their order; one if there is no API.
            create_gateway: returns the gateway of an API.
            create_local_application: returns the application below `/_local/` on an API's port, given the API, the
                port and the stack. Without an API, it gets None.
            create_resources: creates the AWS resources that an edit adds to the template.
            invoke_api: invokes the functions.
            triggers: start functions on events, from `start_triggers` on.
        """
        self._settings = settings
        self._observer = settings.observer
        self._ports = ports
        self._create_gateway = create_gateway
        self._create_local_application = create_local_application
        self._create_resources = create_resources
        self._invoke_api = invoke_api
        self._triggers = triggers
        self._following: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()
        self._pools: dict[str, FunctionPool] = {}
        self._sources = stack.sources
        self._building: set[asyncio.Task[None]] = set()
        self._serve(stack)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, by the template as it is now."""
        await self._follow_edits()
        resolve_target(scope)
        port = scope["server"][1]
        is_local = port not in self.gateways or f"{scope['path']}/".startswith(LOCAL_PREFIX)
        # At the end of the engine, asyncio cancels what still waits, as a request to a function under a debugger does.
        with contextlib.suppress(asyncio.CancelledError):
            await (self._local if is_local else self.gateways)[port](scope, receive, send)

    async def start_triggers(self) -> None:
        """Start the triggers. The stack's resources must exist."""
        await self._serve_triggers()
        self._following = asyncio.create_task(self._watch_edits())

    async def close(self) -> None:
        """End all processes of the functions, and drop waiting events."""
        if self._following is not None:
            self._following.cancel()
        await asyncio.gather(*(trigger.close() for trigger in self._triggers))
        await self._invoke_api.close()
        await self._settings.builder.close()
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    def list_refusals(self) -> list[str]:
        """Return a sentence for each part of the template that is not served."""
        refusals = [route.refusal for gateway in self.gateways.values() for route in gateway.routes]
        return list(dict.fromkeys([*self._stack.notices, *filter(None, refusals)]))

    async def _watch_edits(self) -> None:
        # Without requests, nothing else notices an edit.
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            await self._follow_edits()

    async def _follow_edits(self) -> None:
        if are_edited(self._sources):
            await self._reload()

    async def _serve_triggers(self) -> None:
        by_name = {pool.function.name: pool for pool in self._pools.values()}
        for trigger in self._triggers:
            await trigger.serve(self._stack, by_name)

    async def _reload(self) -> None:
        async with self._reloading:
            if not are_edited(self._sources):
                return
            old = self._stack
            read = read_editions(self._sources)
            try:
                stack = await asyncio.to_thread(load_template, old.path, old.given)
                read = {**read, **stack.sources}
                stack = localize_urls(stack, self._ports)
                if len(stack.apis) != len(old.apis):
                    raise TemplateError("The number of APIs has changed. Start the engine again.")
                await asyncio.to_thread(self._create_resources, find_changes(old, stack))
                # An included file may be a part of what functions are built from, as a request model is.
                edited = {path for path, edition in old.sources.items() if stack.sources.get(path) != edition}
                retired = self._serve(stack, keeps_pools=edited <= {old.path})
                read = stack.sources
            except (TemplateError, ServicesError) as error:
                if isinstance(error, TemplateError):
                    # The faulty file may be one that the old stack does not have.
                    read = {**read, **error.sources}
                self._observer.notice_given(f"{error}\nThe API stays as it was.")
                return
            finally:
                # Requests wait until here. After a failure too, so that a faulty template is reported once.
                self._sources = read
            if self._following is not None:
                await self._serve_triggers()
            self._observer.notice_given(f"Reloaded {stack.path.name}.")
            for notice in self.list_refusals():
                self._observer.notice_given(notice)
        await asyncio.gather(*(pool.retire() for pool in retired))

    def _serve(self, stack: Stack, *, keeps_pools: bool = True) -> list[FunctionPool]:
        """Put a stack into service and return the pools that it does not need."""
        kept = {
            name: pool
            for name, pool in self._pools.items()
            if keeps_pools and stack.functions.get(name) == pool.function
        }
        pools = {
            name: kept.get(name) or FunctionPool(function, self._settings) for name, function in stack.functions.items()
        }
        by_name = {pool.function.name: pool for pool in pools.values()}
        apis = dict(zip(self._ports, stack.apis or (None,), strict=True))
        gateways = {
            port: self._create_gateway(api, stack, by_name, self._observer)
            for port, api in apis.items()
            if api is not None
        }
        self._local = {port: self._create_local_application(api, port, stack) for port, api in apis.items()}
        self._invoke_api.serve(stack, by_name)
        retired = [pool for name, pool in self._pools.items() if name not in kept]
        self._pools, self.gateways, self._stack = pools, gateways, stack
        self._observer.stack_served(stack)
        for name, pool in pools.items():
            if name not in kept:
                building = asyncio.create_task(pool.build())
                self._building.add(building)
                building.add_done_callback(self._building.discard)
            if pool.is_debugged and name not in kept:
                pool.start_ahead()
        return retired
