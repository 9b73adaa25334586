"""Runs the schedules in moto: rules with a ScheduleExpression, and those of EventBridge Scheduler.

A flexible time window is used at its start. A one-time schedule whose time has passed when it is created runs at once.
Times that pass while the clock is turned are run in their order.

Sources: "Creating a rule that runs on a schedule" (Amazon EventBridge User Guide), "Schedule types in EventBridge
Scheduler", "Adding context attributes" and "Configuring a dead-letter queue" (EventBridge Scheduler User Guide).
"""

import json
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.events.models import events_backends

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.event_bus.rules import format_time, make_event, send_to_target
from local_engine.event_bus.schedule_expression import InvalidSchedule, is_one_time, parse_rate, parse_schedule
from local_engine.event_bus.targets import Delivery, Targets

_SECONDS_BETWEEN_LOOKS = 0.5
_PAST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Definition:
    """A schedule as it is at the moment."""

    arn: str
    expression: str
    zone: str
    start: datetime | None
    end: datetime | None
    is_rule: bool
    resource: Any = field(compare=False)
    """Moto's rule or schedule."""

    def continues_as(self, later: "_Definition") -> bool:
        """Return whether the interval goes on, as a rule's does after PutRule, and not that of an updated schedule."""
        return self == later and (self.is_rule or self.resource is later.resource)


@dataclass
class _Progress:
    definition: _Definition
    due: datetime | None


class ScheduleRunner:
    """Runs what is due, in a thread."""

    def __init__(self, targets: Targets, serving: threading.Lock, notify: Callable[[], None]) -> None:
        """Take the targets, the lock that moto holds while it serves a request, and what to call after each run."""
        self._targets = targets
        self._serving = serving
        self._notify = notify
        self._clock = targets.clock
        self._progress: dict[str, _Progress] = {}
        self._lock = threading.Lock()
        self._refused: set[_Definition] = set()

    def start(self) -> None:
        """Run schedules from now on."""
        threading.Thread(target=self._run, daemon=True).start()

    def turn_clock(self, moment: datetime) -> int:
        """Turn the clock forward, and run what comes due. Return how many runs there were.

        Args:
            moment: the time to show. A time that has passed changes nothing.
        """
        with self._lock:
            runs = self._run_until(moment)
            self._clock.turn_to(moment)
            return runs

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            with self._lock:
                self._run_until(self._clock.now())
            pause.wait(_SECONDS_BETWEEN_LOOKS)

    def _run_until(self, moment: datetime) -> int:
        runs = 0
        self._look(self._clock.now())
        while True:
            waiting = [progress for progress in self._progress.values() if progress.due is not None]
            progress = min(waiting, key=lambda entry: entry.due or moment, default=None)
            if progress is None or progress.due is None or progress.due > moment:
                return runs
            runs += 1
            due = progress.due
            # What is created meanwhile counts from this time on.
            self._clock.turn_to(due)
            with self._serving:
                self._fire(progress.definition, due)
                progress.due = self._find_next(progress.definition, due)
                self._finish(progress)
            self._notify()
            self._look(self._clock.now())

    def _look(self, now: datetime) -> None:
        """Take notice of schedules that are new, changed or gone."""
        found = {definition.arn: definition for definition in _list_definitions()}
        for arn in self._progress.keys() - found.keys():
            del self._progress[arn]
        for arn, definition in found.items():
            known = self._progress.get(arn)
            if known is None or not known.definition.continues_as(definition):
                self._progress[arn] = _Progress(definition, self._find_first(definition, now))
            else:
                known.definition = definition

    def _find_first(self, definition: _Definition, now: datetime) -> datetime | None:
        try:
            rate = parse_rate(definition.expression)
            if rate is not None:
                # A rule waits for its first interval, a schedule does not.
                first = now + rate if definition.is_rule else max(definition.start or now, now)
                return self._limit(definition, first)
            if is_one_time(definition.expression):
                return parse_schedule(definition.expression, definition.zone)(_PAST)
            after = max(now, (definition.start or now) - timedelta(seconds=1))
            return self._limit(definition, parse_schedule(definition.expression, definition.zone)(after))
        except InvalidSchedule as error:
            if definition not in self._refused:
                self._refused.add(definition)
                self._targets.outbox.add_fault(_describe_source(definition), f"The schedule does not run: {error}")
            return None

    def _find_next(self, definition: _Definition, after: datetime) -> datetime | None:
        rate = parse_rate(definition.expression)
        if rate is not None:
            return self._limit(definition, after + rate)
        return self._limit(definition, parse_schedule(definition.expression, definition.zone)(after))

    def _limit(self, definition: _Definition, moment: datetime | None) -> datetime | None:
        is_over = moment is not None and definition.end is not None and moment > definition.end
        return None if is_over else moment

    def _finish(self, progress: _Progress) -> None:
        definition = progress.definition
        schedule = definition.resource
        if progress.due is None and not definition.is_rule and schedule.action_after_completion == "DELETE":
            groups = sys.modules["moto.scheduler.models"].scheduler_backends[ACCOUNT_ID][REGION].schedule_groups
            if schedule.group_name in groups:
                groups[schedule.group_name].schedules.pop(schedule.name, None)

    def _fire(self, definition: _Definition, due: datetime) -> None:
        if definition.is_rule:
            event = make_event("Scheduled Event", "aws.events", [definition.arn], {}, format_time(due))
            for target in list(definition.resource.targets):
                send_to_target(self._targets, definition.resource, target, event)
        else:
            self._targets.deliver(_make_delivery(definition, due))


