"""What API Gateway and Lambda publish about the requests that they serve.

Source: "Working with metrics for HTTP APIs" (API Gateway Developer Guide), "Types of metrics for Lambda functions"
(Lambda Developer Guide).
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from local.metrics import Metric, MetricStore, Series
from local.template import HttpApi

_COUNT, _MILLISECONDS, _BYTES = "Count", "Milliseconds", "Bytes"


class _Publisher:
    """The metrics of one namespace under the same dimensions."""

    def __init__(self, store: MetricStore, namespace: str, dimensions: Mapping[str, str]) -> None:
        self._store = store
        self._namespace = namespace
        self._dimensions = dimensions
        self._series: dict[str, Series] = {}

    def publish(self, minute: int, name: str, value: float, unit: str) -> None:
        series = self._series.get(name)
        if series is None:
            metric = Metric.of(self._namespace, name, self._dimensions)
            series = self._series[name] = self._store.open(metric, unit)
        series.add(value, minute)


class ApiMetrics:
    """Publishes what an HTTP API does, by API, by stage and, where the template wants it, by route."""

    def __init__(self, api: HttpApi, store: MetricStore) -> None:
        self._api = api
        self._store = store
        self._publishers: dict[tuple[str, str] | None, list[_Publisher]] = {}

    def publish(
        self,
        route: tuple[str, str] | None,
        *,
        status: int,
        latency: float,
        integration_latency: float | None,
        size: int,
    ) -> None:
        """Publish one request.

        Args:
            route: method and path as the API declares them; None where no route took the request.
            status: of the answer.
            latency: of the answer, in milliseconds.
            integration_latency: how long the function was waited for, in milliseconds; None where it was not called.
            size: bytes in the bodies of request and answer.
        """
        if route not in self._publishers:
            self._publishers[route] = [
                _Publisher(self._store, "AWS/ApiGateway", dimensions) for dimensions in self._find_dimensions(route)
            ]
        minute = self._store.minute_at(self._store.now())
        for publisher in self._publishers[route]:
            publisher.publish(minute, "Count", 1.0, _COUNT)
            publisher.publish(minute, "4xx", float(400 <= status < 500), _COUNT)
            publisher.publish(minute, "5xx", float(status >= 500), _COUNT)
            publisher.publish(minute, "Latency", latency, _MILLISECONDS)
            publisher.publish(minute, "DataProcessed", float(size), _BYTES)
            if integration_latency is not None:
                publisher.publish(minute, "IntegrationLatency", integration_latency, _MILLISECONDS)

    def _find_dimensions(self, route: tuple[str, str] | None) -> list[dict[str, str]]:
        api = {"ApiId": self._api.logical_id}
        stage = {**api, "Stage": self._api.stage}
        if route is None:
            return [api, stage]
        method, path = route
        key = path if path == "$default" else f"{method} {path}"
        if not self._api.route_detailed_metrics.get(key, self._api.detailed_metrics):
            return [api, stage]
        return [api, stage, {**stage, "Method": method, "Resource": path}]


@dataclass(slots=True)
class Timing:
    """When the handler got the event: what a new process takes to start is not part of a function's duration."""

    started: float

    def begin(self) -> None:
        """Say that the handler gets the event now."""
        self.started = time.monotonic()


class FunctionMetrics:
    """Publishes what functions do, by function, by version or alias where one was called, and for the account."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._running = 0
        self._account = _Publisher(store, "AWS/Lambda", {})
        self._publishers: dict[tuple[str, str | None], list[_Publisher]] = {}

    @contextmanager
    def invocation(self, function: str, qualifier: str | None, running: int) -> Iterator[Timing]:
        """Publish an invocation when it is over; one that raises is an error of the function.

        Args:
            function: its name.
            qualifier: the version or alias that was called; None where neither was named.
            running: invocations of the function that run now, this one included.
        """
        self._running += 1
        publishers = self._find_publishers(function, qualifier)
        minute = self._store.minute_at(self._store.now())
        for publisher in publishers:
            concurrency = self._running if publisher is self._account else running
            publisher.publish(minute, "ConcurrentExecutions", float(concurrency), _COUNT)
        timing = Timing(time.monotonic())
        is_error = True
        try:
            yield timing
            is_error = False
        finally:
            self._running -= 1
            duration = (time.monotonic() - timing.started) * 1000
            minute = self._store.minute_at(self._store.now())
            for publisher in publishers:
                publisher.publish(minute, "Invocations", 1.0, _COUNT)
                publisher.publish(minute, "Errors", float(is_error), _COUNT)
                publisher.publish(minute, "Throttles", 0.0, _COUNT)
                publisher.publish(minute, "Duration", duration, _MILLISECONDS)

    def throttle(self, function: str, qualifier: str | None) -> None:
        """Publish a request that found all of the function's concurrency in use; it is no invocation."""
        minute = self._store.minute_at(self._store.now())
        for publisher in self._find_publishers(function, qualifier):
            publisher.publish(minute, "Throttles", 1.0, _COUNT)

    def _find_publishers(self, function: str, qualifier: str | None) -> list[_Publisher]:
        publishers = self._publishers.get((function, qualifier))
        if publishers is None:
            dimensions = [{"FunctionName": function}]
            if qualifier:
                dimensions.append({"FunctionName": function, "Resource": f"{function}:{qualifier}"})
            publishers = [self._account, *(_Publisher(self._store, "AWS/Lambda", entry) for entry in dimensions)]
            self._publishers[function, qualifier] = publishers
        return publishers
