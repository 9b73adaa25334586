"""SQS queues of a template, and messages to queues."""

import json
from collections.abc import Mapping
from typing import Any

from local_engine.services.services_client import ServicesClient
from local_engine.template.stack import Resource

_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
)


def create_queue(client: ServicesClient, name: str, resource: Resource) -> None:
    """Create a queue, without its dead-letter queue."""
    attributes = {key: _attribute_text(value) for key, value in resource.pick(*_ATTRIBUTES).items()}
    client.call("sqs", "CreateQueue", {"QueueName": name, "Attributes": attributes})


def set_redrive_policy(client: ServicesClient, name: str, resource: Resource) -> None:
    """Set a queue's dead-letter queue, which must exist."""
    if policy := resource.properties.get("RedrivePolicy"):
        attributes = {"RedrivePolicy": json.dumps(policy)}
        url = client.call("sqs", "GetQueueUrl", {"QueueName": name})["QueueUrl"]
        client.call("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": attributes})


def send_message(queue_arn: str, body: str, attributes: Mapping[str, tuple[str, str]], endpoint: str) -> None:
    """Send a message to an SQS queue.

    Args:
        queue_arn: the queue's ARN.
        body: the message.
        attributes: the message's attributes by name: type (`String` or `Number`) and value.
        endpoint: URL of the services.

    Raises:
        ServicesError: the queue does not exist, or the message is rejected.
    """
    with ServicesClient(endpoint) as client:
        queue = client.call("sqs", "GetQueueUrl", {"QueueName": queue_arn.rpartition(":")[2]})
        message_attributes = {
            name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes.items()
        }
        message = {"QueueUrl": queue["QueueUrl"], "MessageBody": body, "MessageAttributes": message_attributes}
        client.call("sqs", "SendMessage", message)


def _attribute_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
