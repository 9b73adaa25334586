"""Subscriptions of functions and queues to topics in moto.

Sources: "Invoking Lambda functions with Amazon SNS notifications" (AWS Lambda Developer Guide), "Amazon SNS message
filtering" (Amazon SNS Developer Guide).
"""

import json
from collections.abc import Mapping
from typing import Any

from moto.sns import models, utils
from moto.sns.exceptions import SNSInvalidParameter

from local_engine.event_bus.event_pattern import InvalidPattern, check_pattern, matches
from local_engine.event_bus.outbox import DeadLetters, Outbox

_LOCAL_PROTOCOLS = ("lambda", "sqs")
_NAMES_FOR_FUNCTIONS = {"SigningCertURL": "SigningCertUrl", "UnsubscribeURL": "UnsubscribeUrl"}


def install_subscriptions(outbox: Outbox) -> None:
    """Replace how moto filters messages and sends them to subscribers."""
    publish_by_moto = models.Subscription.publish
    publish_to_topic = models.Topic.publish

    def publish(subscription: Any, message: str, message_id: str, **details: Any) -> None:
        source = f"topic {subscription.topic.name}"
        if subscription.protocol not in _LOCAL_PROTOCOLS:
            # Moto would send the message to the network.
            outbox.add_fault(source, f"A message is not sent by {subscription.protocol}: nothing leaves this machine.")
        elif subscription.protocol == "sqs":
            try:
                publish_by_moto(subscription, message, message_id, **details)
            except Exception as error:
                outbox.add_fault(source, f"A message cannot be delivered to {subscription.endpoint}: {error}")
        elif _is_accepted(subscription, details.get("message_attributes"), message):
            if details.get("message_structure") == "json":
                message = subscription._parse_message_structure(message, "lambda")  # noqa: SLF001
            event = json.dumps(_make_event(subscription, message, message_id, details))
            outbox.add_event(subscription.endpoint, event, source, _find_dead_letters(subscription, event))

    def publish_and_forget(topic: Any, *arguments: Any, **options: Any) -> str:
        message_id = publish_to_topic(topic, *arguments, **options)
        # Moto keeps every message for its users' assertions.
        topic.sent_notifications.clear()
        return message_id

    models.Subscription.publish = publish  # type: ignore[method-assign, assignment]
    models.Topic.publish = publish_and_forget  # type: ignore[assignment, method-assign]
    utils.FilterPolicyMatcher.matches = _matches  # type: ignore[assignment, method-assign]
    models.SNSBackend._validate_filter_policy = _check_policy  # type: ignore[assignment, method-assign]  # noqa: SLF001


def _is_accepted(subscription: Any, attributes: Mapping[str, Any] | None, message: str) -> bool:
    matcher = subscription._filter_policy_matcher  # noqa: SLF001
    return matcher is None or matcher.matches(attributes, message)


def _matches(matcher: Any, attributes: Mapping[str, Any] | None, message: str) -> bool:
    if not matcher.filter_policy:
        return True
    if matcher.filter_policy_scope == "MessageBody":
        try:
            document = json.loads(message)
        except ValueError:
            return False
    else:
        document = {name: _read_attribute(attribute) for name, attribute in (attributes or {}).items()}
    return matches(matcher.filter_policy, document)


def _read_attribute(attribute: Mapping[str, Any]) -> Any:
    """Return the value of a message attribute: an array, a number or text."""
    kind, value = attribute["Type"], attribute["Value"]
    if kind == "String.Array":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return float(value) if kind == "Number" or kind.startswith("Number.") else value


def _check_policy(_: Any, policy: Any, scope: str | None) -> None:  # noqa: ARG001
    if policy:
        try:
            check_pattern(policy)
        except InvalidPattern as error:
            raise SNSInvalidParameter(f"Invalid parameter: FilterPolicy: {error}") from error


def _make_event(subscription: Any, message: str, message_id: str, details: Mapping[str, Any]) -> dict[str, Any]:
    attributes = details.get("message_attributes") or {}
    posted = subscription.get_post_data(message, message_id, details.get("subject"))
    notification = {
        "Subject": None,
        **{_NAMES_FOR_FUNCTIONS.get(name, name): value for name, value in posted.items()},
        "MessageAttributes": {
            name: {"Type": attribute["Type"], "Value": str(attribute["Value"])}
            for name, attribute in attributes.items()
        },
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": notification,
    }
    return {"Records": [record]}


def _find_dead_letters(subscription: Any, event: str) -> DeadLetters | None:
    policy = subscription.attributes.get("RedrivePolicy")
    try:
        arn = (json.loads(policy) if isinstance(policy, str) else policy or {}).get("deadLetterTargetArn")
    except (ValueError, AttributeError):
        return None
    return DeadLetters(arn, event) if arn else None
