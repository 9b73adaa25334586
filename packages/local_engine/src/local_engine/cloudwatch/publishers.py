"""What API Gateway and Lambda publish about the requests that they serve.

Source: "Working with metrics for HTTP APIs" (API Gateway Developer Guide), "Types of metrics for Lambda functions"
(Lambda Developer Guide).
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from local_engine.cloudwatch.metrics import Batch, MetricStore
from local_engine.template.stack import HttpApi

# Units by names, in the order in which the values are published.
_API_METRICS = {
    "Count": "Count",
    "4xx": "Count",
    "5xx": "Count",
    "Latency": "Milliseconds",
    "IntegrationLatency": "Milliseconds",
    "DataProcessed": "Bytes",
}
_FUNCTION_METRICS = {
    "ConcurrentExecutions": "Count",
    "Invocations": "Count",
    "Errors": "Count",
    "Throttles": "Count",
    "Duration": "Milliseconds",
}


class ApiMetrics:
    """Publishes what an HTTP API does, by API, by stage and, where the template wants it, by route."""

    def __init__(self, api: HttpApi, store: MetricStore) -> None:
        self._api = api
        self._store = store
        self._batches: dict[tuple[str, str] | None, Batch] = {}

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
        if route not in self._batches:
            self._batches[route] = self._store.batch("AWS/ApiGateway", self._find_dimensions(route), _API_METRICS)
        self._batches[route].add(
            1.0, float(400 <= status < 500), float(status >= 500), latency, integration_latency, float(size)
        )

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
        self._running_unreserved = 0
        self._reserved: Mapping[str, int] = {}
        self._account = store.batch("AWS/Lambda", [{}], _FUNCTION_METRICS)
        self._claimed = store.batch("AWS/Lambda", [{}], {"ClaimedAccountConcurrency": "Count"})
        self._batches: dict[tuple[str, str | None], Batch] = {}

    def reserve(self, reserved: Mapping[str, int]) -> None:
        """Take the concurrency that functions have reserved, by their names; none of it is left for others."""
        self._reserved = reserved

    @contextmanager
    def invocation(self, function: str, qualifier: str | None, running: int) -> Iterator[Timing]:
        """Publish an invocation when it is over; one that raises is an error of the function.

        Args:
            function: its name.
            qualifier: the version or alias that was called; None where neither was named.
            running: invocations of the function that run now, this one included.
        """
        self._running += 1
        unreserved = int(function not in self._reserved)
        self._running_unreserved += unreserved
        batch = self._find_batch(function, qualifier)
        self._account.add(float(self._running), None, None, None, None)
        self._claimed.add(float(sum(self._reserved.values()) + self._running_unreserved))
        batch.add(float(running), None, None, None, None)
        timing = Timing(time.monotonic())
        is_error = True
        try:
            yield timing
            is_error = False
        finally:
            self._running -= 1
            self._running_unreserved -= unreserved
            duration = (time.monotonic() - timing.started) * 1000
            for one in (self._account, batch):
                one.add(None, 1.0, float(is_error), 0.0, duration)

    def throttle(self, function: str, qualifier: str | None) -> None:
        """Publish a request that found all of the function's concurrency in use; it is no invocation."""
        for batch in (self._account, self._find_batch(function, qualifier)):
            batch.add(None, None, None, 1.0, None)

    def _find_batch(self, function: str, qualifier: str | None) -> Batch:
        key = (function, qualifier)
        if key not in self._batches:
            dimensions = [{"FunctionName": function}]
            if qualifier:
                dimensions.append({"FunctionName": function, "Resource": f"{function}:{qualifier}"})
            self._batches[key] = self._store.batch("AWS/Lambda", dimensions, _FUNCTION_METRICS)
        return self._batches[key]
