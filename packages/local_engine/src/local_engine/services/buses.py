"""Event buses, rules and schedules of a template."""

import json
from typing import Any
from urllib.parse import quote

from local_engine.event_bus.schedule_expression import InvalidSchedule, parse_rate, parse_schedule
from local_engine.services.services_client import ServicesClient, ServicesError
from local_engine.template.errors import PartlyUnserved, TemplateError
from local_engine.template.stack import Resource

_RULE = ("Description", "EventBusName", "ScheduleExpression", "State")
_SCHEDULE = (
    "Description",
    "GroupName",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "EndDate",
    "State",
)


def create_bus(client: ServicesClient, name: str, resource: Resource) -> None:  # noqa: ARG001
    """Create an event bus."""
    client.call("events", "CreateEventBus", {"Name": name})


def create_rule(client: ServicesClient, name: str, resource: Resource) -> None:
    """Create a rule with its targets, or replace it."""
    properties = resource.properties
    targets = properties.get("Targets") or []
    request: dict[str, Any] = {"Name": name, **resource.pick(*_RULE)}
    if pattern := properties.get("EventPattern"):
        request["EventPattern"] = json.dumps(pattern)
    if expression := properties.get("ScheduleExpression"):
        _check_expression(expression, "UTC")
    client.call("events", "PutRule", request)
    rule = {"Rule": name, **resource.pick("EventBusName")}
    # Those of a rule that an edit of the template changes.
    if old := client.call("events", "ListTargetsByRule", rule).get("Targets"):
        client.call("events", "RemoveTargets", {**rule, "Ids": [target["Id"] for target in old]})
    # Such as the attribute of a resource that is not run.
    unknown = [str(target["Arn"]) for target in targets if not str(target["Arn"]).startswith("arn:")]
    if len(unknown) < len(targets):
        known = [target for target in targets if target["Arn"] not in unknown]
        client.call("events", "PutTargets", {**rule, "Targets": known})
    if unknown:
        raise PartlyUnserved(f"its target {' and '.join(unknown)} is not here.")


def create_schedule_group(client: ServicesClient, name: str, resource: Resource) -> None:  # noqa: ARG001
    """Create a group of schedules."""
    client.request("scheduler", "POST", f"/schedule-groups/{quote(name)}", {})


def create_schedule(client: ServicesClient, name: str, resource: Resource) -> None:
    """Create a schedule of EventBridge Scheduler, or replace it."""
    properties = resource.properties
    _check_expression(properties["ScheduleExpression"], properties.get("ScheduleExpressionTimezone") or "UTC")
    request = {
        **resource.pick(*_SCHEDULE),
        "FlexibleTimeWindow": properties.get("FlexibleTimeWindow") or {"Mode": "OFF"},
        "Target": properties["Target"],
    }
    path = f"/schedules/{quote(name)}"
    try:
        client.request("scheduler", "POST", path, request)
    except ServicesError:
        # It may exist; if it is wrong, this is rejected as well.
        client.request("scheduler", "PUT", path, request)


def _check_expression(expression: str, zone: str) -> None:
    try:
        if parse_rate(expression) is None:
            parse_schedule(expression, zone)
    except InvalidSchedule as error:
        raise TemplateError(str(error)) from error
