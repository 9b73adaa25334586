"""Structured logs and EMF metrics: one summary line and one metrics line per request.

An environment serves one request at a time, so the counters of a request are kept here until it is answered. Metrics
are written by route and for the whole service. Callers and IDs are never dimensions, because each value of a dimension
is a metric to pay for.

Source: «Specification: Embedded metric format» and «Metrics concepts», Amazon CloudWatch User Guide.
"""

import json
import logging
import random
from collections import Counter
from enum import StrEnum
from typing import Any, ClassVar, Self

from serverless_api.environment import settings
from serverless_api.telemetry.deferred_imports import defer_imports
from serverless_api.telemetry.pseudonyms import pseudonymize

defer_imports()
from aws_lambda_powertools.logging import Logger  # noqa: E402
from aws_lambda_powertools.metrics import Metrics, MetricUnit  # noqa: E402

# Lambda sets the root logger to the function's level. At DEBUG, botocore would log whole requests and responses,
# including secrets and session tokens; at INFO, where it found credentials and endpoints, at each cold start.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)

MAX_LOG_TEXT = 16_000
"""How many characters a text in a log line may have. Lambda splits long lines, and their parts are not JSON."""


def _write_line(line: dict[str, Any]) -> str:
    return json.dumps(_cut_texts(line), default=_describe, separators=(",", ":"), ensure_ascii=False)


def _describe(value: object) -> str:
    """Return the text of what JSON has no value for, such as an exception."""
    return str(_cut_texts(str(value)))


def _cut_texts(value: Any) -> Any:
    """Return a value with long texts cut in the middle: a traceback ends with its exception."""
    if isinstance(value, str) and len(value) > MAX_LOG_TEXT:
        return f"{value[: MAX_LOG_TEXT // 2]}…{value[-MAX_LOG_TEXT // 2 :]}"
    if isinstance(value, dict):
        return {name: _cut_texts(item) for name, item in value.items()}
    return [_cut_texts(item) for item in value] if isinstance(value, list) else value


# All functions log into one group, so each line names its function.
logger = Logger(
    service=settings.SERVICE_NAME,
    use_rfc3339=True,
    utc=True,
    function=settings.FUNCTION_NAME,
    json_serializer=_write_line,
)
_log = logging.getLogger(settings.SERVICE_NAME)
_LEVEL = logging.getLevelNamesMapping()[settings.LOG_LEVEL]
# Powertools takes Lambda's level, which is lower than the wanted one if metrics or sampled requests need it.
_log.setLevel(_LEVEL)
_metrics = Metrics(service=settings.SERVICE_NAME, namespace=settings.METRICS_NAMESPACE)


class Metric(str):
    """The name of a counter. A counter that stays 0 is not written and costs nothing.

    Attributes:
        declared: every metric declared so far; the dashboard and docs/operations must have them all.

    Example:
        >>> count(Metric("WidgetsPainted"))
    """

    __slots__ = ()
    declared: ClassVar[set["Metric"]] = set()

    def __new__(cls, name: str) -> Self:
        """Declare a metric."""
        metric = super().__new__(cls, name)
        cls.declared.add(metric)
        return metric


_REQUESTS = Metric("Requests")
_LATENCY = Metric("Latency")
_COLD_STARTS = Metric("ColdStarts")
_CLIENT_ERRORS = Metric("ClientErrors")
_VALIDATION_FAILURES = Metric("ValidationFailures")
_SERVER_ERRORS = Metric("ServerErrors")
_DEPENDENCY_FAILURES = Metric("DependencyFailures")
_UNEXPECTED_ERRORS = Metric("UnexpectedErrors")


class Usage(StrEnum):
    """Use of the table, for the request's log line only: DynamoDB has its own metrics of it."""

    TABLE_CALLS = "table_calls"
    READ_UNITS = "read_units"
    WRITE_UNITS = "write_units"


_counts: Counter[Metric] = Counter()
_measured: list[tuple[Metric, float]] = []
_usage: Counter[Usage] = Counter()
_dependencies: list["Dependency"] = []
_is_cold = not settings.IS_INITIALIZED_AHEAD


def count(metric: Metric, number: int = 1) -> None:
    """Add `number` to a metric of the current request."""
    _counts[metric] += number


def measure(metric: Metric, milliseconds: float) -> None:
    """Add a duration to those that `report_event` writes."""
    _measured.append((metric, milliseconds))


def count_usage(usage: Usage, quantity: float = 1) -> None:
    """Add to what the current request used; capacity units come in halves."""
    _usage[usage] += quantity  # type: ignore[assignment]


