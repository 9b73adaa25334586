"""What EventBridge Scheduler's API checks and moto does not.

Sources: "CreateSchedule" and "UpdateSchedule" (EventBridge Scheduler API Reference). The message about an expression is
that of the service, as users of it report it.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from moto.scheduler import exceptions, models, responses

from local_engine.event_bus.schedule_expression import InvalidSchedule, parse_rate, parse_schedule

_LONGEST_WINDOW = 1440


@cache
def install_scheduler_requests() -> None:
    """Let moto check schedules, and take a repeated request with the same `ClientToken` for the same one."""
    create_by_moto = models.EventBridgeSchedulerBackend.create_schedule
    update_by_moto = models.EventBridgeSchedulerBackend.update_schedule
    delete_group_by_moto = models.EventBridgeSchedulerBackend.delete_schedule_group
    answer_creation = responses.EventBridgeSchedulerResponse.create_schedule
    answer_update = responses.EventBridgeSchedulerResponse.update_schedule

    def create_schedule(backend: Any, **properties: Any) -> Any:
        backend.get_schedule_group(properties["group_name"])
        _check(properties)
        return create_by_moto(backend, **properties)

    def update_schedule(backend: Any, **properties: Any) -> Any:
        backend.get_schedule(properties["group_name"], properties["name"])
        _check(properties)
        return update_by_moto(backend, **properties)

    def delete_schedule_group(backend: Any, name: str | None) -> None:
        backend.get_schedule_group(name)
        delete_group_by_moto(backend, name)

    def answer_create_schedule(response: Any) -> Any:
        token = response._get_param("ClientToken")  # noqa: SLF001
        backend, name = response.scheduler_backend, response.uri.split("/")[-1]
        schedule = _find_schedule(backend, response._get_param("GroupName"), name)  # noqa: SLF001
        if schedule is None or not token or getattr(schedule, "client_token", None) != token:
            answer = answer_creation(response)
            _find_schedule(backend, response._get_param("GroupName"), name).client_token = token  # noqa: SLF001
            return answer
        return json.dumps({"ScheduleArn": schedule.arn})

    def answer_update_schedule(response: Any) -> Any:
        answer = answer_update(response)
        name = response.uri.split("?")[0].split("/")[-1]
        schedule = _find_schedule(response.scheduler_backend, response._get_param("GroupName"), name)  # noqa: SLF001
        # Moto keeps these as they were, and UpdateSchedule replaces everything.
        schedule.action_after_completion = response._get_param("ActionAfterCompletion")  # noqa: SLF001
        schedule.state = schedule.state or "ENABLED"
        return answer

    exceptions.ScheduleExists.code = 409
    models.EventBridgeSchedulerBackend.create_schedule = create_schedule  # type: ignore[assignment, method-assign]
    models.EventBridgeSchedulerBackend.update_schedule = update_schedule  # type: ignore[assignment, method-assign]
    models.EventBridgeSchedulerBackend.delete_schedule_group = delete_schedule_group  # type: ignore[assignment, method-assign]
    responses.EventBridgeSchedulerResponse.create_schedule = answer_create_schedule  # type: ignore[assignment, method-assign]
    responses.EventBridgeSchedulerResponse.update_schedule = answer_update_schedule  # type: ignore[assignment, method-assign]


def _find_schedule(backend: Any, group: str | None, name: str) -> Any:
    found = backend.schedule_groups.get(group or "default")
    return found and found.schedules.get(name)


def _check(properties: Mapping[str, Any]) -> None:
    expression = str(properties["schedule_expression"])
    try:
        if parse_rate(expression) is None:
            parse_schedule(expression, properties["schedule_expression_timezone"] or "UTC")
    except InvalidSchedule as error:
        raise exceptions.ValidationException(f"Invalid Schedule Expression {expression}. {error}") from error
    window = properties["flexible_time_window"] or {}
    minutes = window.get("MaximumWindowInMinutes")
    if window.get("Mode") == "FLEXIBLE" and not (isinstance(minutes, int) and 1 <= minutes <= _LONGEST_WINDOW):
        raise exceptions.ValidationException("A flexible time window takes MaximumWindowInMinutes from 1 to 1440.")
