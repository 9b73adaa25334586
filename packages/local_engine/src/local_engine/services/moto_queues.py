"""Receiving of SQS messages in moto: in order, fairly, and without a thread per waiting request.

Moto gives the messages of a FIFO queue out of order if a batch with several messages of one group becomes visible
again, and it loses a message that is sent while another one is deleted. A long poll occupies a thread, of which there
are few. So moto's requests are served one at a time here, receive what there is, and wait outside.

Sources: "FIFO queue delivery logic", "Using dead-letter queues in Amazon SQS" (SQS Developer Guide).
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast, override

from moto.core.responses import ActionResult
from moto.core.utils import unix_time_millis
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, SQSBackend, _filter_message_attributes, sqs_backends
from moto.sqs.responses import SQSResponse

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.services.fair_shares import FairShares

_LONGEST_WAIT = 20
_MILLISECONDS = 1000
_SOURCE = "DeadLetterQueueSourceArn"


def install_queue_order() -> None:
    """Replace the methods that receive messages. The process must serve one request to SQS at a time."""
    SQSBackend.receive_message = receive_messages  # type: ignore[assignment,method-assign]
    SQSResponse.receive_message = _receive_with_sources  # type: ignore[assignment,method-assign]
    Queue.delete_message = delete_message  # type: ignore[assignment,method-assign]
    for name, value in (
        ("attributes", _Attributes),
        ("messages", _list_visible),
        ("approximate_number_of_messages_delayed", _count_delayed),
        ("approximate_number_of_messages_not_visible", _count_invisible),
    ):
        setattr(Queue, name, property(value))


def read_wait(body: bytes) -> tuple[float, bytes]:
    """Return the seconds that a ReceiveMessage request waits, and its body without them.

    A malformed request does not wait, because SQS rejects it.
    """
    try:
        request = json.loads(body)
        queue = _find_queue(request)
        wait = request.get("WaitTimeSeconds")
        seconds = int(queue.receive_message_wait_time_seconds if wait is None else wait)  # type: ignore[attr-defined]
    except (ValueError, TypeError, AttributeError, KeyError):
        return 0, body
    if not 0 < seconds <= _LONGEST_WAIT:
        return 0, body
    return seconds, json.dumps({**request, "WaitTimeSeconds": 0}).encode()


def seconds_until_receivable(body: bytes) -> float:
    """Return when a ReceiveMessage request can get a message at the earliest, if none is sent before."""
    try:
        queue = _find_queue(json.loads(body))
    except KeyError:
        # Deleted meanwhile: the next attempt is rejected.
        return 0
    if next(_receivable(queue, queue._messages), None) is not None:  # noqa: SLF001
        return 0
    now = unix_time_millis()
    times = (time for entry in list(queue._messages) for time in (entry.visible_at, entry.delayed_until))  # noqa: SLF001
    earliest = min((time for time in times if time >= now), default=now + _LONGEST_WAIT * _MILLISECONDS)
    return (earliest - now + 1) / _MILLISECONDS


def receive_messages(  # noqa: PLR0917 - moto's own parameters
    backend: SQSBackend,
    queue_name: str,
    count: int,
    wait_seconds_timeout: int,  # noqa: ARG001 - the server waits
    visibility_timeout: int,
    message_attribute_names: list[str] | None = None,
) -> list[Message]:
    """Replace the backend's own method."""
    queue = backend.get_queue(queue_name)
    retention = queue.message_retention_period * _MILLISECONDS  # type: ignore[attr-defined]
    now, shares = unix_time_millis(), _find_shares(queue)
    received: list[Message] = []
    messages = queue._messages  # noqa: SLF001
    for message in _receivable(queue, messages if queue.fifo_queue else shares.sort(messages, now)):
        if _is_exhausted(queue, message):
            messages.remove(message)
            message.system_attributes[_SOURCE] = queue.queue_arn
            queue.dead_letter_queue._messages.append(message)  # type: ignore[union-attr]  # noqa: SLF001
        elif message.sent_timestamp + retention <= unix_time_millis():
            messages.remove(message)
        else:
            message.mark_received(visibility_timeout=visibility_timeout)
            shares.begin(message, now)
            shown = copy.deepcopy(message)
            _filter_message_attributes(shown, message_attribute_names or [])
            received.append(shown)
            if len(received) == count:
                break
    return received


