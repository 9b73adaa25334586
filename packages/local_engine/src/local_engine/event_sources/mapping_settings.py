"""Settings of a template's event source mappings.

Source: "CreateEventSourceMapping" (AWS Lambda API Reference).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_engine.event_bus.event_pattern import InvalidPattern, check_pattern
from local_engine.functions.event_queue import SHORTENING
from local_engine.functions.function_names import FunctionName, parse_function_name
from local_engine.template.errors import TemplateError
from local_engine.template.stack import Function, Resource, Stack

EVENT_SOURCE_MAPPING = "AWS::Lambda::EventSourceMapping"
FOREVER = -1
_REPORTS_FAILURES = "ReportBatchItemFailures"
_DEFAULT_VISIBILITY = 30
_OTHER_SOURCES = {
    "kinesis": "Kinesis streams are",
    "kafka": "Kafka is",
    "mq": "Amazon MQ is",
    "rds": "DocumentDB is",
}


@dataclass(frozen=True)
class MappingSettings:
    """What mappings of both kinds have."""

    logical_id: str
    source_arn: str
    source: str
    """Logical ID of the queue or table, or its name if it is not in the template."""
    function: FunctionName
    batch_size: int
    window: float
    """Seconds in which a batch is gathered, shortened as all waits are."""
    filters: tuple[Mapping[str, Any], ...]
    """Patterns, of which one must match. Empty if every record is taken."""
    reports_failures: bool
    is_enabled: bool

    @property
    def source_name(self) -> str:
        """The name of the queue or table."""
        if self.source_arn.startswith("arn:aws:sqs:"):
            return self.source_arn.rpartition(":")[2]
        return self.source_arn.split("/")[1]


@dataclass(frozen=True)
class QueueSettings(MappingSettings):
    """A mapping of an SQS queue."""

    concurrency: int | None


@dataclass(frozen=True)
class StreamSettings(MappingSettings):
    """A mapping of a table's stream."""

    starting_position: str
    lanes: int
    """`ParallelizationFactor`."""
    bisects: bool
    retries: int
    """`FOREVER` for no limit."""
    max_age: float
    """Seconds, or `FOREVER`."""
    on_failure: str | None
    """ARN."""


def read_mappings(stack: Stack, functions: Mapping[str, Function]) -> dict[str, QueueSettings | StreamSettings]:
    """Return the mappings that can run, by logical ID. `functions` is by name."""

    def read_mapping(logical_id: str, resource: Resource) -> QueueSettings | StreamSettings | None:
        return _read_mapping(stack, functions, logical_id, resource.properties)

    read = stack.read_parts(EVENT_SOURCE_MAPPING, read=read_mapping)
    return {logical_id: settings for logical_id, settings in read.items() if settings is not None}


def _read_mapping(
    stack: Stack, functions: Mapping[str, Function], logical_id: str, properties: Mapping[str, Any]
) -> QueueSettings | StreamSettings | None:
    arn = str(properties.get("EventSourceArn") or "")
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if properties.get("SelfManagedEventSource"):
        service = "kafka"
    if service not in ("sqs", "dynamodb"):
        raise TemplateError(f"{_OTHER_SOURCES.get(service, f'{arn or "its source"} is')} no event source here.")
    if properties.get("TumblingWindowInSeconds"):
        raise TemplateError("tumbling windows do not run here.")
    name = parse_function_name(str(properties["FunctionName"]))
    function = functions.get(name.name) if name else None
    if name is None or function is None:
        # The function's own notice says why it does not run.
        return None
    window = float(properties.get("MaximumBatchingWindowInSeconds") or 0)
    size = int(properties.get("BatchSize") or (10 if service == "sqs" else 100))
    _check(1 <= size <= 10_000, "BatchSize must be between 1 and 10,000.")
    _check(0 <= window <= 300, "MaximumBatchingWindowInSeconds must be between 0 and 300.")
    source = _find_source(stack, arn)
    if source not in stack.resources:
        kind = "queue" if service == "sqs" else "table"
        stack.refuse(
            logical_id, f"the {kind} {source} is not in the template; a program must create it.", is_partial=True
        )
    common = {
        "logical_id": logical_id,
        "source_arn": arn,
        "source": source,
        "function": name,
        "batch_size": size,
        "window": window / SHORTENING,
        "filters": _read_filters(properties),
        "reports_failures": _REPORTS_FAILURES in (properties.get("FunctionResponseTypes") or ()),
        "is_enabled": str(properties.get("Enabled", True)).lower() == "true",
    }
    if service == "sqs":
        return _read_queue_mapping(stack, function, properties, common)
    return _read_stream_mapping(properties, common)


