"""Rules of event buses in moto: their patterns, their targets and what the targets get.

Sources: "Events in Amazon EventBridge", "Event bus rules" (Amazon EventBridge User Guide).
"""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.events import models
from moto.events.exceptions import InvalidEventPatternException

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.event_bus.event_pattern import InvalidPattern, check_pattern, matches
from local_engine.event_bus.input_transformer import InvalidInput, make_input
from local_engine.event_bus.targets import Delivery, Targets

_INGESTION_TIME = "ingestion-time"
# Moto's own rule of an archive.
_ARCHIVE_RULE = "Events-Archive-"


def install_rules(targets: Targets) -> None:
    """Replace how moto matches events and sends them to targets."""

    def send_to_targets(rule: Any, event: dict[str, Any], **_: Any) -> None:
        pattern = rule.event_pattern.get_pattern()
        event = _normalize(event, targets)
        if rule.state != "DISABLED" and pattern and matches(pattern, event):
            for target in list(rule.targets):
                if rule.name.startswith(_ARCHIVE_RULE):
                    backend = models.events_backends[ACCOUNT_ID][REGION]
                    archived: list[Any] = backend.archives[rule.name.removeprefix(_ARCHIVE_RULE)].events
                    archived.append(event)
                else:
                    send_to_target(targets, rule, target, event)

    models.Rule.send_to_targets = send_to_targets  # type: ignore[assignment, method-assign]
    models.EventPatternParser._validate_event_pattern = _check_pattern  # type: ignore[assignment, method-assign]  # noqa: SLF001


def send_to_target(targets: Targets, rule: Any, target: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    """Send an event to a target of a rule."""
    variables = {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": format_time(targets.clock.now()),
    }
    source = f"rule {rule.name}"
    try:
        payload = make_input(target, event, variables)
    except InvalidInput as error:
        targets.outbox.add_fault(source, f"An event cannot be delivered to {target['Arn']}: {error}")
        return
    attributes = {"RULE_ARN": rule.arn}
    targets.deliver(Delivery(source, target, payload, event, json.dumps(event), attributes))


def make_event(detail_type: str, source: str, resources: list[str], detail: Any, time: str) -> dict[str, Any]:
    """Return an event, as EventBridge sends it."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT_ID,
        "time": time,
        "region": REGION,
        "resources": resources,
        "detail": detail,
    }


def format_time(moment: datetime) -> str:
    """Return a time as events show it, without fractions of a second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _normalize(event: Mapping[str, Any], targets: Targets) -> dict[str, Any]:
    # Moto adds a field, and gives the time as the client sent it.
    normalized = {name: value for name, value in event.items() if name != _INGESTION_TIME}
    time = normalized.get("time")
    if isinstance(time, int | float):
        normalized["time"] = format_time(datetime.fromtimestamp(time, UTC))
    elif not time:
        normalized["time"] = format_time(targets.clock.now())
    return normalized


def _check_pattern(_: Any, pattern: Any) -> None:
    if pattern:
        try:
            check_pattern(pattern)
        except InvalidPattern as error:
            raise InvalidEventPatternException(reason=str(error)) from error