def delete_message(queue: Queue, receipt_handle: str) -> None:
    """Replace the queue's own method."""
    if receipt_handle in queue.deleted_messages:
        return
    messages = queue._messages  # noqa: SLF001
    found = (place for place, message in enumerate(messages) if message.had_receipt_handle(receipt_handle))
    place = next(found, None)
    if place is None:
        raise ReceiptHandleIsInvalid
    message = messages.pop(place)
    _find_shares(queue).end(message, unix_time_millis())
    queue.pending_messages.discard(message)
    queue.deleted_messages.update(filter(None, message.all_receipt_handles))


class _Attributes(Mapping[str, Any]):
    """A queue's attributes, which count its messages: only if one is read that the queue has.

    Moto looks for a FIFO queue's attribute for each message that is sent.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    @cached_property
    def _all(self) -> dict[str, Any]:
        return _describe_queue(self._queue)  # type: ignore[no-any-return]

    @override
    def __getitem__(self, name: str) -> Any:
        if name in Queue.FIFO_ATTRIBUTES and not self._queue.fifo_queue:
            raise KeyError(name)
        return self._all[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    @override
    def __len__(self) -> int:
        return len(self._all)


_describe_queue = Queue.attributes.fget  # type: ignore[attr-defined]
_receive = SQSResponse.receive_message


def _receive_with_sources(response: SQSResponse) -> ActionResult:
    """Add `DeadLetterQueueSourceArn` to the messages that have it, which moto does not know ("ReceiveMessage")."""
    wanted = {*response._get_param("MessageSystemAttributeNames", []), *response._get_param("AttributeNames", [])}  # noqa: SLF001
    answer = _receive(response)
    messages = cast("dict[str, Any]", answer.result).get("Messages")
    if messages and wanted & {_SOURCE, "All"}:
        queue = response.sqs_backend.get_queue(response._get_queue_name())  # noqa: SLF001
        sources = {message.id: message.system_attributes.get(_SOURCE) for message in queue._messages}  # noqa: SLF001
        for message in messages:
            if source := sources.get(message["MessageId"]):
                message.setdefault("Attributes", {})[_SOURCE] = source
    return answer


def _find_shares(queue: Queue) -> FairShares:
    shares: FairShares = vars(queue).setdefault("fair_shares", FairShares())
    return shares


def _list_visible(queue: Queue) -> list[Message]:
    now = unix_time_millis()
    return [message for message in queue._messages if not _is_away(message, now)]  # noqa: SLF001


def _count_delayed(queue: Queue) -> int:
    now = unix_time_millis()
    return sum(now < message.delayed_until for message in queue._messages)  # noqa: SLF001


def _count_invisible(queue: Queue) -> int:
    now = unix_time_millis()
    return sum(now <= message.visible_at for message in queue._messages)  # noqa: SLF001


def _receivable(queue: Queue, messages: Sequence[Message]) -> Iterator[Message]:
    """Yield those of a queue's messages that a consumer may get, in the given order."""
    now = unix_time_millis()
    messages = list(messages)
    # A message that is being processed, or delayed, holds up its whole group.
    blocked = {message.group_id for message in messages if _is_away(message, now)} if queue.fifo_queue else set()
    for message in messages:
        if not _is_away(message, now) and message.group_id not in blocked:
            yield message


def _is_away(message: Message, now: float) -> bool:
    return now <= message.visible_at or now < message.delayed_until


def _is_exhausted(queue: Queue, message: Message) -> bool:
    policy: dict[str, int] | None = queue.redrive_policy
    has_target = policy is not None and queue.dead_letter_queue is not None
    return has_target and message.approximate_receive_count >= policy["maxReceiveCount"]  # type: ignore[index]


def _find_queue(request: dict[str, Any]) -> Queue:
    name = str(request["QueueUrl"]).rstrip("/").rpartition("/")[2]
    return sqs_backends[ACCOUNT_ID][REGION].queues[name]
