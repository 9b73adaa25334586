"""What API Gateway and Lambda publish about the requests that they serve.

Source: "Working with metrics for HTTP APIs" (API Gateway Developer Guide), "Types of metrics for Lambda functions"
(Lambda Developer Guide).
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from local.metrics import Metric, MetricStore
from local.template import HttpApi

_COUNT, _MILLISECONDS, _BYTES = "Count", "Milliseconds", "Bytes"


class ApiMetrics:
    """Publishes what an HTTP API does, by API, by stage and, where the template wants it, by route."""

    def __init__(self, api: HttpApi, store: MetricStore) -> None:
        self._api = api
        self._store = store
        self._dimensions: dict[tuple[str, str] | None, list[dict[str, str]]] = {}

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
        values = [
            ("Count", 1.0, _COUNT),
            ("4xx", float(400 <= status < 500), _COUNT),
            ("5xx", float(status >= 500), _COUNT),
            ("Latency", latency, _MILLISECONDS),
            ("DataProcessed", float(size), _BYTES),
        ]
        if integration_latency is not None:
            values.append(("IntegrationLatency", integration_latency, _MILLISECONDS))
        if route not in self._dimensions:
            self._dimensions[route] = self._find_dimensions(route)
        for dimensions in self._dimensions[route]:
            _publish(self._store, "AWS/ApiGateway", dimensions, values)

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

    @contextmanager
    def invocation(self, function: str, qualifier: str | None, running: int) -> Iterator[Timing]:
        """Publish an invocation when it is over; one that raises is an error of the function.

        Args:
            function: its name.
            qualifier: the version or alias that was called; None where neither was named.
            running: invocations of the function that run now, this one included.
        """
        self._running += 1
        dimensions = _function_dimensions(function, qualifier)
        for entry in dimensions:
            concurrency = running if entry else self._running
            _publish(self._store, "AWS/Lambda", entry, [("ConcurrentExecutions", float(concurrency), _COUNT)])
        timing = Timing(time.monotonic())
        is_error = True
        try:
            yield timing
            is_error = False
        finally:
            self._running -= 1
            duration = (time.monotonic() - timing.started) * 1000
            values = [
                ("Invocations", 1.0, _COUNT),
                ("Errors", float(is_error), _COUNT),
                ("Throttles", 0.0, _COUNT),
                ("Duration", duration, _MILLISECONDS),
            ]
            for entry in dimensions:
                _publish(self._store, "AWS/Lambda", entry, values)

    def throttle(self, function: str, qualifier: str | None) -> None:
        """Publish a request that found all of the function's concurrency in use; it is no invocation."""
        for dimensions in _function_dimensions(function, qualifier):
            _publish(self._store, "AWS/Lambda", dimensions, [("Throttles", 1.0, _COUNT)])


def _function_dimensions(function: str, qualifier: str | None) -> list[dict[str, str]]:
    by_function = {"FunctionName": function}
    by_resource = [{**by_function, "Resource": f"{function}:{qualifier}"}] if qualifier else []
    return [{}, by_function, *by_resource]


def _publish(
    store: MetricStore, namespace: str, dimensions: Mapping[str, str], values: list[tuple[str, float, str]]
) -> None:
    for name, value, unit in values:
        store.add(Metric.of(namespace, name, dimensions), (value,), unit)
