"""In the emulator, which enforces IAM: a change becomes an event, and the example consumer gets it."""

import json
from typing import Any

from local_engine.testing import poll
from tests.deploy.deployment import Deployment
from tests.support.stack import ROOT

_QUEUE = "every-event"


def test_a_change_is_one_event_for_every_rule(deployment: Deployment) -> None:
    sqs, events = deployment.emulator.client("sqs"), deployment.emulator.client("events")
    bus = deployment.find("Records/EventBus")
    queue = sqs.create_queue(QueueName=_QUEUE)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=_QUEUE, EventBusName=bus, EventPattern='{"source": ["records"]}')
    events.put_targets(Rule=_QUEUE, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    event = json.loads((ROOT / "events/create_resource.json").read_text())
    event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = "events"
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
    consumer = deployment.find("Records/EventQueue")

    def is_consumed() -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = sqs.get_queue_attributes(QueueUrl=consumer, AttributeNames=names)["Attributes"]
        return not sum(map(int, counts.values()))

    poll(is_consumed, "the example consumer left a message", seconds=90)
    dead = deployment.find("Records/DeadMessages")
    assert "Messages" not in sqs.receive_message(QueueUrl=dead)
