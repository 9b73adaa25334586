"""Metrics that API Gateway and Lambda publish.

Sources: "Working with metrics for HTTP APIs", "Amazon API Gateway dimensions and metrics" (API Gateway Developer
Guide), "Types of metrics for Lambda functions" (Lambda Developer Guide).
"""

from collections.abc import Mapping

from local_engine.cloudwatch.metrics import Batch, MetricStore
from local_engine.observer import AnsweredRequest
from local_engine.template.stack import Function, HttpApi, RestApi

# Units by name, in the order of the published values.
_HTTP_API_METRICS = {
    "Count": "Count",
    "4xx": "Count",
    "5xx": "Count",
    "Latency": "Milliseconds",
    "IntegrationLatency": "Milliseconds",
    "DataProcessed": "Bytes",
}
_REST_API_METRICS = {
    "Count": "Count",
    "4XXError": "Count",
    "5XXError": "Count",
    "Latency": "Milliseconds",
    "IntegrationLatency": "Milliseconds",
}
_FUNCTION_METRICS = {
    "ConcurrentExecutions": "Count",
    "Invocations": "Count",
    "Errors": "Count",
    "Throttles": "Count",
    "Duration": "Milliseconds",
}


class HttpApiMetrics:
    """Publishes an HTTP API's metrics by API and stage, and by route if the template asks for it."""

    def __init__(self, api: HttpApi, store: MetricStore) -> None:
        self._api = api
        self._store = store
        self._batches: dict[tuple[str, str] | None, Batch] = {}

    def publish(self, request: AnsweredRequest) -> None:
        """Publish one request."""
        route, status = request.route, request.status
        if route not in self._batches:
            self._batches[route] = self._store.batch("AWS/ApiGateway", self._find_dimensions(route), _HTTP_API_METRICS)
        self._batches[route].add(
            1.0,
            float(400 <= status < 500),
            float(status >= 500),
            request.latency,
            request.integration_latency,
            float(request.received + request.sent),
        )

    def _find_dimensions(self, route: tuple[str, str] | None) -> list[dict[str, str]]:
        api = {"ApiId": self._api.id}
        stage = {**api, "Stage": self._api.stage}
        if route is None:
            return [api, stage]
        method, path = route
        key = path if path == "$default" else f"{method} {path}"
        if not self._api.route_detailed_metrics.get(key, self._api.detailed_metrics):
            return [api, stage]
        return [api, stage, {**stage, "Method": method, "Resource": path}]


class RestApiMetrics:
    """Publishes a REST API's metrics by API and stage, and by method if the template asks for it."""

    def __init__(self, api: RestApi, store: MetricStore) -> None:
        self._stages = {stage.stage: stage for stage in (api, *api.other_stages)}
        self._store = store
        self._batches: dict[tuple[str, tuple[str, str] | None], Batch] = {}

    def publish(self, request: AnsweredRequest) -> None:
        """Publish one request."""
        route, status = request.route, request.status
        stage = request.api.stage if request.api else ""
        key = (stage, route)
        if key not in self._batches:
            dimensions = self._find_dimensions(self._stages[stage], route)
            self._batches[key] = self._store.batch("AWS/ApiGateway", dimensions, _REST_API_METRICS)
        self._batches[key].add(
            1.0,
            float(400 <= status < 500),
            float(status >= 500),
            request.latency,
            request.integration_latency,
        )

    def _find_dimensions(self, api: RestApi, route: tuple[str, str] | None) -> list[dict[str, str]]:
        name = {"ApiName": api.name}
        stage = {**name, "Stage": api.stage}
        if route is None or str(api.find_method_settings(*route).get("MetricsEnabled")).lower() != "true":
            return [name, stage]
        method, path = route
        return [name, stage, {**stage, "Method": method, "Resource": path}]


class FunctionMetrics:
    """Publishes metrics by function, by the version or alias that was called, and for the account."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._running = 0
        self._running_unreserved = 0
        self._reserved: Mapping[str, int] = {}
        self._account = store.batch("AWS/Lambda", [{}], _FUNCTION_METRICS)
        self._claimed = store.batch("AWS/Lambda", [{}], {"ClaimedAccountConcurrency": "Count"})
        self._batches: dict[tuple[str, str | None], Batch] = {}

    def reserve(self, reserved: Mapping[str, int]) -> None:
        """Set the reserved concurrency by function name. Other functions cannot use it."""
        self._reserved = reserved

    def start(self, function: Function, qualifier: str | None, running: int) -> None:
        """Publish the concurrency at the start of an invocation, of which the function then has `running`."""
        self._running += 1
        self._running_unreserved += self._is_unreserved(function)
        self._account.add(float(self._running), None, None, None, None)
        self._claimed.add(float(sum(self._reserved.values()) + self._running_unreserved))
        self._find_batch(function, qualifier).add(float(running), None, None, None, None)

    def end(self, function: Function, qualifier: str | None, milliseconds: float, is_error: bool) -> None:
        """Publish an invocation that is over."""
        self._running -= 1
        self._running_unreserved -= self._is_unreserved(function)
        for batch in (self._account, self._find_batch(function, qualifier)):
            batch.add(None, 1.0, float(is_error), 0.0, milliseconds)

    def throttle(self, function: Function, qualifier: str | None) -> None:
        """Publish a request that found all of the function's concurrency in use. It is not an invocation."""
        for batch in (self._account, self._find_batch(function, qualifier)):
            batch.add(None, None, None, 1.0, None)

    def _is_unreserved(self, function: Function) -> bool:
        # An invocation's own function, not the stack's current one: a reload during it must not change the count.
        return function.reserved_concurrency is None

    def _find_batch(self, function: Function, qualifier: str | None) -> Batch:
        key = (function.name, qualifier)
        if key not in self._batches:
            dimensions = [{"FunctionName": function.name}]
            if qualifier:
                dimensions.append({"FunctionName": function.name, "Resource": f"{function.name}:{qualifier}"})
            self._batches[key] = self._store.batch("AWS/Lambda", dimensions, _FUNCTION_METRICS)
        return self._batches[key]
