"""Asks an optional external service for extra data. Writes succeed without it.

Sends the resource as a JSON `POST` to `ENRICHMENT_URL`. The answer, a JSON object, is stored with the resource.
Retries, a circuit that all environments share and a time limit keep the service from delaying or failing a write.
"""

from http.client import HTTPResponse
from typing import Any

from resources.settings import CIRCUIT_RESET_SECONDS, CIRCUIT_THRESHOLD, ENRICHMENT_SECONDS, ENRICHMENT_URL
from serverless_api import (
    AddressRefused,
    AnswerTooLarge,
    AnswerUnreadable,
    CircuitOpen,
    Deadline,
    DeadlineExceeded,
    Dependency,
    DependencyUnavailable,
    HTTPCall,
    InvalidJSON,
    JSONText,
    KeptConnection,
    Metric,
    RetryableError,
    RetryBudget,
    RetryPolicy,
    SettingError,
    SharedCircuit,
    count,
    current_deadline,
    dump_json,
    find_correlation_id,
    logger,
    parse_json,
)

ATTEMPT_SECONDS = 1.0
MAX_ANSWER_BYTES = 16_384

_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS = 408, 429

_MISSED = Metric("EnrichmentsMissed")


class EnrichmentRefused(Exception):
    """The service answered without an enrichment; a retry would not help."""


def _make_connection() -> KeptConnection:
    try:
        return KeptConnection(ENRICHMENT_URL, local_http=True)
    except ValueError as error:
        raise SettingError(f"ENRICHMENT_URL {error}.") from None


_connection = _make_connection()
_dependency = Dependency("enrichment")
_policy = RetryPolicy()
_budget = RetryBudget()
_circuit = SharedCircuit("enrichment", CIRCUIT_THRESHOLD, CIRCUIT_RESET_SECONDS, _dependency.report_transition)


def request_enrichment(document: dict[str, Any], key: str) -> JSONText | None:
    """Return the service's data about a resource, a JSON object, or None if it gives no usable answer.

    Takes at most `ENRICHMENT_SECONDS`, and at most half of the time that the invocation has left.

    Args:
        document: the resource as the API shows it.
        key: the `Idempotency-Key` to send, because the request may be repeated.
    """
    invocation = current_deadline()
    deadline = invocation.shorten(min(ENRICHMENT_SECONDS, invocation.remaining / 2))
    body = dump_json(document).encode()
    try:
        # The circuit is inside the retries: each attempt counts, and none is made while it is open.
        answer: JSONText = _policy.call(
            lambda: _circuit.call(lambda: _attempt(body, key, deadline)), deadline, _budget, _dependency.count_retry
        )
    except (RetryableError, CircuitOpen, EnrichmentRefused) as error:
        logger.warning("The resource is not enriched", reason=f"{type(error).__name__}: {error}")
        count(_MISSED)
        if isinstance(error, CircuitOpen):
            _dependency.count_refusal()
            _dependency.record_circuit_state("open")
        return None
    _dependency.record_circuit_state("closed")
    return answer


def _attempt(body: bytes, key: str, deadline: Deadline) -> JSONText:
    try:
        with deadline.enforce():
            return _post(body, key, deadline.cut(ATTEMPT_SECONDS))
    except DeadlineExceeded as error:
        raise DependencyUnavailable("the enrichment service took too long") from error


def _post(body: bytes, key: str, seconds: float) -> JSONText:
    headers = {
        "Host": _connection.host,
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Idempotency-Key": key,
        "X-Correlation-Id": find_correlation_id(),
    }
    try:
        with HTTPCall("POST", _connection.scheme, _connection.host) as subsegment:
            try:
                response, answer = _connection.fetch("POST", headers, body, seconds, MAX_ANSWER_BYTES)
                subsegment.response = response
            except AnswerUnreadable as error:
                subsegment.response = error.response
                raise
    except AnswerTooLarge as error:
        raise EnrichmentRefused(f"the answer is over {MAX_ANSWER_BYTES} bytes") from error
    except AddressRefused as error:
        raise EnrichmentRefused(str(error)) from error
    except OSError as error:
        raise DependencyUnavailable(f"the enrichment service cannot be reached: {type(error).__name__}") from error
    if response.status >= 500 or response.status in (_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS):
        raise DependencyUnavailable(f"the enrichment service answered {response.status}", _read_retry_after(response))
    if response.status != 200:
        raise EnrichmentRefused(f"status {response.status}")
    return _read_object(answer)


def _read_object(answer: bytes) -> JSONText:
    try:
        enrichment = parse_json(answer.decode())
    except (InvalidJSON, UnicodeDecodeError) as error:
        raise EnrichmentRefused("the answer is not JSON") from error
    if not isinstance(enrichment, dict):
        raise EnrichmentRefused("the answer is not a JSON object")
    return dump_json(enrichment)


def _read_retry_after(response: HTTPResponse) -> float:
    # A date, the other form, is ignored: the backoff suffices.
    seconds = response.getheader("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else 0.0