def _read_queue_mapping(
    stack: Stack, function: Function, properties: Mapping[str, Any], common: dict[str, Any]
) -> QueueSettings:
    is_fifo = common["source_arn"].endswith(".fifo")
    if is_fifo:
        _check(common["batch_size"] <= 10, "a FIFO queue's BatchSize is 10 at most.")
        _check(common["window"] == 0, "a FIFO queue has no batching window.")
    wide = common["window"] > 0 or common["batch_size"] <= 10
    _check(wide, "a BatchSize over 10 needs a MaximumBatchingWindowInSeconds of 1 at least.")
    concurrency = (properties.get("ScalingConfig") or {}).get("MaximumConcurrency")
    _check(concurrency is None or 2 <= int(concurrency) <= 1000, "MaximumConcurrency must be between 2 and 1,000.")
    queue = stack.resources.get(common["source"])
    if queue is not None:
        visibility = float(queue.properties.get("VisibilityTimeout", _DEFAULT_VISIBILITY))
        _check(
            visibility >= function.timeout,
            f"the queue's visibility timeout ({visibility:g} s) is less than the function's timeout "
            f"({function.timeout:g} s), which Lambda rejects.",
        )
    return QueueSettings(**common, concurrency=None if concurrency is None else int(concurrency))


def _read_stream_mapping(properties: Mapping[str, Any], common: dict[str, Any]) -> StreamSettings:
    position = properties.get("StartingPosition")
    _check(position in ("LATEST", "TRIM_HORIZON"), "StartingPosition must be LATEST or TRIM_HORIZON.")
    lanes = int(properties.get("ParallelizationFactor") or 1)
    retries = int(properties.get("MaximumRetryAttempts", FOREVER))
    max_age = float(properties.get("MaximumRecordAgeInSeconds", FOREVER))
    _check(1 <= lanes <= 10, "ParallelizationFactor must be between 1 and 10.")
    _check(FOREVER <= retries <= 10_000, "MaximumRetryAttempts must be between -1 and 10,000.")
    _check(max_age == FOREVER or 60 <= max_age <= 604_800, "MaximumRecordAgeInSeconds must be -1, or 60 to 604,800.")
    destinations = properties.get("DestinationConfig") or {}
    return StreamSettings(
        **common,
        starting_position=str(position),
        lanes=lanes,
        bisects=str(properties.get("BisectBatchOnFunctionError", False)).lower() == "true",
        retries=retries,
        max_age=max_age,
        on_failure=(destinations.get("OnFailure") or {}).get("Destination"),
    )


def _read_filters(properties: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    filters = (properties.get("FilterCriteria") or {}).get("Filters") or ()
    patterns = []
    for entry in filters:
        try:
            pattern = json.loads(entry["Pattern"])
            check_pattern(pattern)
        except InvalidPattern as error:
            raise TemplateError(f"FilterCriteria: {error}") from error
        except ValueError as error:
            raise TemplateError(f"FilterCriteria: a Pattern is not JSON ({error}).") from error
        patterns.append(pattern)
    return tuple(patterns)


def _find_source(stack: Stack, arn: str) -> str:
    is_queue = arn.startswith("arn:aws:sqs:")
    name = arn.rpartition(":")[2] if is_queue else arn.split("/")[1]
    kind, property_name = ("AWS::SQS::Queue", "QueueName") if is_queue else ("AWS::DynamoDB::Table", "TableName")
    for logical_id, resource in stack.resources.items():
        if resource.type == kind and resource.properties.get(property_name, logical_id) == name:
            return logical_id
    return name


def _check(holds: bool, sentence: str) -> None:
    if not holds:
        raise TemplateError(sentence)
