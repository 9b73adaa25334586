"""Asks an optional external service for extra data. Writes succeed without it.

Sends the resource as a JSON `POST` to `ENRICHMENT_URL`. The answer, a JSON object, becomes the resource's
`metadata.enrichment`. Retries, a circuit that all environments share and a time limit keep the service from delaying or
failing a write.
"""

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import boto3
import urllib3
from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitTransition,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence
from botocore.config import Config
from urllib3.util import Url, parse_url

from resources.settings import CIRCUIT_RESET_SECONDS, CIRCUIT_THRESHOLD, ENRICHMENT_SECONDS, ENRICHMENT_URL
from serverless_api import (
    Deadline,
    DeadlineExceeded,
    Dependency,
    HTTPCall,
    InvalidJSON,
    JSONText,
    Metric,
    RetryableError,
    RetryBudget,
    RetryPolicy,
    SettingError,
    count,
    current_deadline,
    dump_json,
    find_correlation_id,
    logger,
    parse_json,
    settings,
)

ATTEMPT_SECONDS = 1.0
MAX_ANSWER_BYTES = 16_384

_RETRYABLE_STATUSES = {408, 429, 500, 502, 503, 504}

_MISSED = Metric("EnrichmentsMissed")


class EnrichmentRefused(Exception):
    """The service answered without an enrichment; a retry would not help."""


def _parse_url(url: str) -> Url:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise SettingError("ENRICHMENT_URL must be an https URL with a host and without credentials.")
    return parse_url(url)


_url = _parse_url(ENRICHMENT_URL)
_dependency = Dependency("enrichment")
_policy = RetryPolicy()
_budget = RetryBudget()
_connections = urllib3.PoolManager(num_pools=1, retries=False)
# One attempt only: a circuit whose state cannot be read counts as closed.
_dynamodb = boto3.client(
    "dynamodb",
    config=Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 1}),
)
_store = CircuitBreakerDynamoDBPersistence(
    table_name=settings.TABLE_NAME,
    key_attr="pk",
    sort_key_attr="sk",
    static_pk_value="circuit",
    expiry_attr="expiresAt",
    boto3_client=_dynamodb,
)


def _report_transition(transition: CircuitTransition) -> None:
    _dependency.report_transition(str(transition.from_state), str(transition.to_state))


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
            lambda: _attempt(body, key, deadline), deadline, _budget, _dependency.count_retry
        )
    except (RetryableError, CircuitBreakerOpenError, EnrichmentRefused) as error:
        logger.warning("The resource is not enriched", reason=f"{type(error).__name__}: {error}")
        count(_MISSED)
        if isinstance(error, CircuitBreakerOpenError):
            _dependency.count_refusal()
            _dependency.record_circuit_state("open")
        return None
    _dependency.record_circuit_state("closed")
    return answer


@circuit_breaker(
    name="enrichment",
    config=CircuitBreakerConfig(
        failure_threshold=CIRCUIT_THRESHOLD,
        recovery_timeout=CIRCUIT_RESET_SECONDS,
        success_threshold=1,
        handled_exceptions=RetryableError,
    ),
    persistence_store=_store,
    on_transition=_report_transition,
)
def _attempt(body: bytes, key: str, deadline: Deadline) -> JSONText:
    try:
        with deadline.enforce():
            return _post(body, key, deadline.cut(ATTEMPT_SECONDS))
    except DeadlineExceeded as error:
        raise RetryableError("the enrichment service took too long") from error


def _post(body: bytes, key: str, seconds: float) -> JSONText:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Idempotency-Key": key,
        "X-Correlation-Id": find_correlation_id(),
    }
    target = _url
    if target.scheme == "http":
        # Call the very address that was checked: the name may resolve to another one the next time.
        target = _url._replace(host=_resolve_local_address())
        headers["Host"] = _url.netloc or ""
    try:
        with HTTPCall("POST", _url.scheme or "", _url.netloc or "") as subsegment:
            response = _connections.request(
                "POST",
                target.url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(total=seconds),
                redirect=False,
                preload_content=False,
            )
            subsegment.response = response
            with response:
                answer = response.read(MAX_ANSWER_BYTES + 1, decode_content=False)
                complete = len(answer) <= MAX_ANSWER_BYTES
                if not complete:
                    response.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise RetryableError(f"the enrichment service cannot be reached: {type(error).__name__}") from error
    if response.status in _RETRYABLE_STATUSES:
        raise RetryableError(f"the enrichment service answered {response.status}", _read_retry_after(response))
    if response.status != 200 or not complete:
        raise EnrichmentRefused(f"status {response.status}, at least {len(answer)} bytes")
    return _read_object(answer)


def _read_object(answer: bytes) -> JSONText:
    try:
        enrichment = parse_json(answer.decode())
    except (InvalidJSON, UnicodeDecodeError) as error:
        raise EnrichmentRefused("the answer is not JSON") from error
    if not isinstance(enrichment, dict):
        raise EnrichmentRefused("the answer is not a JSON object")
    return dump_json(enrichment)


def _read_retry_after(response: urllib3.BaseHTTPResponse) -> float:
    # A date, the other form, is ignored: the backoff suffices.
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else 0.0


def _resolve_local_address() -> str:
    """Return an address of the service, for plain http.

    Raises:
        EnrichmentRefused: the address is not loopback, private or link-local, so others could read the traffic.
        RetryableError: the name does not resolve.
    """
    try:
        found = socket.getaddrinfo(_url.host and _url.host.strip("[]"), _url.port or 80, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RetryableError("the name of the enrichment service does not resolve") from error
    address = ipaddress.ip_address(found[0][4][0])
    if not (address.is_loopback or address.is_private or address.is_link_local):
        raise EnrichmentRefused("plain http is for loopback, private and link-local addresses; use https")
    return f"[{address}]" if address.version == 6 else str(address)
