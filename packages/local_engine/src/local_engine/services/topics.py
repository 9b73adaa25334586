"""SNS topics of a template, with their subscriptions."""

import json
from collections.abc import Mapping
from typing import Any

from local_engine.services.services_client import ServicesClient
from local_engine.template.errors import PartlyUnserved, TemplateError
from local_engine.template.intrinsics import resource_arn
from local_engine.template.stack import Resource

_TOPIC = ("ContentBasedDeduplication", "DisplayName", "FifoTopic")
_SUBSCRIPTION = ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy")
_PROTOCOLS = ("lambda", "sqs")


def create_topic(client: ServicesClient, name: str, resource: Resource) -> None:
    """Create a topic, without its subscriptions."""
    client.call("sns", "CreateTopic", {"Name": name, "Attributes": _describe(resource.pick(*_TOPIC))})


def create_own_subscriptions(client: ServicesClient, name: str, resource: Resource) -> None:
    """Create the subscriptions in a topic's own properties."""
    refused = []
    for entry in resource.properties.get("Subscription") or ():
        try:
            _subscribe(client, resource_arn("AWS::SNS::Topic", name), entry)
        except TemplateError as error:
            refused.append(f"a subscription is left out: {error}")
    if refused:
        raise PartlyUnserved(" ".join(dict.fromkeys(refused)))


def create_subscription(client: ServicesClient, name: str, resource: Resource) -> None:  # noqa: ARG001
    """Create a subscription."""
    _subscribe(client, resource.properties["TopicArn"], resource.properties)


def publish_message(
    topic_arn: str, message: str, endpoint: str, attributes: Mapping[str, tuple[str, str]] | None = None
) -> None:
    """Publish a message to a topic.

    Args:
        topic_arn: the topic's ARN.
        message: the text.
        endpoint: URL of the services.
        attributes: the message's attributes by name: type (`String` or `Number`) and value.

    Raises:
        ServicesError: the topic does not exist, or the message is rejected.
    """
    described: dict[str, str] = {}
    for number, (name, (kind, value)) in enumerate((attributes or {}).items(), 1):
        entry = f"MessageAttributes.entry.{number}"
        described |= {f"{entry}.Name": name, f"{entry}.Value.DataType": kind, f"{entry}.Value.StringValue": value}
    with ServicesClient(endpoint) as client:
        client.call("sns", "Publish", {"TopicArn": topic_arn, "Message": message, **described})


def _subscribe(client: ServicesClient, topic: str, properties: Mapping[str, Any]) -> None:
    protocol = properties["Protocol"]
    if protocol not in _PROTOCOLS:
        raise TemplateError(f"its Protocol is {protocol}, and only functions and queues can subscribe here.")
    if not topic.startswith("arn:"):
        raise TemplateError(f"its topic is {topic}, which is not here.")
    attributes = _describe({key: properties[key] for key in _SUBSCRIPTION if key in properties})
    request = {"TopicArn": topic, "Protocol": protocol, "Endpoint": properties["Endpoint"], "Attributes": attributes}
    client.call("sns", "Subscribe", request)


def _describe(properties: Mapping[str, Any]) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in properties.items()}
