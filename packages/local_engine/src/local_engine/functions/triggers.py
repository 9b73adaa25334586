"""What starts functions besides requests: event source mappings, rules, schedules and notifications."""

from collections.abc import Mapping
from typing import Protocol

from local_engine.functions.pool import FunctionPool
from local_engine.template.stack import Stack


class Trigger(Protocol):
    """Starts functions of a stack on events of one kind. Reports each run with `Observer.trigger_ran`."""

    async def serve(self, stack: Stack, functions: Mapping[str, FunctionPool]) -> None:
        """Start, or follow an edit of the template without losing events.

        The engine calls this when the stack's resources exist. Events that come after the call has returned are seen.

        Args:
            stack: the stack to serve instead of the one before.
            functions: the functions' processes by name. Look a function up for each run, because an edit of the
                template replaces its processes.
        """

    async def close(self) -> None:
        """End at once. Events that wait are dropped."""
