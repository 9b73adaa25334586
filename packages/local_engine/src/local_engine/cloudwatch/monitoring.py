"""A stack's metrics, alarms and dashboards while it is served. Observes the engine."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from local_engine.cloudwatch.alarms import ALARM, COMPOSITE_ALARM, METRIC_ALARM, AlarmSet, Transition
from local_engine.cloudwatch.dashboard import DASHBOARD, Dashboard, evaluate_dashboard, read_dashboards
from local_engine.cloudwatch.emf import publish_line
from local_engine.cloudwatch.metric_filters import METRIC_FILTER, STAGES, MetricFilters
from local_engine.cloudwatch.metrics import MetricStore
from local_engine.cloudwatch.publishers import FunctionMetrics, HttpApiMetrics, RestApiMetrics
from local_engine.cloudwatch.service_metrics import ServiceMetrics
from local_engine.observer import AnsweredRequest, Observer
from local_engine.template.stack import Function, HttpApi, Resource, RestApi, Stack

_POLL_SECONDS = 5.0


class Monitoring(Observer):
    """Collects metrics, and evaluates the alarms after each minute."""

    def __init__(
        self,
        endpoint: str,
        show_alarm: Callable[[str, str, str], None],
        show_notice: Callable[[str], None],
        minute_seconds: float,
    ) -> None:
        """Start without a stack.

        Args:
            endpoint: URL of the AWS services.
            show_alarm: called when an alarm is triggered or clears, with its name, state and reason.
            show_notice: called with a sentence about a part of the stack that is not monitored.
            minute_seconds: length of a minute, in seconds.
        """
        self.store = MetricStore(minute_seconds)
        self.alarms = AlarmSet(self.store)
        self.dashboards: list[Dashboard] = []
        self._services = ServiceMetrics(endpoint, self.store)
        self._functions = FunctionMetrics(self.store)
        self._apis: dict[str, HttpApiMetrics | RestApiMetrics] = {}
        self._filters = MetricFilters({}, self.store)
        self._show_alarm = show_alarm
        self._show_notice = show_notice
        self._evaluated = self.store.minute_at(self.store.now())

    def stack_served(self, stack: Stack) -> None:
        """Take a stack's alarms, dashboards and reserved concurrency."""
        types = (METRIC_ALARM, COMPOSITE_ALARM, DASHBOARD, METRIC_FILTER, *STAGES)
        resources = stack.read_parts(*types, read=self._check_resource)
        self.alarms.declare(resources)
        self.dashboards = read_dashboards(resources)
        self._filters = MetricFilters(resources, self.store)
        for problem in self._filters.problems:
            self._show_notice(problem)
        self._apis = {
            api.id: RestApiMetrics(api, self.store) if isinstance(api, RestApi) else HttpApiMetrics(api, self.store)
            for api in stack.apis
            if isinstance(api, HttpApi | RestApi)
        }
        reserved = ((function.name, function.reserved_concurrency) for function in stack.functions.values())
        self._functions.reserve({name: number for name, number in reserved if number is not None})

    def _check_resource(self, logical_id: str, resource: Resource) -> Resource:
        """Return the resource if it can be monitored; else raise as `Stack.read_parts` expects it."""
        resource.check_complete()
        single = {logical_id: resource}
        AlarmSet(self.store).declare(single)
        read_dashboards(single)
        MetricFilters(single, self.store)
        return resource

    def request_answered(self, request: AnsweredRequest) -> None:
        """Publish API Gateway's metrics, and those of filters on its access log."""
        if request.api is not None and (metrics := self._apis.get(request.api.id)):
            metrics.publish(request)
            if self._filters.has_access_log(request.api.id, request.api.stage):
                self._filters.publish_request(request.api.id, request.api.stage, request.describe_context())

    def invocation_started(self, function: Function, qualifier: str | None, running: int) -> None:
        """Publish Lambda's concurrency."""
        self._functions.start(function, qualifier, running)

    def invocation_ended(self, function: Function, qualifier: str | None, milliseconds: float, is_error: bool) -> None:
        """Publish Lambda's metrics of an invocation."""
        self._functions.end(function, qualifier, milliseconds, is_error)

    def invocation_throttled(self, function: Function, qualifier: str | None) -> None:
        """Publish a throttle."""
        self._functions.throttle(function, qualifier)

    def line_written(self, function: Function, line: str) -> None:
        """Publish the metrics in a function's line, and those of filters on its log group."""
        publish_line(line, self.store)
        self._filters.publish_event(function.log_group, line)

    async def run(self) -> None:
        """Poll the services and evaluate the alarms until cancelled."""
        minute = self.store.minute_seconds
        step = minute / math.ceil(minute / _POLL_SECONDS)
        # Measurements of the end of a minute arrive a little later.
        delay = min(1.0, minute / 5)
        while True:
            await asyncio.sleep(step - (self.store.now() - delay) % step)
            await self._services.poll()
            self._evaluate_alarms(self.store.minute_at(self.store.now() - delay))

    def describe_metrics(self) -> dict[str, Any]:
        """Return every metric so far, for JSON."""
        return {
            "minuteSeconds": self.store.minute_seconds,
            "refused": self.store.refused,
            "metrics": [
                {
                    "namespace": series.metric.namespace,
                    "name": series.metric.name,
                    "dimensions": dict(series.metric.dimensions),
                    "unit": series.unit,
                    "sum": series.total,
                    "count": series.count,
                }
                for series in sorted(self.store, key=lambda series: series.metric)
            ],
        }

    async def describe_dashboards(self, minutes: int) -> dict[str, Any]:
        """Return the dashboards with their values over some minutes, and the alarms, for JSON."""
        return {
            "now": self.store.now(),
            "minuteSeconds": self.store.minute_seconds,
            "minutes": minutes,
            "dashboards": [
                await evaluate_dashboard(dashboard, self.store, self.alarms, minutes) for dashboard in self.dashboards
            ],
            "alarms": self.describe_alarms(),
        }

    def describe_alarms(self) -> list[dict[str, Any]]:
        """Return every alarm with its state, for JSON."""
        return [alarm.describe() for alarm in self.alarms]

    def _evaluate_alarms(self, end: int) -> None:
        # One minute after the other, so that a late call skips none.
        for minute in range(max(self._evaluated, end - 10) + 1, end + 1):
            for transition in self.alarms.evaluate(minute):
                self._show(transition)
        self._evaluated = max(self._evaluated, end)

    def _show(self, transition: Transition) -> None:
        alarm = transition.alarm
        if ALARM in (alarm.state, transition.before):
            self._show_alarm(alarm.name, alarm.state, alarm.reason)
