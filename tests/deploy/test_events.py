"""In the emulator, which enforces IAM: a change is in the trail, and its event reaches the example consumer."""

import json
from typing import Any

from local_engine.testing import poll
from tests.deploy.deployment import Deployment, load_event

_QUEUE = "every-event"


def test_a_change_is_one_entry_of_the_trail_and_one_event_for_every_rule(deployment: Deployment) -> None:
    sqs, events = deployment.emulator.client("sqs"), deployment.emulator.client("events")
    bus = deployment.find("Records/EventBus")
    queue = sqs.create_queue(QueueName=_QUEUE)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=_QUEUE, EventBusName=bus, EventPattern='{"source": ["records"]}')
    events.put_targets(Rule=_QUEUE, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    event = load_event("CreateResource", "events")
    del event["headers"]["idempotency-key"]
    created = json.loads(deployment.invoke("CreateResource", event)["body"])
    received: list[Any] = []

    def is_received() -> bool:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        received.extend(json.loads(message["Body"]) for message in answer.get("Messages", ()))
        return any(entry["detail"]["owner"] == "events" for entry in received)

    poll(is_received, "no event came", seconds=90)
    (own,) = [entry for entry in received if entry["detail"]["owner"] == "events"]
    assert (own["detail-type"], own["detail"]["id"]) == ("ResourceCreated", created["id"])
    assert own["detail"]["correlationId"] == event["requestContext"]["requestId"]

    def list_entries() -> list[Any]:
        answer = deployment.invoke("ListAuditEntries", load_event("ListAuditEntries", "events"))
        return json.loads(answer["body"])["entries"]

    poll(list_entries, "the trail has no entry", seconds=90)
    assert [(entry["action"], entry["id"]) for entry in list_entries()] == [("created", created["id"])]
    consumer = deployment.find("Records/EventQueue")

    def is_consumed() -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = sqs.get_queue_attributes(QueueUrl=consumer, AttributeNames=names)["Attributes"]
        return not sum(map(int, counts.values()))

    poll(is_consumed, "the example consumer left a message", seconds=90)
    dead = deployment.find("Records/DeadMessages")
    assert "Messages" not in sqs.receive_message(QueueUrl=dead)