def _list_definitions() -> Iterator[_Definition]:
    for bus in list(events_backends[ACCOUNT_ID][REGION].event_buses.values()):
        for rule in list(bus.rules.values()):
            if rule.scheduled_expression and rule.state != "DISABLED":
                yield _Definition(rule.arn, rule.scheduled_expression, "UTC", None, None, True, rule)
    # Moto imports a service with its first call, and a module that is being imported has no backends yet.
    backends = getattr(sys.modules.get("moto.scheduler.models"), "scheduler_backends", None)
    if backends is None:
        return
    for group in list(backends[ACCOUNT_ID][REGION].schedule_groups.values()):
        for schedule in list(group.schedules.values()):
            if schedule.state != "DISABLED":
                yield _Definition(
                    schedule.arn,
                    schedule.schedule_expression,
                    schedule.schedule_expression_timezone,
                    _read_time(schedule.start_date),
                    _read_time(schedule.end_date),
                    False,
                    schedule,
                )


def _read_time(value: Any) -> datetime | None:
    """Return a StartDate or EndDate, which is seconds in the API and text in a template."""
    if value in (None, ""):
        return None
    try:
        return datetime.fromtimestamp(float(value), UTC)
    except ValueError:
        moment = datetime.fromisoformat(str(value))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _make_delivery(definition: _Definition, due: datetime) -> Delivery:
    target: Mapping[str, Any] = definition.resource.target
    time, execution = format_time(due), str(uuid.uuid4())
    event = make_event("Scheduled Event", "aws.scheduler", [definition.arn], "{}", time)
    payload = target.get("Input")
    if payload is None:
        payload = json.dumps(event)
    else:
        attributes = {
            "schedule-arn": definition.arn,
            "scheduled-time": time,
            "execution-id": execution,
            "attempt-number": "1",
        }
        for name, value in attributes.items():
            payload = payload.replace(f"<aws.scheduler.{name}>", value)
    if parameters := target.get("EventBridgeParameters"):
        event = make_event(
            parameters["DetailType"], parameters["Source"], [definition.arn], _read_detail(payload), time
        )
    return Delivery(
        _describe_source(definition),
        target,
        payload,
        event,
        payload,
        {
            "EXECUTION_ID": execution,
            "RETRY_ATTEMPTS": "0",
            "SCHEDULED_TIME": time,
            "SCHEDULE_ARN": definition.arn,
        },
    )


def _read_detail(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return {}


def _describe_source(definition: _Definition) -> str:
    return f"{'rule' if definition.is_rule else 'schedule'} {definition.resource.name}"
