"""Outcomes of events and messages: what queues, streams, rules, schedules, topics and buckets made functions do."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

DELIVERY_SECONDS = 60.0
_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Delivery:
    """A run of a function on an event, or on a batch of records, that has ended."""

    source: str
    """What sent it, as the output names it: `Jobs` for a queue or table, `rule Nightly`, `topic News`, `Invoke`."""
    function: str
    """Logical ID."""
    records: int
    """Events or messages in the batch."""
    outcome: str
    """`ok`, or what went wrong, such as `2 of 10 failed` or `failed, to be retried`."""
    is_error: bool
    request_id: str
    """The request ID in the function's context."""
    milliseconds: float


class Deliveries:
    """The deliveries of a running engine since this object was made."""

    def __init__(self, read: Callable[[int | None], dict[str, Any]]) -> None:
        """Begin at the current delivery.

        Args:
            read: returns the number of the last delivery, and the deliveries after a number.
        """
        self._read = read
        self._first: int = read(None)["last"]

    def __iter__(self) -> Iterator[Delivery]:
        """Yield what has been delivered, the oldest first. The engine keeps the last 1,000 deliveries."""
        return (Delivery(**entry) for entry in self._read(self._first)["deliveries"])

    def wait(
        self,
        source: str | None = None,
        *,
        function: str | None = None,
        outcome: str | None = None,
        seconds: float = DELIVERY_SECONDS,
    ) -> Delivery:
        """Return the first delivery that matches, and wait for it.

        Args:
            source: what sent it.
            function: logical ID of the function that it went to.
            outcome: how it ended, such as `ok`. None for any outcome.
            seconds: how long to wait.

        Raises:
            AssertionError: there is none in time. The message lists what was delivered instead.
        """
        __tracebackhide__ = True
        asked = {"source": source, "function": function, "outcome": outcome}
        asked = {name: value for name, value in asked.items() if value is not None}
        deadline = time.monotonic() + seconds
        while True:
            seen = list(self)
            for delivery in seen:
                if all(getattr(delivery, name) == value for name, value in asked.items()):
                    return delivery
            if time.monotonic() > deadline:
                wanted = ", ".join(f"{name} {value}" for name, value in asked.items()) or "anything"
                lines = "".join(f"\n{entry.source} → {entry.function}: {entry.outcome}" for entry in seen)
                raise AssertionError(f"No delivery of {wanted} within {seconds:g} s. Delivered:{lines or ' nothing'}")
            time.sleep(_PAUSE)
