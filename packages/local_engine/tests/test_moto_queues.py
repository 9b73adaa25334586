"""What is replaced of moto's queues, in this process."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto.sqs.models import Queue, SQSBackend
from moto.sqs.responses import SQSResponse

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.services.moto_queues import install_queue_order


class Unread(list[object]):
    """Messages that nobody may go through."""

    def __iter__(self) -> Iterator[object]:
        raise AssertionError("the messages are gone through")


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Any:
    for owner, names in (
        (Queue, [name for name in vars(Queue) if "messages" in name or name in {"attributes", "delete_message"}]),
        (SQSBackend, ["send_message", "receive_message"]),
        (SQSResponse, ["receive_message"]),
    ):
        for name in names:
            # Put back after the test.
            monkeypatch.setattr(owner, name, vars(owner)[name])
    install_queue_order()
    return SQSBackend(REGION, ACCOUNT_ID).create_queue("queue", {})


def test_a_message_is_sent_without_a_look_at_the_others(queue: Any) -> None:
    backend = SQSBackend(REGION, ACCOUNT_ID)
    backend.queues["queue"] = queue
    queue._messages = Unread()
    for _ in range(2):
        backend.send_message("queue", "body")
    queue._messages = [queue._messages[0], queue._messages[1]]
    assert queue.attributes["ApproximateNumberOfMessages"] == 2
    assert len(backend.receive_message("queue", 1, 0, 30)) == 1
    counts = backend.get_queue_attributes("queue", ["All"])
    assert (counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"]) == (1, 1)