class Dependency:
    """A service that requests depend on: its metrics, and the state of its circuit for the request's summary.

    The metrics are `<Name>Retries`, `<Name>CircuitOpened`, `<Name>CircuitClosed` and `<Name>CircuitRefusals`.

    Args:
        name: in lower case, as the log spells it.

    Attributes:
        circuit: the state of the circuit as this environment last saw it: `closed`, `open` or `half_open`.
        retries: the metric of retries.
    """

    def __init__(self, name: str) -> None:
        label = name.capitalize()
        self.name = name
        self.circuit = "closed"
        self.retries = Metric(f"{label}Retries")
        self._opened = Metric(f"{label}CircuitOpened")
        self._closed = Metric(f"{label}CircuitClosed")
        self._refusals = Metric(f"{label}CircuitRefusals")
        _dependencies.append(self)

    def count_retry(self, error: Exception) -> None:
        """Count and log that a failed call is about to be repeated."""
        count(self.retries)
        logger.debug("Retrying a call", dependency=self.name, reason=str(error))

    def count_refusal(self) -> None:
        """Count that the open circuit refused a call."""
        count(self._refusals)

    def record_circuit_state(self, state: str) -> None:
        """Record a circuit's state that was found, for circuits that other environments change as well."""
        self.circuit = state

    def report_transition(self, before: str, after: str) -> None:
        """Log and count a change of the circuit's state; states may be in any case."""
        before, self.circuit = before.lower(), after.lower()
        logger.warning("A circuit changed its state", circuit=self.name, before=before, after=self.circuit)
        if self.circuit == "open":
            count(self._opened)
        elif self.circuit == "closed":
            count(self._closed)


def start_request(*, request_id: str, function_request_id: str, correlation_id: str, route: str) -> None:
    """Add the request's IDs to every log line that follows, and log a sample of requests at level DEBUG.

    Args:
        request_id: the gateway's request ID.
        function_request_id: Lambda's request ID.
        correlation_id: the caller's correlation ID, or the gateway's request ID.
        route: the gateway's route key.
    """
    logger.append_keys(
        request_id=request_id, function_request_id=function_request_id, correlation_id=correlation_id, route=route
    )
    # Powertools' own sampling falls back to Lambda's level, which is DEBUG if requests are sampled: otherwise Lambda
    # would drop their lines («Log-level filtering», AWS Lambda Developer Guide).
    is_sampled = settings.DEBUG_SAMPLE_RATE > 0 and random.random() < settings.DEBUG_SAMPLE_RATE  # noqa: S311 - no secret
    level = logging.DEBUG if is_sampled else _LEVEL
    # Setting a level clears the caches of all loggers.
    if _log.level != level:
        _log.setLevel(level)


def name_caller(subject: str) -> None:
    """Add the caller to every log line that follows: the pseudonym of the token's `sub`, or the `sub` itself."""
    if settings.CALLER_IN_LOGS == "hashed":
        subject = pseudonymize(subject)
    logger.append_keys(caller=subject)


def find_correlation_id() -> str:
    """Return the correlation ID of the current request, to pass on to other services; empty outside a request."""
    return logger.get_correlation_id() or ""


def is_cold_start() -> bool:
    """Return whether this is the first event of an environment that was started for it; true only once."""
    global _is_cold
    is_cold, _is_cold = _is_cold, False
    return is_cold


def report_request(status: int, milliseconds: float, route: str) -> None:
    """Write the metrics and the summary of a request, then reset the counters.

    Args:
        status: the response's HTTP status.
        milliseconds: how long the request took.
        route: the gateway's route key, a dimension with a handful of values.
    """
    is_cold = is_cold_start()
    _count_response(status, is_cold=is_cold)
    _metrics.add_metric(_LATENCY, MetricUnit.Milliseconds, milliseconds)
    _add_counts()
    _metrics.add_dimension("route", route or "unknown")
    _metrics.add_dimensions(service=settings.SERVICE_NAME)
    _metrics.flush_metrics()
    summary: dict[str, Any] = {
        "status": status,
        "duration_ms": round(milliseconds, 2),
        "cold_start": is_cold,
        **{usage: _usage[usage] for usage in Usage},
        "retries": sum(_counts[dependency.retries] for dependency in _dependencies),
        "circuits": {dependency.name: dependency.circuit for dependency in _dependencies},
    }
    logger.info("Request answered", **summary)
    _counts.clear()
    _usage.clear()
    logger.remove_keys(["request_id", "function_request_id", "correlation_id", "route", "caller"])


def report_event() -> None:
    """Write the counters and the durations of a background function's event, then reset them."""
    _add_counts()
    for metric, milliseconds in _measured:
        _metrics.add_metric(metric, MetricUnit.Milliseconds, milliseconds)
    # Powertools warns about an event without metrics.
    if _measured or any(_counts.values()):
        _metrics.flush_metrics()
    _counts.clear()
    _measured.clear()


def _add_counts() -> None:
    for metric, number in _counts.items():
        if number:
            _metrics.add_metric(metric, MetricUnit.Count, number)


def _count_response(status: int, *, is_cold: bool) -> None:
    count(_REQUESTS)
    if is_cold:
        count(_COLD_STARTS)
    if status >= 500:
        count(_SERVER_ERRORS)
        count(_DEPENDENCY_FAILURES if status == 503 else _UNEXPECTED_ERRORS)
    elif status >= 400:
        count(_CLIENT_ERRORS)
        if status == 400:
            count(_VALIDATION_FAILURES)
