"""Every event of the stack's bus, in a queue of the tests' own."""

import json
from typing import Any

from local_engine.template import ACCOUNT_ID, REGION
from local_engine.testing import poll

_NAME = "every-event"


class Bus:
    """The events since the rule was made."""

    def __init__(self, sqs: Any, events: Any, bus: str) -> None:
        """Make a queue, and a rule of a bus that sends everything there."""
        self._sqs = sqs
        self._queue = sqs.create_queue(QueueName=_NAME)["QueueUrl"]
        self._events: list[dict[str, Any]] = []
        rule = {"Rule": _NAME, "EventBusName": bus}
        events.put_rule(Name=_NAME, EventBusName=bus, EventPattern='{"source": [{"prefix": ""}]}')
        events.put_targets(**rule, Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{_NAME}"}])

    def receive(self) -> list[dict[str, Any]]:
        """Return every event so far, after waiting a second for a batch. Another test's events may go on arriving."""
        options = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
        if messages := self._sqs.receive_message(QueueUrl=self._queue, **options).get("Messages"):
            self._events += [json.loads(message["Body"]) for message in messages]
            entries = [{"Id": str(n), "ReceiptHandle": entry["ReceiptHandle"]} for n, entry in enumerate(messages)]
            self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=entries)
        return self._events

    def wait_for(self, count: int, **detail: str) -> list[dict[str, Any]]:
        """Return the events whose detail has these members, by sequence, once there are so many different ones."""
        found: dict[str, dict[str, Any]] = {}

        def is_complete() -> bool:
            matching = [event for event in self.receive() if detail.items() <= event["detail"].items()]
            found.update((event["detail"].get("sequence", "0"), event) for event in matching)
            return len(found) >= count

        poll(is_complete, f"no {count} events with {detail}", 240)
        return [found[number] for number in sorted(found, key=int)]
