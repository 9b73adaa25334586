"""What a request leaves behind: its log lines, one of them its summary, and its metrics.

An environment serves one request at a time, so what a request counts is kept here until it is answered. Metrics are
written in one go, by route and for the service as a whole; callers and ids are never dimensions, since each value of a
dimension is a metric to pay for.

Source: «Specification: Embedded metric format» and «Metrics concepts», Amazon CloudWatch User Guide.
"""

import hashlib
import logging
import random
from collections import Counter
from enum import StrEnum
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from serverless_api.environment import settings

# Lambda gives the function's level to the root logger, and at DEBUG botocore would write whole requests and responses,
# with the secrets and session tokens in them, to the log.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.INFO)

logger = Logger(service=settings.SERVICE_NAME, use_rfc3339=True, utc=True)
_log = logging.getLogger(settings.SERVICE_NAME)
_LEVEL = logging.getLevelNamesMapping()[settings.LOG_LEVEL]
# Powertools takes Lambda's level, which lets more pass than is wanted where metrics or sampled requests need it.
_log.setLevel(_LEVEL)
_metrics = Metrics(service=settings.SERVICE_NAME, namespace=settings.METRICS_NAMESPACE)


class Metric(StrEnum):
    """All that is counted; docs/operations says what each means. What stayed 0 is not written, and costs nothing."""

    REQUESTS = "Requests"
    LATENCY = "Latency"
    COLD_STARTS = "ColdStarts"
    CLIENT_ERRORS = "ClientErrors"
    VALIDATION_FAILURES = "ValidationFailures"
    SERVER_ERRORS = "ServerErrors"
    DEPENDENCY_FAILURES = "DependencyFailures"
    UNEXPECTED_ERRORS = "UnexpectedErrors"
    RESOURCES_RETRIEVED = "ResourcesRetrieved"
    RESOURCES_CHANGED = "ResourcesChanged"
    TABLE_RETRIES = "TableRetries"
    TABLE_THROTTLES = "TableThrottles"
    TABLE_ERRORS = "TableErrors"
    TABLE_CIRCUIT_OPENED = "TableCircuitOpened"
    TABLE_CIRCUIT_CLOSED = "TableCircuitClosed"
    TABLE_CIRCUIT_REFUSALS = "TableCircuitRefusals"
    ENRICHMENT_RETRIES = "EnrichmentRetries"
    ENRICHMENTS_MISSED = "EnrichmentsMissed"
    ENRICHMENT_CIRCUIT_OPENED = "EnrichmentCircuitOpened"
    ENRICHMENT_CIRCUIT_CLOSED = "EnrichmentCircuitClosed"
    ENRICHMENT_CIRCUIT_REFUSALS = "EnrichmentCircuitRefusals"


class Usage(StrEnum):
    """What a request uses of the table: for its log line alone, since DynamoDB has metrics of it."""

    TABLE_CALLS = "table_calls"
    READ_UNITS = "read_units"
    WRITE_UNITS = "write_units"


_counts: Counter[Metric] = Counter()
_usage: Counter[Usage] = Counter()
_circuits = {"table": "closed"} | ({"enrichment": "closed"} if settings.ENRICHMENT_URL else {})
_is_cold = not settings.IS_INITIALIZED_AHEAD


def count(metric: Metric, number: int = 1) -> None:
    """Count something that the request met or did."""
    _counts[metric] += number


def count_usage(usage: Usage, quantity: float = 1) -> None:
    """Count what the request used; capacity units come in halves."""
    _usage[usage] += quantity  # type: ignore[assignment]


def report_transition(circuit: str, before: str, after: str) -> None:
    """Log and count that a circuit breaker changed its state.

    Args:
        circuit: what it guards: `table` or `enrichment`.
        before: `closed`, `open` or `half_open`, in any case.
        after: likewise.
    """
    before, after = before.lower(), after.lower()
    _circuits[circuit] = after
    logger.warning("A circuit changed its state", circuit=circuit, before=before, after=after)
    if after == "open":
        count(Metric(f"{circuit.capitalize()}CircuitOpened"))
    elif after == "closed":
        count(Metric(f"{circuit.capitalize()}CircuitClosed"))


