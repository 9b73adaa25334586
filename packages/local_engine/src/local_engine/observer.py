"""What the engine reports while it serves a stack. The console and CloudWatch observe it; the core knows neither."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, override

from local_engine.template.stack import Api, Function, Stack

type Start = Literal["cold", "warm", ""]
"""How the process of a function started; empty if no function gave a result."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A request to an API, or to Lambda's Invoke API, that got its response."""

    api: Api | None
    """None for the Invoke API."""
    id: str
    method: str
    path: str
    """As the client sent it, percent-encoded."""
    route: tuple[str, str] | None
    """Method and path as the API declares them. None if no route matches."""
    function: str
    """Logical ID; empty if the request reached no function."""
    start: Start
    status: int
    latency: float
    """Milliseconds."""
    integration_latency: float | None
    """Milliseconds that the gateway waited for the function. None if it did not call one."""
    received: int
    """Bytes of the request's body."""
    sent: int
    """Bytes of the response's body."""
    describe_context: Callable[[], Mapping[str, str]]
    """Returns the `$context` variables of an access log that have a value, without `$context.` in their names."""


class Observer:
    """Base class of observers. Each event does nothing by default; a call must return quickly."""

    def stack_served(self, stack: Stack) -> None:
        """Handle a stack that is put into service, at the start or after an edit of its template."""

    def request_answered(self, request: AnsweredRequest) -> None:
        """Handle a request that got its response."""

    def invocation_started(self, function: Function, qualifier: str | None, running: int) -> None:
        """Handle the start of an invocation.

        Args:
            function: the function.
            qualifier: the version or alias in the call, if any.
            running: invocations of the function at the moment, including this one.
        """

    def invocation_ended(self, function: Function, qualifier: str | None, milliseconds: float, is_error: bool) -> None:
        """Handle the end of an invocation.

        Args:
            function: the function.
            qualifier: the version or alias in the call, if any.
            milliseconds: its duration, without the start of the process.
            is_error: whether the function failed.
        """

    def invocation_throttled(self, function: Function, qualifier: str | None) -> None:
        """Handle an invocation that is rejected because all of the function's reserved concurrency is in use."""

    def line_written(self, function: Function, line: str) -> None:
        """Handle a line that a function wrote to its standard output or error."""

    def fault_found(self, function: str, text: str) -> None:
        """Handle a fault that the developer should see.

        Args:
            function: the function's logical ID or name.
            text: a sentence, with a traceback on the lines after it if there is one.
        """

    def notice_given(self, text: str) -> None:
        """Handle a message to the developer, such as that an edit took effect."""


class Observers(Observer):
    """Passes each event on to several observers, in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    @override
    def stack_served(self, stack: Stack) -> None:
        for observer in self._observers:
            observer.stack_served(stack)

    @override
    def request_answered(self, request: AnsweredRequest) -> None:
        for observer in self._observers:
            observer.request_answered(request)

    @override
    def invocation_started(self, function: Function, qualifier: str | None, running: int) -> None:
        for observer in self._observers:
            observer.invocation_started(function, qualifier, running)

    @override
    def invocation_ended(self, function: Function, qualifier: str | None, milliseconds: float, is_error: bool) -> None:
        for observer in self._observers:
            observer.invocation_ended(function, qualifier, milliseconds, is_error)

    @override
    def invocation_throttled(self, function: Function, qualifier: str | None) -> None:
        for observer in self._observers:
            observer.invocation_throttled(function, qualifier)

    @override
    def line_written(self, function: Function, line: str) -> None:
        for observer in self._observers:
            observer.line_written(function, line)

    @override
    def fault_found(self, function: str, text: str) -> None:
        for observer in self._observers:
            observer.fault_found(function, text)

    @override
    def notice_given(self, text: str) -> None:
        for observer in self._observers:
            observer.notice_given(text)
