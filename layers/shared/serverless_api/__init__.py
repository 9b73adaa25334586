"""The house: what every function, background function and noun's package builds on.

Everything in `__all__` is public and stable; the rest is private. Import it from here:

    from serverless_api import Request, Response, endpoint

Five rooms hold the code, and imports between them run one way:
`http` → `storage`, `resilience` → `telemetry` → `environment`.

A name is loaded when it is first imported, so a function pays only for the rooms it uses: a background function that
imports `logger` loads neither `http` nor `storage`.
"""

import importlib
from typing import TYPE_CHECKING

__all__ = [
    "EVENT_STREAM",
    "HEARTBEAT",
    "WARM_UP_EVENT",
    "APIError",
    "AddressRefused",
    "AnswerTooLarge",
    "AnswerUnreadable",
    "BadRequest",
    "Caller",
    "CircuitBreaker",
    "CircuitOpen",
    "Collection",
    "Conflict",
    "ContentTooLarge",
    "Deadline",
    "DeadlineExceeded",
    "Dependency",
    "DependencyUnavailable",
    "Entity",
    "Forbidden",
    "HTTPCall",
    "InvalidJSON",
    "JSONText",
    "KeptConnection",
    "Metric",
    "NotFound",
    "Origin",
    "Page",
    "PreconditionFailed",
    "Preconditions",
    "Problem",
    "Request",
    "Response",
    "RetryBudget",
    "RetryPolicy",
    "RetryableError",
    "ServiceUnavailable",
    "SettingError",
    "SharedCircuit",
    "StreamedResponse",
    "TableUnavailable",
    "TooManyRequests",
    "Unauthorized",
    "UnprocessableContent",
    "UnsupportedMediaType",
    "count",
    "current_deadline",
    "dump_json",
    "encode_event",
    "endpoint",
    "fetch_json",
    "find_correlation_id",
    "internal_endpoint",
    "invocation_deadline",
    "logger",
    "measure",
    "parse_json",
    "process_batch",
    "pseudonymize",
    "read_count",
    "read_environment",
    "read_number",
    "read_setting",
    "report_event",
    "settings",
    "streaming_endpoint",
]

if TYPE_CHECKING:
    from serverless_api.environment import settings
    from serverless_api.environment.settings import SettingError, read_count, read_number, read_setting
    from serverless_api.http.collection import Collection, Entity, Page
    from serverless_api.http.endpoint import endpoint
    from serverless_api.http.errors import (
        APIError,
        BadRequest,
        Conflict,
        ContentTooLarge,
        Forbidden,
        NotFound,
        PreconditionFailed,
        Problem,
        ServiceUnavailable,
        TooManyRequests,
        Unauthorized,
        UnprocessableContent,
        UnsupportedMediaType,
    )
    from serverless_api.http.identity import Caller, Origin
    from serverless_api.http.internal import internal_endpoint
    from serverless_api.http.preconditions import Preconditions
    from serverless_api.http.request import Request
    from serverless_api.http.response import Response
    from serverless_api.http.streaming import (
        EVENT_STREAM,
        HEARTBEAT,
        StreamedResponse,
        encode_event,
        streaming_endpoint,
    )
    from serverless_api.http.warm_up import WARM_UP_EVENT, read_environment
    from serverless_api.resilience.batch import process_batch
    from serverless_api.resilience.circuit_breaker import CircuitBreaker, CircuitOpen, DependencyUnavailable
    from serverless_api.resilience.deadline import Deadline, DeadlineExceeded, current_deadline, invocation_deadline
    from serverless_api.resilience.retry import RetryableError, RetryBudget, RetryPolicy
    from serverless_api.storage.connection import AddressRefused, KeptConnection
    from serverless_api.storage.fetch import AnswerTooLarge, AnswerUnreadable, fetch_json
    from serverless_api.storage.json_text import InvalidJSON, JSONText, dump_json, parse_json
    from serverless_api.storage.shared_circuit import SharedCircuit
    from serverless_api.storage.table import TableUnavailable
    from serverless_api.telemetry.observability import (
        Dependency,
        Metric,
        count,
        find_correlation_id,
        logger,
        measure,
        report_event,
    )
    from serverless_api.telemetry.pseudonyms import pseudonymize
    from serverless_api.telemetry.tracing import HTTPCall
else:
    _HOMES = {
        "environment": "settings",
        "environment.settings": "SettingError read_count read_number read_setting",
        "http.collection": "Collection Entity Page",
        "http.endpoint": "endpoint",
        "http.errors": (
            "APIError BadRequest Conflict ContentTooLarge Forbidden NotFound PreconditionFailed Problem"
            " ServiceUnavailable TooManyRequests Unauthorized UnprocessableContent UnsupportedMediaType"
        ),
        "http.identity": "Caller Origin",
        "http.internal": "internal_endpoint",
        "http.preconditions": "Preconditions",
        "http.request": "Request",
        "http.response": "Response",
        "http.streaming": "EVENT_STREAM HEARTBEAT StreamedResponse encode_event streaming_endpoint",
        "http.warm_up": "WARM_UP_EVENT read_environment",
        "resilience.batch": "process_batch",
        "resilience.circuit_breaker": "CircuitBreaker CircuitOpen DependencyUnavailable",
        "resilience.deadline": "Deadline DeadlineExceeded current_deadline invocation_deadline",
        "resilience.retry": "RetryBudget RetryPolicy RetryableError",
        "storage.connection": "AddressRefused KeptConnection",
        "storage.fetch": "AnswerTooLarge AnswerUnreadable fetch_json",
        "storage.json_text": "InvalidJSON JSONText dump_json parse_json",
        "storage.shared_circuit": "SharedCircuit",
        "storage.table": "TableUnavailable",
        "telemetry.observability": "Dependency Metric count find_correlation_id logger measure report_event",
        "telemetry.pseudonyms": "pseudonymize",
        "telemetry.tracing": "HTTPCall",
    }
    _HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

    def __getattr__(name):
        """Load a public name from its room (PEP 562)."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_HOME_OF[name]}")
        value = globals()[name] = getattr(module, name)
        return value