def note_circuit(circuit: str, state: str) -> None:
    """Take down how a circuit was found whose state other environments change as well."""
    _circuits[circuit] = state


def start_request(*, request_id: str, function_request_id: str, correlation_id: str, route: str) -> None:
    """Say in every line to come which request it belongs to, and let some requests log at level DEBUG.

    Args:
        request_id: the gateway's.
        function_request_id: Lambda's.
        correlation_id: the caller's, or the gateway's again.
        route: as the gateway names it.
    """
    logger.append_keys(
        request_id=request_id, function_request_id=function_request_id, correlation_id=correlation_id, route=route
    )
    # Not by Powertools' own sampling, which goes back to Lambda's level: that is DEBUG where some requests are sampled,
    # or else Lambda would drop their lines («Log-level filtering», AWS Lambda Developer Guide).
    is_sampled = settings.DEBUG_SAMPLE_RATE > 0 and random.random() < settings.DEBUG_SAMPLE_RATE  # noqa: S311 - no secret
    level = logging.DEBUG if is_sampled else _LEVEL
    # Setting a level makes all loggers forget what they know.
    if _log.level != level:
        _log.setLevel(level)


def name_caller(subject: str) -> None:
    """Say in every line to come who calls: the token's `sub`, or what stands for it.

    The table's name makes it another one in each stack. It is a pseudonym: who knows a `sub` finds its lines.
    """
    if settings.CALLER_IN_LOGS == "hashed":
        subject = hashlib.sha256(f"{settings.TABLE_NAME}/{subject}".encode()).hexdigest()[:16]
    logger.append_keys(caller=subject)


def find_correlation_id() -> str:
    """Return what the request is known by beyond this API; empty outside a request."""
    return logger.get_correlation_id() or ""


def take_cold_start() -> bool:
    """Return whether this is the first event of an environment that was started for it, and true only once."""
    global _is_cold
    is_cold, _is_cold = _is_cold, False
    return is_cold


def report_request(status: int, milliseconds: float, route: str) -> None:
    """Write the metrics and the summary of a request, and leave nothing behind for the next one.

    Args:
        status: of the answer.
        milliseconds: how long it took.
        route: as the gateway names it, a dimension with a handful of values.
    """
    is_cold = take_cold_start()
    _count_answer(status, is_cold=is_cold)
    _metrics.add_metric(Metric.LATENCY, MetricUnit.Milliseconds, milliseconds)
    for metric, number in _counts.items():
        if number:
            _metrics.add_metric(metric, MetricUnit.Count, number)
    _metrics.add_dimension("route", route or "unknown")
    _metrics.add_dimensions(service=settings.SERVICE_NAME)
    _metrics.flush_metrics()
    summary: dict[str, Any] = {
        "status": status,
        "duration_ms": round(milliseconds, 2),
        "cold_start": is_cold,
        **{usage: _usage[usage] for usage in Usage},
        "retries": _counts[Metric.TABLE_RETRIES] + _counts[Metric.ENRICHMENT_RETRIES],
        "circuits": _circuits,
    }
    logger.info("Request answered", **summary)
    _counts.clear()
    _usage.clear()
    logger.remove_keys(["request_id", "function_request_id", "correlation_id", "route", "caller"])


def _count_answer(status: int, *, is_cold: bool) -> None:
    count(Metric.REQUESTS)
    if is_cold:
        count(Metric.COLD_STARTS)
    if status >= 500:
        count(Metric.SERVER_ERRORS)
        count(Metric.DEPENDENCY_FAILURES if status == 503 else Metric.UNEXPECTED_ERRORS)
    elif status >= 400:
        count(Metric.CLIENT_ERRORS)
        if status == 400:
            count(Metric.VALIDATION_FAILURES)
