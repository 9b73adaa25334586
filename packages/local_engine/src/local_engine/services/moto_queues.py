"""SQS messages in moto: received in order, without a thread per waiting request, and sent without counting others.

Moto gives the messages of a FIFO queue out of order if a batch with several messages of one group becomes visible
again, and it loses a message that is sent while another one is deleted. A long poll occupies a thread, of which there
are few. So moto's requests are served one at a time here, receive what there is, and wait outside. To send a message,
moto counts those that are there three times, so that sending thousands takes minutes; here it does not.

Sources: "FIFO queue delivery logic", "Using dead-letter queues in Amazon SQS" (SQS Developer Guide).
"""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.core.utils import unix_time_millis
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, SQSBackend, _filter_message_attributes, sqs_backends
from moto.sqs.responses import SQSResponse

from local_engine.account import ACCOUNT_ID, REGION

_LONGEST_WAIT = 20
_MILLISECONDS = 1000
_SOURCE = "DeadLetterQueueSourceArn"


def install_queue_order() -> None:
    """Replace the methods of messages. The process must serve one request to SQS at a time."""
    SQSBackend.send_message = send_message  # type: ignore[assignment,method-assign]
    SQSBackend.receive_message = receive_messages  # type: ignore[assignment,method-assign]
    SQSResponse.receive_message = _receive_with_sources  # type: ignore[assignment,method-assign]
    Queue.delete_message = delete_message  # type: ignore[assignment,method-assign]
    Queue.messages = property(_list_visible)  # type: ignore[assignment,method-assign]
    for name, count in (
        ("approximate_number_of_messages", _count_visible),
        ("approximate_number_of_messages_delayed", _count_delayed),
        ("approximate_number_of_messages_not_visible", _count_invisible),
    ):
        setattr(Queue, name, property(_skip_while_sending(count)))


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
    if next(_receivable(queue), None) is not None:
        return 0
    now = unix_time_millis()
    times = (time for entry in list(queue._messages) for time in (entry.visible_at, entry.delayed_until))  # noqa: SLF001
    earliest = min((time for time in times if time >= now), default=now + _LONGEST_WAIT * _MILLISECONDS)
    return (earliest - now + 1) / _MILLISECONDS


_send = SQSBackend.send_message
_sending = threading.local()


def send_message(backend: SQSBackend, *arguments: Any, **options: Any) -> Message:
    """Replace the backend's own method, which reads all attributes of the queue, numbers of messages among them."""
    _sending.is_active = True
    try:
        return _send(backend, *arguments, **options)
    finally:
        _sending.is_active = False


def _skip_while_sending(count: Callable[[Queue], int]) -> Callable[[Queue], int]:
    return lambda queue: 0 if getattr(_sending, "is_active", False) else count(queue)


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
    received: list[Message] = []
    for message in _receivable(queue):
        if _is_exhausted(queue, message):
            queue._messages.remove(message)  # noqa: SLF001
            message.system_attributes[_SOURCE] = queue.queue_arn
            queue.dead_letter_queue._messages.append(message)  # type: ignore[union-attr]  # noqa: SLF001
        elif message.sent_timestamp + retention <= unix_time_millis():
            queue._messages.remove(message)  # noqa: SLF001
        else:
            message.mark_received(visibility_timeout=visibility_timeout)
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
    queue.pending_messages.discard(message)
    queue.deleted_messages.update(filter(None, message.all_receipt_handles))


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


def _list_visible(queue: Queue) -> list[Message]:
    now = unix_time_millis()
    return [message for message in queue._messages if not _is_away(message, now)]  # noqa: SLF001


def _count_visible(queue: Queue) -> int:
    return len(_list_visible(queue))


def _count_delayed(queue: Queue) -> int:
    now = unix_time_millis()
    return sum(now < message.delayed_until for message in queue._messages)  # noqa: SLF001


def _count_invisible(queue: Queue) -> int:
    now = unix_time_millis()
    return sum(now <= message.visible_at for message in queue._messages)  # noqa: SLF001


def _receivable(queue: Queue) -> Iterator[Message]:
    """Yield the messages that a consumer may get, in order."""
    now = unix_time_millis()
    messages = list(queue._messages)  # noqa: SLF001
    # A message that is being processed, or delayed, holds up its whole group.
    blocked = {message.group_id for message in messages if message.group_id and _is_away(message, now)}
    for message in messages:
        if not _is_away(message, now) and not (queue.fifo_queue and message.group_id in blocked):
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
