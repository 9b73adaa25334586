"""A stack's metrics, alarms and dashboards while it is served."""

import asyncio
import math
from typing import Any

from local_engine.cloudwatch.alarms import ALARM, AlarmSet, Transition
from local_engine.cloudwatch.dashboard import Dashboard, evaluate_dashboard, read_dashboards
from local_engine.cloudwatch.metrics import MetricStore
from local_engine.cloudwatch.service_metrics import ServiceMetrics
from local_engine.console import Console
from local_engine.template.stack import Stack

_POLL_SECONDS = 5.0


class Monitoring:
    """Collects metrics, and looks at the alarms after each minute."""

    def __init__(self, console: Console, endpoint: str, minute_seconds: float = 60.0) -> None:
        """Start without a stack.

        Args:
            console: where alarms are shown when they go off and when they are over.
            endpoint: URL of the AWS services.
            minute_seconds: how long a minute lasts, in seconds.
        """
        self.store = MetricStore(minute_seconds)
        self.alarms = AlarmSet(self.store)
        self.dashboards: list[Dashboard] = []
        self._services = ServiceMetrics(endpoint, self.store)
        self._console = console
        self._evaluated = self.store.minute_at(self.store.now())

    def watch(self, stack: Stack) -> None:
        """Take the alarms and dashboards of a stack, in place of those of the one before."""
        self.alarms.declare(stack.resources)
        self.dashboards = read_dashboards(stack.resources)

    async def run(self) -> None:
        """Go on until cancelled."""
        minute = self.store.minute_seconds
        step = minute / math.ceil(minute / _POLL_SECONDS)
        # What is measured at the end of a minute arrives a little later.
        delay = min(1.0, minute / 5)
        while True:
            await asyncio.sleep(step - (self.store.now() - delay) % step)
            await self._services.poll()
            self._evaluate_alarms(self.store.minute_at(self.store.now() - delay))

    def describe_metrics(self) -> dict[str, Any]:
        """Return every metric that was seen, for JSON."""
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
        """Return the dashboards with the values of so many minutes, and the alarms, for JSON."""
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
        # One minute after the other, so that a late turn leaves out none.
        for minute in range(max(self._evaluated, end - 10) + 1, end + 1):
            for transition in self.alarms.evaluate(minute):
                self._show(transition)
        self._evaluated = max(self._evaluated, end)

    def _show(self, transition: Transition) -> None:
        alarm = transition.alarm
        if ALARM in (alarm.state, transition.before):
            self._console.show_alarm(alarm.name, alarm.state, alarm.reason)
