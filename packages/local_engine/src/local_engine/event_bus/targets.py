"""Sends events to the targets of rules and schedules: functions, queues, topics, event buses and log groups.

Delivery to a function is asynchronous, so only a function that does not exist makes it fail. What cannot be delivered
goes to the target's dead-letter queue at once: nothing here fails for a while only, so nothing is retried.

Sources: "Event bus targets" and "Using dead-letter queues to process undelivered events" (Amazon EventBridge User
Guide).
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moto.events.models import events_backends
from moto.logs.models import logs_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.event_bus.clock import Clock
from local_engine.event_bus.outbox import DeadLetters, Outbox

_LONGEST_CHAIN = 10
_chain = threading.local()


class UndeliverableEvent(Exception):
    """A target cannot take an event. The message is a sentence."""


@dataclass(frozen=True)
class Delivery:
    """An event on its way to a target."""

    source: str
    """What sends it, as the user reads it."""
    target: Mapping[str, Any]
    """As PutTargets and CreateSchedule take it."""
    payload: str
    """The target's input, in JSON."""
    event: Mapping[str, Any]
    """The event for a target that is an event bus."""
    dead_letter_body: str
    dead_letter_attributes: Mapping[str, str]

    @property
    def arn(self) -> str:
        """The target's ARN."""
        return str(self.target["Arn"])

    @property
    def dead_letters(self) -> DeadLetters | None:
        """The target's dead-letter queue, if any."""
        arn = (self.target.get("DeadLetterConfig") or {}).get("Arn")
        if not arn:
            return None
        attributes = {**self.dead_letter_attributes, "TARGET_ARN": self.arn}
        return DeadLetters(arn, self.dead_letter_body, attributes)


class Targets:
    """Delivers to targets in moto, and to functions through the outbox."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self.outbox = outbox
        self.clock = clock

    def deliver(self, delivery: Delivery) -> None:
        """Send an event to its target, or to the target's dead-letter queue."""
        if delivery.arn.split(":")[2:3] == ["lambda"]:
            self.outbox.add_event(delivery.arn, delivery.payload, delivery.source, delivery.dead_letters)
            return
        try:
            self._send(delivery)
        except UndeliverableEvent as error:
            self._bury(delivery, "SDK_CLIENT_ERROR", str(error))
        except Exception as error:
            self._bury(delivery, type(error).__name__, str(error))

    def _send(self, delivery: Delivery) -> None:
        service, name = delivery.arn.split(":")[2], delivery.arn.split(":", 5)[5]
        match service:
            case "sqs":
                group = (delivery.target.get("SqsParameters") or {}).get("MessageGroupId")
                send_to_queue(name, delivery.payload, group_id=group)
            case "sns":
                sns_backends[ACCOUNT_ID][REGION].publish(message=delivery.payload, arn=delivery.arn)
            case "events" if name.startswith("event-bus/"):
                self.put_on_bus(name.removeprefix("event-bus/"), delivery.event)
            case "logs":
                self._write_to_log_group(name.removeprefix("log-group:").removesuffix(":*"), delivery.payload)
            case _:
                raise UndeliverableEvent("the local engine has no targets of this kind.")

    def put_on_bus(self, bus: str, event: Mapping[str, Any]) -> None:
        """Send an event to the rules of an event bus.

        Raises:
            UndeliverableEvent: there is no such bus, or the event has passed too many of them.
        """
        found = events_backends[ACCOUNT_ID][REGION].event_buses.get(bus)
        if found is None:
            raise UndeliverableEvent(f"there is no event bus {bus}.")
        with _count_hops():
            rule: Any
            for rule in list(found.rules.values()):
                rule.send_to_targets(dict(event))

    def _write_to_log_group(self, name: str, message: str) -> None:
        backend = logs_backends[ACCOUNT_ID][REGION]
        if name not in backend.groups:
            raise UndeliverableEvent(f"there is no log group {name}.")
        now = self.clock.now()
        stream = f"events-{now:%Y-%m-%d}"
        if stream not in backend.groups[name].streams:
            backend.create_log_stream(name, stream)
        backend.put_log_events(name, stream, [{"timestamp": int(now.timestamp() * 1000), "message": message}])

    def _bury(self, delivery: Delivery, code: str, reason: str) -> None:
        dead_letters = delivery.dead_letters
        if dead_letters is not None:
            attributes = {**dead_letters.attributes, "ERROR_CODE": code, "ERROR_MESSAGE": reason}
            try:
                send_to_queue(dead_letters.queue_arn.rpartition(":")[2], dead_letters.body, attributes=attributes)
            except Exception as error:
                reason = f"{reason} Its dead-letter queue rejects it as well: {error}"
            else:
                return
        self.outbox.add_fault(delivery.source, f"An event cannot be delivered to {delivery.arn}: {reason}")


def send_to_queue(
    name: str, body: str, *, group_id: str | None = None, attributes: Mapping[str, str] | None = None
) -> None:
    """Send a message to a queue of moto's."""
    described = {key: {"DataType": "String", "StringValue": value} for key, value in (attributes or {}).items()}
    sqs_backends[ACCOUNT_ID][REGION].send_message(name, body, message_attributes=described, group_id=group_id)


@contextmanager
def _count_hops() -> Iterator[None]:
    hops = getattr(_chain, "hops", 0)
    if hops >= _LONGEST_CHAIN:
        raise UndeliverableEvent("its buses send events to each other in a circle.")
    _chain.hops = hops + 1
    try:
        yield
    finally:
        _chain.hops = hops
